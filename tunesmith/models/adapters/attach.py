"""Puts a saved adapter on its base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import ModelError, Problem, SpecError
from tunesmith.words import say

if TYPE_CHECKING:
    import torch


def attach(model: torch.nn.Module, place: Path) -> Any:
    """Returns ``model`` with the adapter in ``place``; raises ModelError when it was made for
    another base.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    from tunesmith.models.adapters import beside_base, loftq
    from tunesmith.models.adapters.soft_prompt import prompted

    try:
        if beside_base.is_own(place):
            return beside_base.load(model, place)
        with_prompt = prompted(model, place)
        if with_prompt is not None:
            return with_prompt
        model = loftq.with_adapter(model, place).eval()
        with safe_open(place / "adapter_model.safetensors", "pt") as file:
            odd = set(file.keys()) ^ set(get_peft_model_state_dict(model))
    except (RuntimeError, ValueError, KeyError, SpecError) as error:
        raise ModelError(
            Problem(
                str(place), say("load.other_base", error=" ".join(str(error).split("\n")[:2])[:300])
            )
        ) from None
    if odd:
        # peft leaves such a layer at its start, or leaves it out.
        raise ModelError(
            Problem(str(place), say("load.other_base", error=", ".join(sorted(odd)[:3])))
        )
    return model
