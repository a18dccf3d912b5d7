"""LoRA (Hu et al. 2021, section 4.1): W + (alpha / rank) B A, with A (rank × in) and B (out × rank) trained."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import BeforeValidator

from tunesmith.errors import Problem, SpecError
from tunesmith.methods import METHODS, Method
from tunesmith.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch


def _as_list(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


@METHODS.register
class Lora(Method):
    """Trains a low-rank change beside each targeted linear layer; the base stays as it is."""

    learning_rate = 2e-4
    source = "Dettmers et al. 2023 (QLoRA), appendix B: 2e-4 for 7B and 13B models with LoRA on all linear layers"

    class Config(Spec):
        """Low-rank adaptation."""

        rank: Annotated[int, Gt(0)] = 16
        """Rank of the change; the trained weights grow with it."""
        alpha: Annotated[float, Gt(0)] | None = None
        """Scale of the change is alpha / rank; twice the rank when not given."""
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
        """Share of the adapter's inputs that is dropped in training."""
        bias: Literal["none", "all", "lora_only"] = "none"
        """Which biases are trained too."""
        targets: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over whole names."""

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """A peft model whose adapter weights are fp32, whatever the base; SpecError when a target matches nothing."""
        import torch
        from peft import LoraConfig, get_peft_model

        config = self.config
        names = matched_layers(model, config.targets)
        too_small = _smaller_than(model, names, config.rank)
        if too_small:
            raise SpecError(Problem("method.rank", say("lora.rank_too_large", rank=config.rank, layers=too_small)))
        peft_model = get_peft_model(
            model,  # type: ignore[arg-type]
            LoraConfig(
                r=config.rank,
                lora_alpha=config.alpha if config.alpha is not None else 2 * config.rank,
                lora_dropout=config.dropout,
                bias=config.bias,
                target_modules=shortest_names(model, names),
                task_type="CAUSAL_LM",
            ),
        )
        for parameter in peft_model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(torch.float32)
        return peft_model  # type: ignore[return-value]


def linear_layers(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The linear layers by full name, without the output head (GPT-2's Conv1D counts as linear)."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()  # type: ignore[operator]
    return {name: part for name, part in model.named_modules() if isinstance(part, torch.nn.Linear | Conv1D) and part is not head}


def matched_layers(model: torch.nn.Module, targets: Sequence[str]) -> set[str]:
    """Full names of the layers that ``targets`` mean; SpecError that lists what there is for each that matches nothing."""
    layers = linear_layers(model)
    found: set[str] = set()
    problems: list[Problem] = []
    ends = Counter(name.rpartition(".")[2] for name in layers)
    for target in targets:
        if target in ("all-linear", "all"):
            found |= set(layers)
            continue
        matches = {name for name in layers if name == target or name.endswith(f".{target}") or _full_match(target, name)}
        if not matches:
            near = difflib.get_close_matches(target, ends, n=1)
            known = ", ".join(f"{end} ({count})" for end, count in ends.items())
            hint = say("lora.did_you_mean", name=near[0]) if near else ""
            problems.append(Problem("method.targets", say("lora.no_match", target=target, hint=hint, known=known)))
        found |= matches
    if problems:
        raise SpecError(problems)
    return found


def shortest_names(model: torch.nn.Module, names: set[str]) -> list[str]:
    """``names`` as ends of names (q_proj) where these mean the same layers, which adapters elsewhere expect; else in full."""
    ends = {name.rpartition(".")[2] for name in names}
    same = {name for name, _ in model.named_modules() if name.rpartition(".")[2] in ends}
    return sorted(ends if same == names else names)


def _full_match(pattern: str, name: str) -> bool:
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return False


def _smaller_than(model: torch.nn.Module, names: set[str], rank: int) -> str:
    """The layers whose smaller side is below ``rank``, as ``q_proj 32×16``."""
    sizes = {}
    for name in names:
        weight = model.get_submodule(name).weight
        if min(weight.shape) < rank:  # type: ignore[arg-type]
            sizes[name.rpartition(".")[2]] = "×".join(str(side) for side in weight.shape)  # type: ignore[union-attr]
    return ", ".join(f"{name} {size}" for name, size in sorted(sizes.items()))
