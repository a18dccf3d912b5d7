"""Balance of experts (Switch, Fedus et al. 2022, eq. 4–6): E Σ f_e P_e, for each sequence and
weighted by its units.

f_e is how many of the sequence's tokens go to expert e, P_e the mean probability that the router
gives it. Suffixes: L routers, E experts. A token that sequences share counts in each of them,
padding in none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tunesmith.batches.batch import Batch, Ratio
from tunesmith.models.adapters.layers.experts import routed


def means_over_sequences(batch: Batch) -> torch.Tensor:
    """Returns a matrix ``[B, T]`` whose product with a value for each token is the mean over the
    tokens of each sequence.
    """
    index_M, owner_M = batch.members()
    # Not bincount, for which CUDA waits.
    ones_M = torch.ones(len(owner_M), device=owner_M.device)
    lengths_B = torch.zeros(len(batch.ends_B), device=owner_M.device).index_add(0, owner_M, ones_M)
    means_BT = torch.zeros(len(lengths_B), len(batch.ids_T), device=index_M.device)
    means_BT[owner_M, index_M] = 1.0 / lengths_B[owner_M]
    return means_BT


class Routers:
    """The routers of a model that is a mixture of experts, and its auxiliary loss; a model that is
    none costs nothing.
    """

    def __init__(self, model: Any) -> None:
        settings = model.config.get_text_config().to_dict()
        self.weight = float(settings.get("router_aux_loss_coef") or 0.0)
        self.top_k = int(settings.get("num_experts_per_tok") or 1)
        self._seen: dict[int, torch.Tensor] = {}
        self._metrics: dict[str, Ratio] = {}
        # An encoder's tokens are not those of the batch.
        routers = gates(model) if self.weight and not model.config.is_encoder_decoder else []
        for number, (gate, index) in enumerate(routers):
            gate.register_forward_hook(self._recorder(number, index))

    def _recorder(self, number: int, index: int) -> Any:
        def record(gate: torch.nn.Module, _: object, output: Any) -> None:
            if gate.training and torch.is_grad_enabled():
                logits = output[index] if isinstance(output, tuple) else output
                self._seen[number] = logits.reshape(-1, logits.shape[-1])

        return record

    def penalty(self, batch: Batch) -> Any:
        """Computes ``router_aux_loss_coef`` times the loss, as transformers defines it over all
        layers together, summed over units.
        """
        seen, self._seen, self._metrics = list(self._seen.values()), {}, {}
        if not seen:
            return 0.0
        # bf16 has 8 bits, too few for a mean over thousands of tokens.
        with torch.autocast(batch.ids_T.device.type, enabled=False):
            means_BT = means_over_sequences(batch)
            pairs = [routed(logits, self.top_k) for logits in seen]
            probs_BE = torch.stack([means_BT @ probs for probs, _ in pairs]).mean(0)
            chosen_BE = torch.stack([means_BT @ chosen for _, chosen in pairs]).mean(0)
            total = (probs_BE.shape[1] * (probs_BE * chosen_BE).sum(1) * batch.units_B).sum()
        self._metrics = {"router_loss": Ratio(total.detach(), batch.units)}
        return self.weight * total

    def metrics(self) -> dict[str, Ratio]:
        """Returns the loss of the last batch, before its weight."""
        return self._metrics


def balance(
    seen: Sequence[tuple[torch.Tensor, torch.Tensor]], batch: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Computes the mean over routers of E Σ f_e P_e, with f_e as shares of the choices (1 when
    even), summed over units.

    Also how many choices fell on each expert, ``[L, E]``.
    """
    means_BT = means_over_sequences(batch)
    lengths_B = (means_BT > 0).sum(1, dtype=torch.float32)
    terms, counts = [], []
    for probs_TE, chosen_TE in seen:
        chosen_BE = means_BT @ chosen_TE
        shares_BE = chosen_BE / chosen_BE.sum(1, keepdim=True)
        terms.append(probs_TE.shape[1] * (shares_BE * (means_BT @ probs_TE)).sum(1))
        counts.append(lengths_B @ chosen_BE)
    return (torch.stack(terms).mean(0) * batch.units_B).sum(), torch.stack(counts)


def gates(model: torch.nn.Module) -> list[tuple[Any, int]]:
    """Finds the routers of a mixture of experts, each with the index of its logits in its output,
    as the class declares it.
    """
    index_of: dict[object, int] = {}
    for part in model.modules():
        recorders = (getattr(part, "_can_record_outputs", None) or {}).get("router_logits")
        if not isinstance(recorders, list):
            recorders = [recorders] if recorders else []
        for recorder in recorders:
            kind = getattr(recorder, "target_class", recorder)
            index = getattr(recorder, "index", 0)
            index_of |= {gate: index for gate in part.modules() if isinstance(gate, kind)}
    return list(index_of.items())
