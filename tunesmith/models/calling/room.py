"""The places that a model has for a prompt and the answer to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.rendering.encoder_decoder import beginning
from tunesmith.errors import DataError, Problem
from tunesmith.models.structure.layers import places
from tunesmith.settings.run import Generate
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.tokenizers import Tokenizer


@dataclass(frozen=True)
class Room:
    """The positions for prompt and answer together; beside an encoder for each alone. ``limit`` is
    None where the model gives none.
    """

    limit: int | None
    new: int
    start: int
    """Tokens that a decoder beside an encoder is given; 0 for a decoder alone."""

    @classmethod
    def of(cls, model: torch.nn.Module, tokenizer: Tokenizer, settings: Generate) -> Room:
        """Makes the room of ``model`` for answers under ``settings``."""
        return cls(places(model), settings.max_new_tokens, len(beginning(tokenizer)))

    def answer(self, prompt: int) -> int:
        """Returns the length of the longest possible answer to a prompt of this length (tokens)."""
        if self.limit is None:
            return self.new
        return max(1, min(self.new, self.limit - (self.start or prompt)))

    def within(self, settings: Generate, prompt: int) -> Generate:
        """Returns ``settings`` with no more new tokens than the model has positions for."""
        return settings.model_copy(update={"max_new_tokens": self.answer(prompt)})

    def refuse(self, prompts: Sequence[np.ndarray]) -> None:
        """Raises DataError where a prompt leaves no room for an answer, or says nothing."""
        if not all(map(len, prompts)):
            raise DataError(Problem("prompt", say("chat.nothing_asked")))
        longest = max(map(len, prompts), default=0)
        if self.limit is not None and longest + (not self.start) > self.limit:
            fields = {"tokens": longest, "limit": self.limit}
            raise DataError(Problem("prompt", say("chat.no_room", **fields)))

    def batches(self, lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
        """Yields batches of indices, longest prompt first, so that a batch too large for memory
        shows at once; prompts whose answers have less room come in batches of their own.
        """
        order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
        while order:
            new = self.answer(lengths[order[0]])
            same = sum(self.answer(lengths[index]) == new for index in order)
            size = max(1, min(same, budget // (lengths[order[0]] + new)))
            yield order[:size]
            order = order[size:]
