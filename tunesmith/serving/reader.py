"""Rows that are read and not written to: classes, scores, vectors. What arrives while the model
works is read together next.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import Any

from tunesmith.plain import JsonObject
from tunesmith.predicting.predictor import Predictor
from tunesmith.serving.engine import Full

TOGETHER = 64
"""Rows that are read in one go; a request is never divided."""


class Reader:
    """One thread that owns a model which reads rows."""

    def __init__(self, predictor: Predictor, waiting: int) -> None:
        self.predictor, self.most = predictor, waiting
        self.busy = 0
        """How many rows are there; both threads count."""
        self._counting = threading.Lock()
        self._waiting: queue.Queue[tuple[list[Any], Future[list[JsonObject]]] | None] = (
            queue.Queue()
        )
        self._thread = threading.Thread(target=self._run, name="tunesmith-reader", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, asked: list[Any]) -> Future[list[JsonObject]]:
        """Takes rows in, as the output's ``ask`` gave them; the future holds the new columns of
        each. Raises Full where too many wait already.
        """
        count = len(asked)
        with self._counting:
            if self.busy and self.busy + count > self.most:
                raise Full
            self.busy += count
        future: Future[list[JsonObject]] = Future()
        self._waiting.put((asked, future))
        return future

    def close(self) -> None:
        """Ends the thread after what waits."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while sum(len(asked) for asked, _ in batch) < TOGETHER and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                batch.append(following)
            self._read(batch)

    def _read(self, batch: list[tuple[list[Any], Future[list[JsonObject]]]]) -> None:
        wanted = [
            (asked, future) for asked, future in batch if future.set_running_or_notify_cancel()
        ]
        rows = [row for asked, _ in wanted for row in asked]
        try:
            output = self.predictor.objective.output
            answers = iter(output.answer(self.predictor, rows, None) if rows else [])
            for asked, future in wanted:
                future.set_result([next(answers) for _ in asked])
        except Exception as error:
            for _, future in wanted:
                if not future.done():
                    future.set_exception(error)
        count = sum(len(asked) for asked, _ in batch)
        with self._counting:
            self.busy -= count
