"""Where A and B of a LoRA start, beyond what peft does by itself on any machine.

EVA (Paischer et al. 2024): A is the main directions of the layer's inputs, B is 0. LoftQ is in
``models/adapters/loftq.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft.utils.incremental_pca import IncrementalPCA

from tunesmith.batches.batch import Batch
from tunesmith.errors import Problem, SpecError
from tunesmith.models.adapters.loftq import lora_layers
from tunesmith.models.calling.views import see
from tunesmith.words import say


@torch.no_grad()
def from_inputs(model: torch.nn.Module, batches: Sequence[Batch]) -> None:
    """Starts LoRA as EVA does: rows of A are the first principal components of the layer's inputs,
    found batch by batch.

    Every layer keeps its rank: the paper's moving of ranks between layers (its rho) is 1 here.
    Twice as many directions are followed as are used, for the last ones turn as batches come in.
    Micro-batches with fewer tokens than that are left out; SpecError when none is left.
    """
    layers = lora_layers(model)
    followed = {
        name: min(2 * layer.r["default"], layer.in_features) for name, layer in layers.items()
    }
    most = max(followed.values())
    usable = [batch for batch in batches if int(batch.mask_T.sum()) >= most]
    if not usable:
        raise SpecError(Problem("method.init", say("method.eva_too_few", tokens=most)))
    components = {
        name: IncrementalPCA(count, lowrank=True, lowrank_seed=42)
        for name, count in followed.items()
    }
    training = model.training
    model.eval()
    for batch in usable:
        real_T = batch.mask_T.bool()

        def keep(name: str, real_T: torch.Tensor = real_T) -> Any:
            def hook(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
                inputs_TD = inputs[0].reshape(-1, inputs[0].shape[-1])
                components[name].partial_fit(inputs_TD[real_T[: len(inputs_TD)]].float())

            return hook

        handles = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]
        try:
            see(model, batch)
        finally:
            for handle in handles:
                handle.remove()
    model.train(training)
    for name, layer in layers.items():
        weight = layer.lora_A["default"].weight
        weight.copy_(components[name].components_[: len(weight)].to(weight))
