"""The only configuration: the classes of settings, their families, their files."""
