"""IA3 (Liu et al. 2022, T-Few, section 3.3): keys, values and the inputs of the second feed-forward
layer times a vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, matched_layers, shortest_names, with_adapter
from tunesmith.models.structure.layers import linear_layers
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch

# Where keys and values are one layer with the queries (GPT-2, Phi-3, NeoX), its queries are scaled
# with them, as in peft.
KEYS_AND_VALUES = (
    "k_proj",
    "v_proj",
    "qkv_proj",
    "query_key_value",
    "c_attn",
    "W_pack",
    "Wqkv",
    "k",
    "v",
)
KEYS_AND_VALUES += (
    "self.key",
    "self.value",
    "attention.key",
    "attention.value",
    "key_proj",
    "value_proj",
    "k_lin",
    "v_lin",
)
SECOND = (
    "down_proj",
    "fc2",
    "dense_4h_to_h",
    "mlp.c_proj",
    "fc_out",
    "w2",
    "wo",
    "ffn_output",
    "ffn.lin2",
    "mlp.Wo",
)


@METHODS.register
class Ia3(Method):
    """One scale for each channel of keys, values and feed-forward; a few thousand weights."""

    learning_rate = 5e-3
    source = (
        "no published rate that was checked; a tuned one gave 0.455, LoRA's usual 0.311, in "
        "PEFT's method comparison"
    )
    search = (1e-3, 2e-2)
    changes = frozenset({"linear"})

    class Config(Spec):
        """Scales of activations."""

        targets: Targets = ("auto",)
        """Layers whose outputs are scaled, and feed-forward layers (down_proj, fc2) whose inputs
        are; auto takes the paper's.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the adapter on the model with peft, its scales starting at 1; raises SpecError when
        a target matches nothing.
        """
        from peft import IA3Config

        targets: tuple[str, ...] = self.config.targets
        if targets == ("auto",):
            keys = tuple(f".{end}" for end in KEYS_AND_VALUES)
            targets = (
                tuple(
                    name for name in linear_layers(model) if name.endswith(keys) or _is_second(name)
                )
                or targets
            )
        names = matched_layers(model, targets)
        second = {name for name in names if _is_second(name)}
        return with_adapter(
            model,
            IA3Config,
            target_modules=shortest_names(model, names),
            feedforward_modules=shortest_names(model, second),
        )


def _is_second(name: str) -> bool:
    """Tells whether this is the second layer of a feed-forward part, which BERT and similar models
    name like attention's last.
    """
    like_bert = name.endswith(".output.dense") and not name.endswith(".attention.output.dense")
    return like_bert or name.endswith(tuple(f".{end}" for end in SECOND))
