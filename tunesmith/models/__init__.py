"""Pretrained models: found, loaded, called in one place, and made to write."""

from tunesmith.models.structure.imports import put_off

put_off()  # before anything here imports transformers
