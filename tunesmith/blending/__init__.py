"""Base and tuned blended after training, and how far is chosen."""
