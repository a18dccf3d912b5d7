"""LoRA (Hu et al. 2021, section 4.1): W + (alpha / rank) B A, where A and B alone are trained.

Variants: rsLoRA (Kalajdzievski 2023, theorem 3.2), DoRA (Liu et al. 2024, eq. 5), LoRA+ (Hayou et
al. 2024). Starts: PiSSA (Meng et al. 2024, eq. 2–4) and OLoRA (Büyükakyüz 2024) take B A out of W
at the start; what they save is a LoRA for the untouched W. EVA is in ``_starts.py``, LoftQ in
``models/adapters/loftq.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from tunesmith.errors import Problem, SpecError
from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import (
    Targets,
    by_layer,
    matched_layers,
    names_meant,
    pattern_of,
    stacked,
    targets_of,
    with_adapter,
)
from tunesmith.models.structure.added_tokens import added_rows
from tunesmith.models.structure.layers import expert_stacks
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.batches.batch import Batch


@METHODS.register
class Lora(Method):
    """A low-rank change beside each targeted linear layer; the base stays as it is."""

    learning_rate = 2e-4
    source = (
        "Dettmers et al. 2023 (QLoRA), appendix B: 2e-4 for 7B and 13B models with LoRA on all "
        "linear layers"
    )
    search = (5e-5, 2e-3)
    new_tokens = True
    changes = frozenset({"linear"})

    class Config(Spec):
        """Low-rank adaptation."""

        rank: Annotated[int, Gt(0)] = 16
        """Rank of the change; the trained weights grow with it."""
        alpha: Annotated[float, Gt(0)] | None = None
        """Scale of the change is alpha / rank; twice the rank when not given."""
        variant: Literal["plain", "rslora", "dora"] = "plain"
        """Variant of LoRA: rslora scales by alpha / √rank, for high ranks; dora trains size and
        direction apart, more slowly.
        """
        init: Literal["plain", "gaussian", "orthogonal", "pissa", "olora", "eva", "loftq"] = "plain"
        """Where A and B start; pissa and olora start at the main part of the layer, which the base
        then lacks in training, eva at the main directions of the layer's inputs on the training
        rows, which a few batches give before the first step, loftq at what quantising to nf4
        lost."""
        alternations: Annotated[int, Gt(0)] = 1
        """How often loftq goes to and fro between quantising and what that lost. From 2 on the base
        is quantised anew without B A, so plain peft cannot load what is saved."""
        plus_ratio: Annotated[float, Ge(1)] = 1.0
        """Learning rate of B over that of A (LoRA+); its paper takes 16, with half the usual rate
        or less.
        """
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
        """Share of the adapter's inputs that is dropped in training."""
        bias: Literal["none", "all", "lora_only"] = "none"
        """Which biases of the base are trained too: none, all, or those of the targets."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over
        whole names. The experts of a mixture, which lie in one tensor a layer, are meant by
        ``all-experts`` or a name with ``experts`` in it alone."""
        ranks: dict[str, Annotated[int, Gt(0)]] | None = None
        """Ranks of some of them, by name or pattern as in ``targets``; the first that matches
        counts.
        """
        alphas: dict[str, Annotated[float, Gt(0)]] | None = None
        """Alphas of some of them, in the same way; twice the layer's rank when neither this nor
        alpha is given.
        """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._takes_out = config.init in ("pissa", "olora")
        # The biases are the base's own, and stay as trained when the adapter is off.
        self.rewrites_base = self._takes_out or config.alternations > 1 or config.bias != "none"
        self.starts_as_base = config.init != "loftq"
        drawn = config.init in ("plain", "gaussian") and not self.rewrites_base
        self.by_parts = drawn and config.variant != "dora"
        if self._takes_out or config.init == "loftq":
            self.bases = frozenset({"plain" if self._takes_out else "nf4"})
        self._start: dict[str, torch.Tensor] = {}
        """A and B of each layer as they were taken out of the base; for loftq what was taken out
        before it was quantised.
        """

    def counted(self, layers: Mapping[str, tuple[int, int]]) -> int | None:
        """Counts A and B of each layer where these are all that is trained and nothing about them
        can be refused.
        """
        config = self.config
        settings = config.model_dump(exclude={"rank", "alpha", "targets", "plus_ratio", "dropout"})
        usual = type(config)(name=config.name).model_dump(include=set(settings))
        if settings != usual or any("experts" in target for target in config.targets):
            return None
        sizes = [layers[name] for name in names_meant(config.targets, layers)]
        if any(min(size) < config.rank for size in sizes):
            return None
        return sum(config.rank * sum(size) for size in sizes)

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the adapter on the model with peft; raises SpecError when a target matches nothing
        or a layer is smaller than the rank.
        """
        from peft import LoraConfig

        from tunesmith.models.adapters.layers.lora import fuse

        config = self.config
        if config.init == "loftq" and config.variant == "dora":
            raise SpecError(Problem("method.variant", say("method.loftq_with_dora")))
        if config.init != "loftq" and config.alternations > 1:
            raise SpecError(
                Problem("method.alternations", say("method.alternations", init=config.init))
            )
        # A model without memory for weights, which only the plan makes, has nothing to take apart.
        empty = next(model.parameters()).is_meta
        init: object = True if config.init in ("plain", "eva", "loftq") or empty else config.init
        options = {
            "use_rslora": config.variant == "rslora",
            "use_dora": config.variant == "dora",
            "init_lora_weights": init,
        }
        options |= {"lora_dropout": config.dropout, "bias": config.bias} | self._sizes(model)
        options["trainable_token_indices"] = added_rows(model)
        self.model = with_adapter(model, LoraConfig, **options)
        if config.init == "loftq" and not empty:
            from tunesmith.models.adapters.loftq import alternate

            self._start = alternate(self.model, config.alternations)
        if config.init == "olora" and any(
            vars(part).get("fan_in_fan_out") for part in self.model.modules()
        ):
            # peft takes such a weight apart the wrong way round, and fails at the first batch.
            raise SpecError(
                Problem("method.init", say("method.cannot_take", method="olora", error="Conv1D"))
            )
        if config.bias != "none" and not any(
            name.endswith("bias") for name in _trained(self.model)
        ):
            raise SpecError(Problem("method.bias", say("method.no_bias", bias=config.bias)))
        fuse(self.model)
        if self._takes_out:
            self._start = {
                name: weight.detach().clone() for name, weight in self._factors().items()
            }
        return self.model

    def _sizes(self, model: torch.nn.Module) -> JsonObject:
        """Returns peft's settings: which layers are changed, and the rank and alpha of each."""
        config = self.config
        targets, stacks = stacked(model, config.targets)
        self._refuse_for(stacks, model)
        names = matched_layers(model, targets)
        ranks: dict[str, int] = dict.fromkeys(sorted(names), int(config.rank)) | by_layer(
            model, names, config.ranks or {}, "method.ranks"
        )
        alphas: dict[str, float] = {
            name: 2.0 * rank if config.alpha is None else config.alpha
            for name, rank in ranks.items()
        }
        alphas |= by_layer(model, names, config.alphas or {}, "method.alphas")
        alpha = config.alpha if config.alpha is not None else 2 * config.rank
        patterns = {
            "rank_pattern": pattern_of(ranks, config.rank),
            "alpha_pattern": pattern_of(alphas, alpha),
        }
        experts = {"target_parameters": sorted(stacks)} if stacks else {}
        layers = targets_of(model, targets, ranks=ranks) if targets else []
        return (
            {"r": config.rank, "lora_alpha": alpha, "target_modules": layers} | patterns | experts
        )

    def _refuse_for(self, stacks: set[str], model: torch.nn.Module) -> None:
        """Raises SpecError for settings that peft cannot apply to all experts in one tensor."""
        config = self.config
        there = expert_stacks(model)
        wanted = {"variant": ("plain", "rslora"), "init": ("plain", "gaussian"), "dropout": (0.0,)}
        wanted |= {"ranks": (None,), "alphas": (None,)}
        odd = {
            name: value
            for name, value in config.values(*wanted).items()
            if value not in wanted[name]
        }
        problems = [
            Problem(
                f"method.{name}",
                say(
                    "method.not_for_experts",
                    value=value,
                    known=", ".join(map(str, wanted[name])),
                ),
            )
            for name, value in odd.items()
        ]
        small = {
            name: there[name].shape[1:]
            for name in sorted(stacks)
            if min(there[name].shape[1:]) < config.rank
        }
        if small:
            shown = ", ".join(f"{name} {rows}×{columns}" for name, (rows, columns) in small.items())
            problems.append(
                Problem("method.rank", say("method.rank_too_large", rank=config.rank, layers=shown))
            )
        if stacks and problems:
            raise SpecError(problems)

    def rate_factor(self, name: str, parameter: torch.nn.Parameter) -> float:
        """Makes B, and like peft dora's sizes, learn faster than A (LoRA+)."""
        return (
            self.config.plus_ratio
            if "lora_B" in name or ("lora_" in name and parameter.ndim == 1)
            else 1.0
        )

    def study(self, model: torch.nn.Module, batches: Sequence[Batch]) -> None:
        """Sets EVA's start, from the inputs that the layers get on ``batches``."""
        if self.config.init == "eva":
            from tunesmith.methods._starts import from_inputs

            from_inputs(model, batches)

    def _factors(self) -> dict[str, torch.Tensor]:
        """Returns A and B of each layer by the names under which peft saves them."""
        return {
            name.replace(".default", ""): weight
            for name, weight in self.model.named_parameters()
            if ".lora_A." in name or ".lora_B." in name
        }

    def state(self) -> dict[str, torch.Tensor]:
        """Returns what was taken out of the base."""
        return self._start

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores ``state()``; where this machine took out something else, the base gets it
        back.
        """
        if self.config.init == "loftq":
            from tunesmith.models.adapters.loftq import restore

            self._start = state
            restore(self.model, state)
            return
        for name, part in self.model.named_modules():
            key = f"{name}.lora_A.weight"
            if key not in state:
                continue
            down = key
            up = key.replace("lora_A", "lora_B")
            if any(not state[name].equal(self._start[name].cpu()) for name in (down, up)):
                taken = self._start[up] @ self._start[down] - (state[up] @ state[down]).to(
                    self._start[up]
                )
                _add(part, taken)
        self._start = {name: weight.to(self._start[name]) for name, weight in state.items()}

    def save(self, model: torch.nn.Module, folder: Path) -> None:
        """Saves peft's folder. W − s B₀A₀ + s B A is W + s [B, −B₀] [A; A₀]: a LoRA of twice the
        rank on the untouched base.
        """
        super().save(model, folder)
        if self.config.init == "loftq":
            from tunesmith.models.adapters.loftq import save

            save(self._start, folder)
        if not self._takes_out:
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
        # At twice the rank alpha / rank would be half as large, and alpha / √rank 1/√2 as large.
        factor = 2**0.5 if config.use_rslora else 2
        config.lora_alpha *= factor
        config.alpha_pattern = {
            name: alpha * factor for name, alpha in config.alpha_pattern.items()
        }
        config.rank_pattern = {name: 2 * rank for name, rank in config.rank_pattern.items()}
        config.r, config.init_lora_weights = 2 * config.r, True
        config.save_pretrained(str(folder))


def _trained(model: torch.nn.Module) -> list[str]:
    """Returns the names of the trained weights, without those of a head, which is trained whole
    with every method.
    """
    return [
        name
        for name, weight in model.named_parameters()
        if weight.requires_grad and "modules_to_save" not in name
    ]


def _add(layer: Any, taken: torch.Tensor) -> None:
    """Adds s · ``taken`` to the base's weight of a peft layer."""
    weight = layer.base_layer.weight.data
    change = layer.scaling["default"] * taken
    weight += (change.T if layer.fan_in_fan_out else change).to(weight)
