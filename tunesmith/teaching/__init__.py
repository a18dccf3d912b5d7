"""A teacher writes the answers to the rows of a file: a model on this machine, or an endpoint."""
