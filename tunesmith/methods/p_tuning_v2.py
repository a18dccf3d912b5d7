"""P-tuning v2 (Liu et al. 2022, section 3.2): keys and values for every layer, before every row,
trained as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from tunesmith.methods import METHODS, Method
from tunesmith.methods._prompts import with_prompt
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch


@METHODS.register
class PTuningV2(Method):
    """Some trained keys and values for every layer to attend to; prefix tuning without its
    network.
    """

    learning_rate = 1e-2
    source = "measured, SmolLM2-135M, 321 questions of TREC: 99.9 % of the loss that LoRA takes off"
    search = (1e-3, 0.1)
    merges, starts_as_base = False, False
    kinds = frozenset({"decoder", "encoder"})

    class Config(Spec):
        """Keys and values."""

        tokens: Annotated[int, Gt(0)] = 20
        """Virtual tokens; they take their place from ``data.max_length``."""
        init: str | None = None
        """A hard prompt whose keys and values to begin with, repeated or cut; those of drawn words
        when not given.
        """

    @property
    def virtual_tokens(self) -> int:
        """The prefix's tokens."""
        return self.config.tokens

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts keys and values before the model's rows; for peft, prefix tuning without
        projection.
        """
        from tunesmith.models.adapters.layers.prompts import Table

        return with_prompt(
            model, self.config, "keys", Table, peft_type="PREFIX_TUNING", prefix_projection=False
        )
