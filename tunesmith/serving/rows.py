"""One answer while it is written: what it was asked for, and what a token makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.models.calling.wording import Wording
from tunesmith.settings.run import Generate

if TYPE_CHECKING:
    import torch

Finish = Literal["stop", "length", "error", "gone"]


@dataclass(frozen=True)
class Likely:
    """The log-probability (nats) of a token, and those of the likeliest ones."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Told:
    """What one step adds to an answer; ``finish`` says why it was the last."""

    text: str = ""
    likely: Likely | None = None
    finish: Finish | None = None


class Grammar(Protocol):
    """What an answer has to look like."""

    def bar(self, logits_V: torch.Tensor) -> None:
        """Sets tokens that may not come next to minus infinity."""

    def accept(self, token: int) -> bool:
        """Takes up a token; tells whether the answer is complete."""
        ...


@dataclass(eq=False)
class Row:
    """One answer. ``hear`` is called after each of its steps, in the thread that the engine was
    given; ``gone`` is set by anyone and ends it before its next token.
    """

    prompt: np.ndarray
    settings: Generate
    stop_ids: tuple[int, ...]
    hear: Callable[[Told], None]
    adapter: str = ""
    """The adapter that answers, of those that the engine's model has; empty for its base."""
    seed: tuple[int, ...] = (0,)
    likely: int | None = None
    """How many likely tokens are told with each one; None tells nothing of them."""
    grammar: Grammar | None = None
    after: Row | None = None
    """The row with the same prompt that is computed first, so that this one finds it in the
    cache.
    """
    gone: bool = False
    ids: list[int] = field(default_factory=list)
    """Tokens of the answer, with the one that ended it."""
    known: int = 0
    """Tokens of prompt and answer whose keys and values are in the slot."""
    cached: int = 0
    """Tokens of the prompt that were taken from the cache."""
    slot: int = -1
    asked: float = field(default_factory=time.monotonic)
    begun: float | None = None
    """When it was asked for, and when it was given its slot (seconds of a clock that only
    runs on).
    """
    finish: Finish | None = None
    wording: Wording | None = None
    random: np.random.Generator | None = None

    @property
    def new(self) -> int:
        """Tokens that the next call still has to compute."""
        return len(self.prompt) + len(self.ids) - self.known

    @property
    def most(self) -> int:
        """Tokens of the prompt and the longest answer."""
        return len(self.prompt) + self.settings.max_new_tokens

    @property
    def written(self) -> int:
        """Tokens of the answer, without the one that ended it."""
        return len(self.ids) - (bool(self.ids) and self.ids[-1] in self.stop_ids)

    def tokens(self) -> np.ndarray:
        """Returns prompt and answer."""
        return np.r_[self.prompt, np.array(self.ids, self.prompt.dtype)]

    def uniform(self) -> float:
        """Draws the random number of the next token; it follows from the seed and the place."""
        if self.random is None:
            self.random = np.random.Generator(np.random.PCG64([*self.seed]))
        return float(self.random.random())

    def take(self, token: int, tokenizer: Tokenizer, likely: Likely | None = None) -> Told:
        """Takes up the next token; returns what it adds."""
        if self.wording is None:
            self.wording = Wording(tokenizer, self.settings.stop)
        self.ids.append(token)
        text = ""
        complete = self.grammar is not None and self.grammar.accept(token)
        if token in self.stop_ids:
            self.finish = "stop"
        else:
            text = self.wording.add(token)
            if self.wording.stopped or complete:
                self.finish = "stop"
            elif len(self.ids) >= self.settings.max_new_tokens:
                self.finish = "length"
        if self.finish:
            text += self.wording.rest()
        return Told(text, likely, self.finish)


def in_common(left: Sequence[int] | np.ndarray, right: Sequence[int] | np.ndarray) -> int:
    """Counts the tokens that both begin with."""
    size = min(len(left), len(right))
    different = np.flatnonzero(np.asarray(left[:size]) != np.asarray(right[:size]))
    return int(different[0]) if len(different) else size
