"""Pretrained models: found, loaded, called in one place, and made to write."""
