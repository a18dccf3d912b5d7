"""Layers of our own: torch modules and functions, imported only where a model is at hand."""
