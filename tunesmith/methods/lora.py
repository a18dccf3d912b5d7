"""LoRA (Hu et al. 2021, section 4.1): W + (alpha / rank) B A, with A (rank × in) and B (out × rank) trained.

Variants: rsLoRA (Kalajdzievski 2023, theorem 3.2), DoRA (Liu et al. 2024, eq. 5). Starts: PiSSA (Meng et al. 2024,
eq. 2–4) and OLoRA (Büyükakyüz 2024) take B A out of W at the start; what they save is a LoRA for the untouched W.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from tunesmith.errors import Problem, SpecError
from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, targets_of, task_type, with_adapter
from tunesmith.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch


@METHODS.register
class Lora(Method):
    """Trains a low-rank change beside each targeted linear layer; the base stays as it is."""

    learning_rate = 2e-4
    source = "Dettmers et al. 2023 (QLoRA), appendix B: 2e-4 for 7B and 13B models with LoRA on all linear layers"
    search = (5e-5, 2e-3)
    changes = frozenset({"linear"})

    class Config(Spec):
        """Low-rank adaptation."""

        rank: Annotated[int, Gt(0)] = 16
        """Rank of the change; the trained weights grow with it."""
        alpha: Annotated[float, Gt(0)] | None = None
        """Scale of the change is alpha / rank; twice the rank when not given."""
        variant: Literal["plain", "rslora", "dora"] = "plain"
        """rslora scales by alpha / √rank, for high ranks; dora trains size and direction apart, more slowly."""
        init: Literal["plain", "gaussian", "orthogonal", "pissa", "olora"] = "plain"
        """Where A and B start; pissa and olora start at the main part of the layer, which the base then lacks in training."""
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
        """Share of the adapter's inputs that is dropped in training."""
        bias: Literal["none", "all", "lora_only"] = "none"
        """Which biases are trained too."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over whole names."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.rewrites_base = config.init in ("pissa", "olora")
        self._start: dict[str, torch.Tensor] = {}
        """A and B of each layer as they were taken out of the base."""

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """A peft model; SpecError when a target matches nothing or a layer is smaller than the rank."""
        from peft import LoraConfig

        from tunesmith.models.layers.lora import fuse

        config = self.config
        targets = targets_of(model, config.targets, rank=config.rank)
        # A model without memory for weights, which only the plan makes, has nothing to take apart.
        empty = next(model.parameters()).is_meta
        init: Any = True if config.init == "plain" or empty else config.init
        how = {"use_rslora": config.variant == "rslora", "use_dora": config.variant == "dora", "init_lora_weights": init}
        alpha = config.alpha if config.alpha is not None else 2 * config.rank
        how |= {"r": config.rank, "lora_alpha": alpha, "lora_dropout": config.dropout, "bias": config.bias}
        self.model = with_adapter(model, LoraConfig(**how, target_modules=targets, task_type=task_type(model)))
        if config.init == "olora" and any(vars(part).get("fan_in_fan_out") for part in self.model.modules()):
            # peft takes such a weight apart the wrong way round, and fails at the first batch.
            raise SpecError(Problem("method.init", say("method.cannot_take", method="olora", error="Conv1D")))
        fuse(self.model)
        if self.rewrites_base:
            self._start = {name: weight.detach().clone() for name, weight in self._factors().items()}
        return self.model

    def _factors(self) -> dict[str, torch.Tensor]:
        """A and B of each layer by the names that peft saves them under."""
        return {
            name.replace(".default", ""): weight
            for name, weight in self.model.named_parameters()
            if ".lora_A." in name or ".lora_B." in name
        }

    def state(self) -> dict[str, torch.Tensor]:
        """What was taken out of the base."""
        return self._start

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores ``state()``; where this machine took out something else, the base gets it back."""
        for name, part in self.model.named_modules():
            key = f"{name}.lora_A.weight"
            if key not in state:
                continue
            down, up = (key, key.replace("lora_A", "lora_B"))
            if any(not state[one].equal(self._start[one].cpu()) for one in (down, up)):
                taken = self._start[up] @ self._start[down] - (state[up] @ state[down]).to(self._start[up])
                _add(part, taken)
        self._start = {name: weight.to(self._start[name]) for name, weight in state.items()}

    def save(self, model: torch.nn.Module, folder: Path) -> None:
        """peft's folder. W − s B₀A₀ + s B A is W + s [B, −B₀] [A; A₀]: a LoRA of twice the rank on the untouched base."""
        super().save(model, folder)
        if not self.rewrites_base:
            return
        import torch
        from peft import LoraConfig
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "adapter_model.safetensors")
        for name, start in self._start.items():
            first, sign = (0, 1) if "lora_A" in name else (1, -1)
            weights[name] = torch.cat([weights[name], sign * start.to(weights[name])], dim=first)
        save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        config: Any = LoraConfig.from_pretrained(str(folder))
        config.lora_alpha *= 2**0.5 if config.use_rslora else 2
        config.r, config.init_lora_weights = 2 * config.r, True
        config.save_pretrained(str(folder))


def _add(layer: Any, taken: torch.Tensor) -> None:
    """Adds s · ``taken`` to the base's weight of a peft layer."""
    weight, change = layer.base_layer.weight.data, layer.scaling["default"] * taken
    weight += (change.T if layer.fan_in_fan_out else change).to(weight)
