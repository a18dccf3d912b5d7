"""Tells whether the weights that were loaded are those of the model that the config describes.

transformers draws what a checkpoint lacks at random and leaves out what it does not know, with a
warning; both make another model.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import ModelError, Problem
from tunesmith.plain import Named
from tunesmith.words import say

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAMED = 4
"""Names of tensors that an error shows of each kind."""
TABLES = ("position_ids", "inv_freq", "masked_bias", "attn.bias", "attention.bias")
"""Ends of names of tables that older checkpoints hold and newer classes compute."""


def refuse_other_weights(
    folder: Path,
    model: PreTrainedModel,
    head: str,
    info: Named,
    *,
    new: tuple[str, ...] = (),
) -> None:
    """Raises ModelError where ``info``, transformers' loading info, names weights that are missing,
    have another shape or are unexpected, or where a weight is not finite.

    Names that begin as one of ``new`` may be missing or differ: parts of a fresh head. Without a
    vocabulary's head only weights inside the trunk count as unexpected, for other heads are left
    behind on purpose.
    """
    missing = sorted(name for name in info["missing_keys"] if not name.startswith(new))
    shapes = sorted(
        f"{name} {list(stored)} ≠ {list(wanted)}"
        for name, stored, wanted in info["mismatched_keys"]
        if not name.startswith(new)
    )
    trunk = model.base_model
    inside = tuple(
        f"{name}."
        for name in (model.base_model_prefix, *(name for name, _ in trunk.named_children()))
        if name and not f"{name}.".startswith(new)
    )
    unexpected = sorted(
        name
        for name in info["unexpected_keys"]
        if not name.endswith(TABLES)
        and "pooler." not in name
        and (head == "language" or name.startswith(inside))
    )
    faults = {"missing": missing, "shape": shapes, "unexpected": unexpected}
    parts = [
        say(f"load.weights_{kind}", count=len(names), names=_some(names))
        for kind, names in faults.items()
        if names
    ]
    if parts:
        hint = _prefix(missing, sorted(info["unexpected_keys"]))
        raise ModelError(
            Problem(
                str(folder),
                say("load.other_weights", found=say("load.weights_and").join(parts))
                + (say("load.prefixed", prefix=hint) if hint else say("load.fetch_again")),
            )
        )
    broken = _not_finite(model)
    if broken:
        raise ModelError(
            Problem(str(folder), say("load.not_finite", count=len(broken), names=_some(broken)))
        )


def _not_finite(model: PreTrainedModel) -> list[str]:
    """Returns the names of the weights that hold NaN or infinity; of those without memory none.

    A sum shows them all, in fp32 without a copy, and costs less than a look at every number.
    """
    import torch

    names = []
    for name, weight in model.named_parameters():
        plain = weight.dtype in (torch.float32, torch.float16, torch.bfloat16)
        if weight.is_meta or not plain:
            continue
        summed = weight.detach().sum(dtype=torch.float32)
        # Finite numbers near the largest may add up to infinity: the numbers themselves decide.
        if not summed.isfinite() and not weight.detach().isfinite().all():
            names.append(name)
    return names


def write_model(model: Any, folder: Path) -> None:
    """Saves ``model`` in transformers' form. Generation settings that contradict each other, which
    transformers reads but does not write, are left out but for the tokens that they name.
    """
    from transformers import GenerationConfig

    if model.can_generate():
        config = model.generation_config
        try:
            config.validate(strict=True)
        except ValueError:
            kept = {name: value for name, value in config.to_dict().items() if "token_id" in name}
            model.generation_config = GenerationConfig(**kept)
    model.save_pretrained(folder)


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _prefix(missing: list[str], unexpected: list[str]) -> str | None:
    """Finds the prefix that makes missing names of unexpected ones, such as ``module.``."""
    wanted = set(missing)
    for name in unexpected:
        parts = name.split(".")
        for at in range(1, len(parts)):
            if ".".join(parts[at:]) in wanted:
                return ".".join(parts[:at]) + "."
    return None
