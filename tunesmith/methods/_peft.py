"""What every method that rests on peft does alike: which layers it changes, and the adapter put
beside them.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from annotated_types import MinLen
from pydantic import BeforeValidator

from tunesmith.errors import Problem, SpecError, first_line
from tunesmith.models.structure.layers import _inputs, expert_stacks, linear_layers, size_of
from tunesmith.words import say

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig

    Layers = dict[str, torch.nn.Module]
    Named = Mapping[str, torch.nn.Module] | Mapping[str, torch.nn.Parameter]


T = TypeVar("T", int, float)


def _as_list(value: object) -> Any:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
"""Names of layers or parts: ends of names, or regular expressions over whole names; a text is split
at its commas.
"""
Targets = Annotated[Names, MinLen(1)]
"""The same, one at least; ``all-linear`` means every linear layer."""


def with_adapter(
    model: torch.nn.Module, config_class: type[PeftConfig], **values: Any
) -> torch.nn.Module:
    """Puts the adapter that peft makes of ``config_class(**values)`` on ``model``, its weights fp32
    whatever the base; raises SpecError where peft refuses.
    """
    from peft import get_peft_model

    from tunesmith.models.structure.heads import head_parts

    # peft itself adds those that are called classifier or score; without the others a saved adapter
    # would be half a model. By layer, because peft merges single layers.
    heads = [name for name in head_parts(model) if name not in ("classifier", "score")]
    layers = {
        f"{name}.{inner}".rstrip("."): part
        for name in heads
        for inner, part in model.get_submodule(name).named_modules()
    }
    parts = [
        name for name, part in layers.items() if any(True for _ in part.parameters(recurse=False))
    ]
    if parts:
        values["modules_to_save"] = parts
    config = config_class(task_type=task_type(model), **values)
    try:
        peft_model = get_peft_model(model, config)  # type: ignore[arg-type]
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = first_line(error).rstrip(".")
        method = str(config.peft_type).rpartition(".")[2].lower()
        raise SpecError(
            Problem("method", say("method.cannot_take", method=method, error=reason))
        ) from None
    for parameter in peft_model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    # A form to fill in, compiled anew at each checkpoint (a quarter of a tiny run's CPU time);
    # tunesmith.json says what there is to say.
    peft_model.create_or_update_model_card = _no_card  # type: ignore[method-assign]
    return peft_model  # type: ignore[return-value]


def _no_card(output_dir: str) -> None:
    """Writes nothing, in the place of peft's model card."""


def task_type(model: torch.nn.Module) -> str:
    """Returns peft's name for what the model does."""
    from tunesmith.models.structure.heads import kind_of
    from tunesmith.models.structure.kinds import HEADS, head_of, plain

    two_sided = kind_of(plain(model).config) == "encoder-decoder"
    return "SEQ_2_SEQ_LM" if two_sided else HEADS[head_of(model)].task


def stacked(model: torch.nn.Module, targets: Sequence[str]) -> tuple[list[str], set[str]]:
    """Separates the targets that mean layers from the full names of the stacks of experts that the
    others mean.

    A target means stacks only where it says ``experts``; SpecError for one that then matches
    nothing.
    """
    linear = linear_layers(model)
    layers = [
        target
        for target in targets
        if "experts" not in target or any(matches_name(target, name) for name in linear)
    ]
    rest = [target for target in targets if target not in layers]
    return layers, matched_layers(
        model, rest, expert_stacks(model), kind="experts"
    ) if rest else set()


def targets_of(
    model: torch.nn.Module,
    targets: Sequence[str],
    *,
    divisor: int = 1,
    rank: int = 0,
    ranks: Mapping[str, int] | None = None,
) -> list[str]:
    """Returns the linear layers that ``targets`` mean, in peft's form; raises SpecError where a
    target matches nothing or a layer is too small.

    Every layer's inputs must divide by ``divisor``, and its smaller side be at least its rank: that
    in ``ranks``, or ``rank``.
    """
    names = matched_layers(model, targets)
    sizes = {name: size_of(model.get_submodule(name)) for name in names}
    needed = dict.fromkeys(names, rank) | dict(ranks or {})
    small = {name: size for name, size in sizes.items() if min(size) < needed[name]}
    if small:
        rank = max(needed[name] for name in small)
        raise SpecError(
            Problem("method.rank", say("method.rank_too_large", rank=rank, layers=_told(small)))
        )
    uneven = _told(
        {name: size for name, size in sizes.items() if _inputs(model.get_submodule(name)) % divisor}
    )
    if uneven:
        raise SpecError(
            Problem("method.block", say("method.block_does_not_fit", block=divisor, layers=uneven))
        )
    return shortest_names(model, names)


