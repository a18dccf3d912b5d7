"""A run on rewards as the files and the command of another toolkit, where this one is outgrown."""
