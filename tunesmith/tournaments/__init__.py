"""``tunesmith tournament``: methods compared on the same rows, each with its own learning rate."""
