"""Rows that are asked, within what the model reads: cut as the run cuts, or refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.lengths import cuttable, least, truncate, without_beginning
from tunesmith.data.rendering.render import Render
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat
from tunesmith.settings.run import Run
from tunesmith.words import say


@dataclass
class Fitting:
    """``limit`` is the longest row that the model takes (tokens), None where it says none; ``cut``
    counts the rows that were cut.
    """

    limit: int | None
    render: Render
    run: Run
    cut: int = 0

    @property
    def longest(self) -> int | None:
        """The model's limit or that of the run, whichever is less."""
        limits = [length for length in (self.run.data.max_length, self.limit) if length is not None]
        return min(limits, default=None)

    def told(self, rows: int) -> str:
        """Tells a person how many of ``rows`` were cut."""
        return say("chat.cut", count=self.cut, rows=rows, limit=self.limit)

    def counted(self, tokens: Tokens) -> Tokens:
        """Counts ``tokens`` as cut where the tokenizer cut them, and returns them."""
        self.cut += tokens.lost > 0
        return tokens

    def prompt(self, ids_T: np.ndarray) -> np.ndarray:
        """Cuts a prompt so that it leaves room for an answer; raises DataError where a prompt is
        too long and the run does not cut.
        """
        room = self.room
        if self._fits(len(ids_T), room):
            return ids_T
        assert self.limit is not None, "without a limit everything fits"
        most = self.limit - room
        if self.render.sides is not None:  # it loses its end, as in training
            return np.r_[ids_T[: most - 1], ids_T[-1:]]
        bos = list(self.render.pieces.bos)
        head = len(bos) if ids_T[: len(bos)].tolist() == bos else 0
        return np.r_[ids_T[:head], ids_T[len(ids_T) - (most - head) :]]

    def asked(self, chat: Chat) -> np.ndarray:
        """Returns the prompt of a conversation, with room for an answer; a longer one loses the
        beginning of the question, as in training.
        """
        ids_T = self.render.prompt(chat)
        room = self.room
        if self.render.sides is not None:
            return self.prompt(ids_T)
        if self._fits(len(ids_T), room):
            return ids_T
        assert self.limit is not None, "without a limit everything fits"

        def cut(count: int) -> np.ndarray:
            shorter = without_beginning(chat, count, self.render)
            assert isinstance(shorter, Chat), "a conversation stays one"
            return self.render.prompt(shorter)

        limit, most = self.limit - room, cuttable(chat, self.render)
        count = least(most, lambda count: len(cut(count)) <= limit)
        if count is None:
            raise self._too_long(room)
        return cut(count)

    def answered(self, tokens: Tokens) -> Tokens:
        """Returns an answered conversation that the model can read."""
        if self._fits(len(tokens), 0):
            return tokens
        assert self.limit is not None, "without a limit everything fits"
        return truncate(tokens, self.limit, bos=self.render.pieces.bos)

    @property
    def room(self) -> int:
        """The number of positions left for an answer (tokens)."""
        if self.limit is None or self.render.sides is not None:
            return 0
        return min(self.run.generate.max_new_tokens, max(1, self.limit // 8))

    def _fits(self, length: int, room: int) -> bool:
        """Tells whether a row fits; counts it as cut where not, or raises DataError where the run
        does not cut.
        """
        if self.limit is None or length + room <= self.limit:
            return True
        if self.run.data.too_long != "truncate" or self.render.slots:
            raise self._too_long(room)
        self.cut += 1
        return False

    def _too_long(self, room: int) -> DataError:
        assert self.limit is not None, "without a limit everything fits"
        if not room:
            return DataError(Problem("", say("chat.too_long_to_read", limit=self.limit)))
        fields = {"most": self.limit - room, "limit": self.limit, "room": room}
        return DataError(Problem("", say("chat.row_too_long", **fields)))
