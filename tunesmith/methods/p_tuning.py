"""P-tuning (Liu et al. 2021, "GPT understands, too", eq. 4): a soft prompt that a small network
writes while it is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Gt

from tunesmith.methods import METHODS, Method
from tunesmith.methods._prompts import first_slot, with_prompt
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch


@METHODS.register
class PTuning(Method):
    """An LSTM or a feed-forward network that gives the soft prompt; only what it gives is saved
    with the model.
    """

    learning_rate = 5e-3
    source = "measured, SmolLM2-135M, 321 questions of TREC: 96 % of the loss that LoRA takes off"
    search = (5e-4, 3e-2)
    merges, starts_as_base = False, False

    class Config(Spec):
        """A soft prompt from a network."""

        tokens: Annotated[int, Gt(0)] = 20
        """Virtual tokens; they take their place from ``data.max_length``."""
        encoder: Literal["lstm", "mlp"] = "lstm"
        """What gives the prompt: an LSTM in both directions before a feed-forward network, or that
        network alone.
        """
        hidden: Annotated[int, Gt(1)] = 256
        """Width of the network."""
        place: Literal["front", "template"] = "front"
        """Where they stand: before every row, or one where each ``[P]`` stands in
        ``data.template``.
        """
        init: str | None = None
        """A hard prompt to begin with, repeated or cut to that many tokens; words drawn from the
        vocabulary when not given.
        """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if self.slots:
            self.layouts, self.kinds = frozenset({"padded"}), frozenset({"decoder"})

    @property
    def virtual_tokens(self) -> int:
        """The soft prompt's tokens, where it stands before the rows."""
        return 0 if self.slots else self.config.tokens

    @property
    def slots(self) -> int:
        """The soft prompt's tokens, where it stands inside the rows."""
        return self.config.tokens if self.config.place == "template" else 0

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the soft prompt before the model's rows; peft knows it as P-tuning."""
        from tunesmith.models.adapters.layers.prompts import Recurrent

        config = self.config

        def encoder(start: torch.Tensor) -> torch.nn.Module:
            return Recurrent(start, config.hidden, lstm=config.encoder == "lstm").to(start.device)

        options = {
            "encoder_reparameterization_type": config.encoder.upper(),
            "encoder_hidden_size": config.hidden,
        }
        self.model = with_prompt(model, config, "words", encoder, peft_type="P_TUNING", **options)
        if self.slots:
            self.model.first_slot = first_slot(model)
        return self.model

    def state(self) -> dict[str, torch.Tensor]:
        """Returns the prompt's start."""
        return dict(self.model.encoder.named_buffers())

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores ``state()``."""
        self.model.encoder.load_state_dict(state, strict=False)
