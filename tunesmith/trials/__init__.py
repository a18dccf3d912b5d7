"""What trainings have in common, whoever asks for several: pieces of work, one base, files."""
