"""Folders: what a run left, what is written, and a whole model of Hugging Face."""
