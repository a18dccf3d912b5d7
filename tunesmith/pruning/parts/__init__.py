"""What is taken out of a model: single weights, groups of heads, channels, whole layers."""
