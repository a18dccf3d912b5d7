"""Prompt tuning (Lester et al. 2021, section 2.1): a few embedded words before every row are
trained, and nothing else.
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
class Prompt(Method):
    """A soft prompt: the trained embeddings of some words that stand before every row."""

    learning_rate = 1e-2
    source = (
        "measured, SmolLM2-135M, 321 questions of TREC: 98 % of the loss that LoRA takes off; "
        "Lester et al. 2021 use 0.3 with Adafactor on T5"
    )
    search = (1e-3, 0.3)
    merges, starts_as_base = False, False

    class Config(Spec):
        """A soft prompt."""

        tokens: Annotated[int, Gt(0)] = 20
        """Virtual tokens; they take their place from ``data.max_length``."""
        init: str | None = None
        """A hard prompt to begin with, repeated or cut to that many tokens; words drawn from the
        vocabulary when not given.
        """

    @property
    def virtual_tokens(self) -> int:
        """The soft prompt's tokens."""
        return self.config.tokens

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the soft prompt before the model's rows; peft knows it as prompt tuning."""
        from tunesmith.models.adapters.layers.prompts import Table

        return with_prompt(model, self.config, "words", Table, peft_type="PROMPT_TUNING")
