"""What a pretrained model consists of: kinds, heads, layers, tokens, quantised weights."""
