"""IA3 (Liu et al. 2022, T-Few, section 3.3): keys, values and the inputs of the second feed-forward layer times a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, linear_layers, matched_layers, shortest_names, task_type, with_adapter
from tunesmith.spec import Spec

if TYPE_CHECKING:
    import torch

# Where keys and values are one layer with the queries (GPT-2, Phi-3, NeoX), its queries are scaled with them, as in peft.
KEYS_AND_VALUES = ("k_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn", "W_pack", "k", "v")
SECOND = ("down_proj", "fc2", "dense_4h_to_h", "mlp.c_proj", "fc_out", "w2", "wo")


@METHODS.register
class Ia3(Method):
    """Trains one scale for each channel of keys, values and feed-forward; a few thousand weights."""

    learning_rate = 5e-3
    source = "PEFT's method comparison (Llama-3.2-3B on MetaMathQA): 5e-3 gives 0.455, the usual 1e-4 0.311"
    search = (1e-3, 2e-2)
    changes = frozenset({"linear"})

    class Config(Spec):
        """Scales of activations."""

        targets: Targets = ("auto",)
        """Layers whose outputs are scaled, and feed-forward layers (down_proj, fc2) whose inputs are; auto takes the paper's."""

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """A peft model whose scales start at 1; SpecError when a target matches nothing."""
        from peft import IA3Config

        targets: tuple[str, ...] = self.config.targets
        if targets == ("auto",):
            names = linear_layers(model)
            there = [end for end in KEYS_AND_VALUES + SECOND if any(name.endswith(f".{end}") for name in names)]
            targets = tuple(there) or ("auto",)
        names = matched_layers(model, targets)
        second = {name for name in names if name.endswith(tuple(f".{end}" for end in SECOND))}
        how: dict[str, Any] = {
            "target_modules": shortest_names(model, names),
            "feedforward_modules": shortest_names(model, second),
        }
        return with_adapter(model, IA3Config(**how, task_type=task_type(model)))
