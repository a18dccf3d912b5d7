"""Virtual tokens anywhere in a row, where ``[P]`` stands in ``data.template``; each has an id of
its own after the vocabulary.

Without them (``on=False``) their places are masked and positions do not count them: what is
computed is the row without slots.
"""

from __future__ import annotations

from typing import Any

import torch

PEFT_TYPE = "TUNESMITH_SLOTS"
"""What the adapter's configuration says instead of one of peft's types, so that peft refuses it by
name.
"""


def call_of(
    input_ids: torch.Tensor,
    mask: torch.Tensor | None,
    table_PD: torch.Tensor,
    first: int,
    embed: Any,
) -> dict[str, torch.Tensor]:
    """Returns the keywords of a call in which the ids from ``first`` on stand for rows of the
    table.
    """
    inside, clean = _clean(input_ids, first, len(table_PD))
    rows = table_PD.index_select(0, (input_ids - first).clamp(0, len(table_PD) - 1).flatten()).view(
        *input_ids.shape, -1
    )
    words = embed(clean)
    call = {"inputs_embeds": torch.where(inside.unsqueeze(-1), rows.to(words), words)}
    return call if mask is None else call | {"attention_mask": mask}


def without(
    input_ids: torch.Tensor, mask: torch.Tensor | None, first: int, count: int
) -> dict[str, torch.Tensor]:
    """Returns the keywords of a call without the virtual tokens."""
    inside, clean = _clean(input_ids, first, count)
    mask = (torch.ones_like(input_ids) if mask is None else mask) * ~inside
    return {
        "input_ids": clean,
        "attention_mask": mask,
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
    }


def cleaned(input_ids: torch.Tensor, first: int, count: int) -> torch.Tensor:
    """Replaces the slots of each row by one of its own tokens, for code that reads ids alone."""
    return _clean(input_ids, first, count)[1]


def _clean(input_ids: torch.Tensor, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    inside = (input_ids >= first) & (input_ids < first + count)
    plain = torch.where(inside, torch.zeros_like(input_ids), input_ids).amax(1, keepdim=True)
    return inside, torch.where(inside, plain, input_ids)
