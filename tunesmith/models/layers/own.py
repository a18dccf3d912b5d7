"""What the layers that our methods put beside a model's own have in common; one that is off changes nothing."""

from __future__ import annotations

import torch


class Own(torch.nn.Module):
    """Base of these layers: they work by hooks on a model's own layer, whose name and weights stay as they are."""

    on: bool = True
    """Whether it changes anything (``models/own.py`` switches it)."""
