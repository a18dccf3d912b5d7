"""What the layers that our methods put beside a model's own have in common; one that is off changes
nothing.
"""

from __future__ import annotations

from typing import Any

import torch


class HookedLayer(torch.nn.Module):
    """Base of these layers: they work by hooks on a model's own layer, whose name and weights stay
    as they are.
    """

    on: bool = True
    """Whether it changes anything (``models/adapters/beside_base.py`` switches it)."""

    def fold(self, layer: Any) -> None:
        """Folds the change into the weights of the ``layer`` that it is beside; only for methods
        that merge.
        """
        raise AssertionError(f"{type(self).__name__} does not merge")