def matched_layers(
    model: torch.nn.Module,
    targets: Sequence[str],
    layers: Named | None = None,
    *,
    kind: str = "linear",
    where: str = "method.targets",
) -> set[str]:
    """Returns the full names of the layers that ``targets`` mean; raises SpecError, with the names
    there are, for each target that matches nothing.
    """
    return names_meant(
        targets, linear_layers(model) if layers is None else layers, kind=kind, where=where
    )


def names_meant(
    targets: Sequence[str],
    layers: Mapping[str, object],
    *,
    kind: str = "linear",
    where: str = "method.targets",
) -> set[str]:
    """Does the same by the names of ``layers`` alone."""
    meant: set[str] = set()
    problems: list[Problem] = []
    ends = Counter(name.rpartition(".")[2] for name in layers)
    for target in targets:
        if target in (f"all-{kind}", "all") and layers:
            meant |= set(layers)
            continue
        matches = {name for name in layers if matches_name(target, name)}
        if not matches:
            near = difflib.get_close_matches(target, ends, n=1)
            allowed = ", ".join(f"{end} ({count})" for end, count in ends.items())
            hint = say("method.did_you_mean", name=near[0]) if near else ""
            text = say(
                "method.no_match",
                target=target,
                kind=say(f"method.kind_{kind}"),
                hint=hint,
                known=allowed or "-",
            )
            problems.append(Problem(where, text))
        meant |= matches
    if problems:
        raise SpecError(problems)
    return meant


def by_layer(
    model: torch.nn.Module, names: set[str], patterns: Mapping[str, T], where: str
) -> dict[str, T]:
    """Returns the value of each layer in ``names`` that a pattern matches, the first one; raises
    SpecError for a pattern that matches nothing.
    """
    layers = {name: model.get_submodule(name) for name in names}
    values: dict[str, T] = {}
    for pattern, value in patterns.items():
        values = (
            dict.fromkeys(sorted(matched_layers(model, [pattern], layers, where=where)), value)
            | values
        )
    return values


def pattern_of(values: Mapping[str, T], default: T) -> dict[str, T]:
    """Returns what is not ``default`` as peft's patterns: an end of names where all layers with it
    have one value, else whole names.
    """
    by_end: dict[str, set[T]] = {}
    for name, value in values.items():
        by_end.setdefault(name.rpartition(".")[2], set()).add(value)
    ends = {name: name.rpartition(".")[2] for name in values}
    return {
        ends[n] if len(by_end[ends[n]]) == 1 else n: value
        for n, value in values.items()
        if value != default
    }


def matches_name(target: str, name: str) -> bool:
    """Tells whether ``target`` is ``name``, its end, or a regular expression that matches all of
    it.
    """
    return name == target or name.endswith(f".{target}") or _full_match(target, name)


def shortest_names(model: torch.nn.Module, names: set[str]) -> list[str]:
    """Shortens ``names`` to ends of names (q_proj) where these mean the same layers, which adapters
    elsewhere expect; else returns them in full.
    """
    ends = {name.rpartition(".")[2] for name in names}
    same = {name for name, _ in model.named_modules() if name.rpartition(".")[2] in ends}
    return sorted(ends if same == names else names)


def _full_match(pattern: str, name: str) -> bool:
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return False


def _told(sizes: Mapping[str, Sequence[int]]) -> str:
    """Lists the layers as ``q_proj 32×16``, each kind once."""
    kinds = {name.rpartition(".")[2]: "×".join(map(str, size)) for name, size in sizes.items()}
    return ", ".join(f"{name} {size}" for name, size in sorted(kinds.items()))
