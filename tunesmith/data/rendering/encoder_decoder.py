"""The two sides of a model with an encoder and a decoder: what stands around a source, and what its
decoder begins with.

Which tokens these are is in the model's config, of which a saved run holds no copy; so they travel
with the tokenizer, in its own settings, and are saved with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.rendering.text_to_ids import ids_of, places_of, spans

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer

KEY = "encoder_decoder"
"""Under this name ``load_tokenizer`` puts the config's ``start`` and ``end`` into the tokenizer's
settings.
"""


@dataclass(frozen=True)
class Sides:
    """Texts to the ids of either side."""

    tokenizer: Tokenizer
    start: tuple[int, ...]
    """What the decoder is given: its start token, then what the tokenizer puts in front of an
    answer (BART's ``<s>``).
    """
    before: tuple[int, ...]
    """What the tokenizer puts in front of a source."""
    after: tuple[int, ...]
    """What ends a source: what the tokenizer puts there, the config's end token where it puts none.
    """

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Sides | None:
        """Finds the two sides of the tokenizer's model; None for a decoder alone."""
        marks = tokenizer.init_kwargs.get(KEY)
        if marks is None:
            return None
        before, after = around(tokenizer, "text")
        if marks["end"] is not None and marks["end"] not in after:
            after = (*after, marks["end"])
        return cls(tokenizer, (marks["start"], *around(tokenizer, "text_target")[0]), before, after)

    @property
    def fixed(self) -> tuple[tuple[int, ...], ...]:
        """The tokens that every row has."""
        return self.start, self.before, self.after

    def source(self, text: str) -> np.ndarray:
        """Returns int32 ids of the encoder's text."""
        return np.array(
            [*self.before, *ids_on(self.tokenizer, "text", text), *self.after], np.int32
        )

    def answer(self, text: str) -> list[int]:
        """Returns the ids of the decoder's text, without the token that ends it."""
        return ids_on(self.tokenizer, "text_target", text)

    def places(self, text: str) -> list[tuple[int, int]]:
        """Returns the span of characters of each id of ``answer(text)``."""
        return places_of(self.tokenizer, text, side="text_target")


def beginning(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Returns the ids that a decoder beside an encoder starts with; none for a decoder alone."""
    sides = Sides.of(tokenizer)
    return sides.start if sides else ()


def continued(
    prompt: np.ndarray,
    answer: Sequence[int],
    start: Sequence[int] = (),
    *,
    weights: float | Sequence[float] = 1.0,
) -> Tokens:
    """Makes a sequence with ``answer`` scored after ``prompt`` or, where a decoder begins with
    ``start``, beside it.
    """
    given = np.asarray(start if len(start) else prompt, np.int32)
    ids_T = np.concatenate([given, np.asarray(answer, np.int32)])
    weights_T = np.zeros(len(ids_T), np.float32)
    weights_T[len(given) :] = weights
    return Tokens(
        ids_T, weights_T, source_ids_T=np.asarray(prompt, np.int32) if len(start) else None
    )


def ids_on(tokenizer: Tokenizer, side: str, text: str, *, special: bool = False) -> list[int]:
    """Returns the ids of a text on one of the sides; ``special`` adds the tokens that the tokenizer
    puts around it.
    """
    if special:
        return list(tokenizer(**{side: text}, verbose=False)["input_ids"])
    return [
        token
        for part, plain in spans(tokenizer, text)
        for token in ids_of(tokenizer, part, side=side, plain=plain)
    ]


def around(tokenizer: Tokenizer, side: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the ids that the tokenizer puts before a text and after it."""
    plain = ids_on(tokenizer, side, "a")
    added = ids_on(tokenizer, side, "a", special=True)
    start = next((n for n in range(len(added)) if added[n : n + len(plain)] == plain), 0)
    return tuple(added[:start]), tuple(added[start + len(plain) :])
