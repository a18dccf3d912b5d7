"""What a model sees: token trees, batches of them, and how rows are cut into micro-batches."""
