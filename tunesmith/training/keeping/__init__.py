"""What a run keeps on the disk while it trains: record, checkpoints, states, saved models."""
