"""Which layers are rounded, known from the configuration alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.errors import Problem
from tunesmith.export.folders.source import Source
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

GROUPS = (128, 64, 32)
"""The first that divides all layers is taken: larger groups store fewer scales."""


def rounded_layers(model: torch.nn.Module) -> dict[str, torch.nn.Linear]:
    """Returns the linear layers by name; heads and embeddings keep their type."""
    import torch

    from tunesmith.models.structure.layers import linear_layers

    linear = linear_layers(model)
    return {name: part for name, part in linear.items() if isinstance(part, torch.nn.Linear)}


def shell(source: Source) -> torch.nn.Module:
    """Makes the model without memory for its weights."""
    import torch

    with torch.device("meta"):
        return source.loader.from_config(source.config)


def group_for(widths: set[int], wanted: int | None) -> int | None:
    """Returns the size of the groups: the one wanted, else the largest that divides all widths;
    None where there is none.
    """
    sizes = (wanted,) if wanted else GROUPS
    return next((size for size in sizes if all(width % size == 0 for width in widths)), None)


def refused_layers(
    source: Source, *, packs: int, group: int | None, grouped: bool
) -> list[Problem]:
    """Returns a problem where the layers do not divide: rows into words of ``packs`` codes, or into
    groups.
    """
    layers = rounded_layers(shell(source))
    if not layers:
        kind = source.config.model_type
        return [Problem("format", say("export.no_linear", kind=kind))]
    widths = {layer.in_features for layer in layers.values()}
    listed = ", ".join(map(str, sorted(widths)))
    if any(width % packs for width in widths):
        return [Problem("format", say("export.no_pack", widths=listed, packs=packs))]
    if grouped and group_for(widths, group) is None:
        fitting = group_for(widths, None)
        text = say("export.no_group", widths=listed, group=group or 32, known=fitting or "–")
        return [Problem("format.group", text)]
    return []
