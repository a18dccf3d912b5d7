"""A conversation of several turns with a run's model, its answers streamed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tunesmith import words
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Chat, Turn, final
from tunesmith.predicting.fitting import Fitting
from tunesmith.settings.family import OBJECTIVES
from tunesmith.storage.run_folder import RunFolder


class Session:
    """The turns so far. ``forgotten`` counts rounds that no longer fit into the model's context and
    were left out, ``cut`` the questions that lost their beginning, as the run's rows do.
    """

    def __init__(self, folder: RunFolder, *, tuned: bool = True, system: str | None = None) -> None:
        from tunesmith.models.saved import load_run

        self.run = folder.resolved().run
        if not OBJECTIVES.make(self.run.objective).output.writes:
            raise SpecError(words.say("classes.chat", folder=folder.path))
        self.loaded = load_run(folder, tuned=tuned)
        assert self.loaded.render is not None, "a run's model comes with its renderer"
        self.render = self.loaded.render
        self.settings = self.run.generate
        self.system = (Turn("system", system),) if system else ()
        self.limit = self.loaded.limit
        self.reset()

    def reset(self) -> None:
        """Forgets the conversation; the system prompt stays."""
        self.turns: tuple[Turn, ...] = ()
        self.forgotten = self.cut = 0

    def say(self, text: str) -> Iterator[str]:
        """Yields the answer, piece by piece. What was said before the caller stops listening is
        part of the conversation.

        DataError for a question that is too long; the conversation is then as it was.
        """
        from tunesmith.models.calling.generate import stream

        before = self.turns, self.forgotten
        self.turns = (*self.turns, Turn("user", text))
        try:
            prompt = self._fitting()
        except DataError:
            self.turns, self.forgotten = before
            raise
        seed = self.run.train.seed + len(self.turns)
        pieces: list[str] = []
        try:
            loaded = self.loaded
            for piece in stream(
                loaded.model,
                loaded.tokenizer,
                prompt,
                self.settings,
                stop_ids=self.render.stop_ids,
                seed=seed,
            ):
                pieces.append(piece)
                yield piece
        finally:
            self.turns = (*self.turns, Turn("assistant", final("".join(pieces))))

    def _fitting(self) -> np.ndarray:
        """Returns the prompt, without the oldest rounds where an answer would not fit. A question
        that is too long by itself is cut as ``predict`` cuts it, or DataError.
        """
        while True:
            asked = {"question": self.turns[-1].content}
            chat = Chat((*self.system, *self.turns), columns=asked)
            prompt = self.render.prompt(chat)
            new = self.settings.max_new_tokens
            if self.limit is not None:  # small models have fewer places than an answer may take
                new = min(new, max(1, self.limit // 2))
            needed = max(len(prompt), new) if self.render.sides else len(prompt) + new
            if self.limit is None or needed <= self.limit:
                return prompt
            later = next(
                (n for n, turn in enumerate(self.turns) if n and turn.role == "user"), None
            )
            if later is None:
                return self._alone(chat, len(prompt))
            self.turns = self.turns[later:]
            self.forgotten += 1

    def _alone(self, chat: Chat, length: int) -> np.ndarray:
        """Returns the prompt of a single question, within what the model reads."""
        fitting = Fitting(self.limit, self.render, self.run)
        try:
            prompt = fitting.asked(chat)
        except DataError:
            fields = {"tokens": length, "new": fitting.room, "limit": self.limit}
            raise DataError(words.say("chat.too_long", **fields)) from None
        self.cut += fitting.cut
        return prompt
