"""Which column of a row means what."""
