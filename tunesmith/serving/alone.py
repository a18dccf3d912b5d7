"""Answers written one after another through the model's own ``generate``: for models whose layers
keep something else than keys and values, or whose adapter stands beside the tokens.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence

import numpy as np

from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.models.calling.generate import stream_ids
from tunesmith.models.loading.load import Loaded
from tunesmith.serving.engine import Full, Sizes, Tell, tell_each
from tunesmith.serving.faults import log_fault
from tunesmith.serving.rows import Row, Told


class Alone:
    """An engine of one row at a time, in the order of arrival."""

    likelihoods = False
    """Whether it tells likelihoods and follows a grammar."""

    def __init__(
        self, loaded: Loaded, tokenizer: Tokenizer, sizes: Sizes, tell: Tell = tell_each
    ) -> None:
        self.loaded, self.tokenizer, self.sizes, self.tell = loaded, tokenizer, sizes, tell
        self.cached = self.computed = 0
        self.busy = 0
        """How many rows are there; both threads count."""
        self._counting = threading.Lock()
        self._waiting: queue.Queue[Row | None] = queue.Queue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="tunesmith-engine", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, rows: Sequence[Row]) -> None:
        """Takes rows in; raises Full where too many wait already."""
        if self._waiting.qsize() + len(rows) > self.sizes.waiting + 1:
            raise Full
        count = len(rows)
        with self._counting:
            self.busy += count
        for row in rows:
            self._waiting.put(row)

    def close(self) -> None:
        """Ends the thread after the token that is being written; the rest is told so."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (row := self._waiting.get()) is not None:
            try:
                self._write(row)
            except Exception as error:  # it ends this answer, not the thread of all others
                log_fault(error)
                self.tell([(row, Told(finish="error"))])
            with self._counting:
                self.busy -= 1
            if self._closed:
                break

    def _write(self, row: Row) -> None:
        self.computed += len(row.prompt)
        row.begun = time.monotonic()
        ids = stream_ids(
            self.loaded.model,
            self.tokenizer,
            row.prompt,
            row.settings,
            stop_ids=row.stop_ids,
            # One number of the request's seed and the answer's number: several answers differ.
            seed=int(np.random.SeedSequence(row.seed).generate_state(1, np.uint64)[0] >> 1),
        )
        try:
            for token in ids:
                if row.gone or self._closed:
                    break
                self.tell([(row, row.take(token, self.tokenizer))])
                if row.finish:
                    return
        finally:
            ids.close()
        self.tell([(row, Told(finish="gone"))])
