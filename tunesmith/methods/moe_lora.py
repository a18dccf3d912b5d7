"""A mixture of LoRA experts at each linear layer: LoRAMoE (Dou et al. 2024) with the top-k gates of
MixLoRA (Li et al. 2024).

W x + (alpha / rank) Σ g_e B_e A_e x. We depart from MixLoRA, which routes once a feed-forward
block, by a router for each layer, and from its balance loss by taking it for each sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from tunesmith.batches.batch import Ratio
from tunesmith.methods import METHODS, Method
from tunesmith.methods._mixture import check_top_k
from tunesmith.methods._peft import Targets, matched_layers, targets_of
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from tunesmith.batches.batch import Batch
    from tunesmith.models.adapters.layers.experts import LoraExperts


@METHODS.register
class MoeLora(Method):
    """Several low-rank experts and a router beside each targeted linear layer."""

    learning_rate = 2e-4
    source = (
        "that of lora, whose matrices the experts are; measured on the starter, no published rate "
        "for a router a layer"
    )
    search = (5e-5, 2e-3)
    changes = frozenset({"linear"})
    kinds = frozenset({"decoder", "encoder"})
    merges = False

    class Config(Spec):
        """Low-rank experts."""

        experts: Annotated[int, Gt(1)] = 4
        """Experts at each layer."""
        top_k: Annotated[int, Gt(0)] = 2
        """How many of them a token uses."""
        rank: Annotated[int, Gt(0)] = 8
        """Rank of each expert."""
        alpha: Annotated[float, Gt(0)] | None = None
        """Scale of the change is alpha / rank; twice the rank when not given."""
        balance: Annotated[float, Ge(0)] = 0.01
        """Weight of the loss that spreads the tokens over the experts."""
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
        """Share of the experts' inputs that is dropped in training."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over
        whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Adds the experts to the model; raises SpecError when a target matches nothing or the
        numbers do not fit.
        """
        from tunesmith.models.adapters import beside_base
        from tunesmith.models.adapters.layers.experts import LoraExperts
        from tunesmith.models.structure.layers import sizes

        config = self.config
        check_top_k(config.top_k, config.experts)
        targets_of(model, config.targets, rank=config.rank)
        wanted = matched_layers(model, config.targets)
        names = [name for name, _ in model.named_modules() if name in wanted]
        device = next(model.parameters()).device
        self.layers: dict[str, LoraExperts] = {}
        for name in names:
            layer = model.get_submodule(name)
            inputs, outputs = sizes(layer) or (0, 0)
            experts = LoraExperts(
                inputs, outputs, experts=config.experts, rank=config.rank, device=device
            )
            experts.top_k, experts.dropout = config.top_k, config.dropout
            experts.scale = (
                config.alpha if config.alpha is not None else 2 * config.rank
            ) / config.rank
            experts.beside(layer)
            self.layers[name] = experts
        self._counts: dict[str, torch.Tensor] = {}
        """How many choices fell on each expert so far, by layer; those that have no tokens to
        spread are not in it.
        """
        self._metrics: dict[str, Ratio] = {}
        return beside_base.switchable(model)

    def penalty(self, batch: Batch) -> Any:
        """Computes balance · the mean over layers of E Σ f_e P_e, for each sequence, summed over
        units; 1 · balance when even.
        """
        import torch

        from tunesmith.models.calling.routing import balance

        seen = {name: layer.seen for name, layer in self.layers.items() if layer.seen is not None}
        # What was seen holds the graph of its batch.
        for layer in self.layers.values():
            layer.seen = None
        # A layer that reads one vector a sequence, such as an encoder's pooler, has no tokens to
        # spread.
        seen = {name: pair for name, pair in seen.items() if len(pair[0]) == len(batch.ids_T)}
        self._metrics = {}
        if not seen:
            return 0.0
        with torch.autocast(batch.ids_T.device.type, enabled=False):
            total, counts_LE = balance(list(seen.values()), batch)
        # The choices of a whole run are more than 2**24, where fp32 stops counting.
        counts_LE = counts_LE.to(torch.float32 if counts_LE.is_mps else torch.float64)
        for name, counts_E in zip(seen, counts_LE * (not batch.idle), strict=True):
            self._counts[name] = self._counts.get(name, 0) + counts_E
        shares = {
            f"expert_{e}": Ratio(n, counts_LE.sum()) for e, n in enumerate(counts_LE.sum(0), 1)
        }
        self._metrics = {"balance": Ratio(total.detach(), batch.units), **shares}
        return self.config.balance * total

    def metrics(self) -> dict[str, Ratio]:
        """Returns the balance loss, 1 when even, and the share of the choices that fell on each
        expert, over all layers.
        """
        return self._metrics

    def state(self) -> dict[str, torch.Tensor]:
        """Returns how many choices fell on each expert of each layer so far."""
        return dict(self._counts)

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores ``state()``."""
        device = next(iter(self.layers.values())).router_EI.device
        self._counts = {name: counts_E.to(device) for name, counts_E in state.items()}

    def save(self, model: torch.nn.Module, folder: Path) -> None:
        """Saves the settings and the experts' weights; ``tunesmith.attach`` puts them beside the
        base again.
        """
        from tunesmith.models.adapters import beside_base

        beside_base.save(model, self.config, folder)

    def at_end(self) -> dict[str, object]:
        """Returns the share of the tokens' choices that each expert of each layer got over
        the run.
        """
        shares = {
            name: (counts_E / counts_E.sum()).tolist() for name, counts_E in self._counts.items()
        }
        if not shares:
            return {}
        return {"experts": {name: [round(x, 4) for x in row] for name, row in shares.items()}}
