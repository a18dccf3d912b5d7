"""The running batch: answers that come and go while others are being written.

One thread owns the model. A step computes a part of the prompts that are new, then one token of
every answer. Shapes: B rows of a call, T tokens of each, K places that they look at, V vocabulary.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.models.loading.load import Loaded
from tunesmith.serving.choosing import next_tokens
from tunesmith.serving.faults import log_fault
from tunesmith.serving.prompt_cache import FEWEST, Kept
from tunesmith.serving.rows import Row, Told, in_common
from tunesmith.serving.slots import Slots

CHUNK = 512
"""Tokens of prompts in one call: answers that are being written wait no longer than these take."""
IDLE = 1024
"""Places of a slot beyond which the memory is given back when nothing is written."""

Tell = Callable[[list[tuple[Row, Told]]], None]


class Full(Exception):
    """More answers are waiting than the engine takes."""


def tell_each(told: list[tuple[Row, Told]]) -> None:
    """Tells every row in the engine's own thread."""
    for row, added in told:
        row.hear(added)


@dataclass(frozen=True)
class Sizes:
    """What the engine holds: rows at once, rows that wait, and tokens of running rows and of kept
    prompts.
    """

    at_once: int = 16
    waiting: int = 64
    tokens: int = 65_536
    kept: int = 16_384


class Engine:
    """A thread that writes rows, as many at once as ``sizes`` says. ``tell`` gets what each step
    added.
    """

    likelihoods = True
    """Whether it tells likelihoods and follows a grammar."""

    def __init__(
        self, loaded: Loaded, tokenizer: Tokenizer, sizes: Sizes, tell: Tell = tell_each
    ) -> None:
        self.loaded, self.tokenizer, self.sizes, self.tell = loaded, tokenizer, sizes, tell
        self.slots, self.kept = Slots(sizes.at_once), Kept(sizes.kept)
        self.waiting: list[Row] = []
        self.live: list[Row] = []
        """By slot; those that are written stand before those whose prompt is not yet computed."""
        self.writing = 0
        self.cached = self.computed = 0
        """Tokens of prompts taken over from others, and computed."""
        self._active: str | None = None
        self._wake, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="tunesmith-engine", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, rows: Sequence[Row]) -> None:
        """Takes rows in; raises Full where too many wait already."""
        with self._wake:
            if len(self.waiting) + len(rows) > self.sizes.waiting + self.sizes.at_once:
                raise Full
            self.waiting += rows
            self._wake.notify()

    def close(self) -> None:
        """Ends the thread after its step; what is not finished is told so."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    @property
    def busy(self) -> int:
        """How many rows are there."""
        return len(self.waiting) + len(self.live)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._closed or self.waiting or self.live):
                    self._wake.wait()
                if self._closed:
                    break
            # Not under the lock: who submits would wait for a step of all rows.
            self.step()
        rest = [*self.live, *self.waiting]
        self.tell([(row, Told(finish="gone")) for row in rest])

    @torch.inference_mode()
    def step(self) -> None:
        """Takes rows in, computes a part of what is new of their prompts, and one token of each
        answer. An error ends the rows that are there, not the engine.
        """
        progress: list[tuple[Row, Told]] = []
        try:
            # First, so that the slots of clients that have left go to rows that wait.
            progress += self._drop_gone()
            self._admit()
            fresh = self._advance(self.writing, self._prompts())
            self.writing += len(fresh)
            progress += fresh
            self._leave([row for row, _ in fresh if row.finish])
            more = self._advance(0, self.writing)
            progress += more
            self._leave([row for row, _ in more if row.finish])
            if not self.live and self.slots.places > IDLE:
                self.slots.clear()
        except Exception as error:
            # Whose row it was cannot be told: they were one call. Those that wait are untouched.
            log_fault(error)
            progress += [(row, Told(finish="error")) for row in self.live]
            self.live, self.writing = [], 0
            self.slots.clear()
        self.tell(progress)

    def _drop_gone(self) -> list[tuple[Row, Told]]:
        with self._wake:
            gone = [row for row in self.waiting if row.gone]
            self.waiting = [row for row in self.waiting if not row.gone]
        ended = [row for row in self.live if row.gone]
        self._leave(ended)
        return [(row, Told(finish="gone")) for row in (*gone, *ended)]

    def _admit(self) -> None:
        """Gives waiting rows a slot while there is one, and memory for their longest answers."""
        with self._wake:
            waiting = list(self.waiting)
        for row in waiting:
            first = row.after
            # Further answers to one prompt wait until the first has computed it, and copy that.
            if first is not None and not (
                first.finish or first.gone or first.known >= len(first.prompt)
            ):
                continue
            # A row gets its slot when its prompt can be computed. Those that waited in slots were
            # overtaken by every later one, which moves into the hole of a finished row: under load
            # a request of a hundred seconds stood beside others of six.
            fresh = self.live[self.writing :]
            longest = max((min(other.new, CHUNK) for other in fresh), default=0)
            if (len(fresh) + 1) * longest > CHUNK:
                break
            # All slots are as long as the longest row needs: one tensor holds them.
            most = max(beside.most for beside in (*self.live, row))
            if len(self.live) == self.sizes.at_once or (
                self.live and most * (len(self.live) + 1) > self.sizes.tokens
            ):
                break
            with self._wake:
                self.waiting.remove(row)
            row.slot, row.begun = len(self.live), time.monotonic()
            # Before anything can fail: only rows that are live are told of an error.
            self.live.append(row)
            self._take_over(row)

    def _take_over(self, row: Row) -> None:
        """Copies what another row has computed of this prompt; at least one token is left."""
        # The next token follows from the logits of the last one, which no copy holds.
        prompt = row.prompt[:-1]
        stored, length = self.kept.find(row.adapter, prompt)
        beside = [
            (in_common(other.tokens()[: other.known], prompt), other.slot)
            for other in self.live[: row.slot]
            if other.adapter == row.adapter
        ]
        most, slot = max(beside, default=(0, -1))
        if most > length and most >= FEWEST:
            self.slots.move(slot, row.slot, most)
            length = most
        elif stored is not None:
            self.slots.write(row.slot, stored, length)
        row.known = row.cached = length
        self.cached += length

    def _prompts(self) -> int:
        """Counts the rows whose prompts are computed together: at most CHUNK tokens with padding,
        or a part of one.
        """
        count = longest = 0
        for row in self.live[self.writing :]:
            longest = max(longest, min(row.new, CHUNK))
            if count and (count + 1) * longest > CHUNK:
                break
            count += 1
        return count

    def _advance(self, first: int, count: int) -> list[tuple[Row, Told]]:
        """Computes the next tokens of ``count`` rows; returns what those add whose prompt is
        whole.
        """
        rows = self.live[first : first + count]
        if not rows:
            return []
        logits_BV = self.forward(rows, first)
        whole = [index for index, row in enumerate(rows) if row.new == 0]
        if not whole:
            return []
        some = [rows[index] for index in whole]
        chosen = next_tokens(logits_BV[whole], some)
        return [
            (row, row.take(token, self.tokenizer, likely))
            for row, (token, likely) in zip(some, chosen, strict=True)
        ]

    def forward(self, rows: list[Row], first: int) -> torch.Tensor:
        """Computes logits ``[B, V]`` after the last of each row's next tokens."""
        model = self.loaded.model
        device = model.device
        T = min(max(row.new for row in rows), CHUNK)
        counts = [min(row.new, T) for row in rows]
        ids_BT = np.zeros((len(rows), T), np.int64)
        places_BT = np.zeros((len(rows), T), np.int64)
        for b, (row, count) in enumerate(zip(rows, counts, strict=True)):
            ids_BT[b, T - count :] = row.tokens()[row.known : row.known + count]
            # Padding goes behind the row's tokens, where the next ones overwrite it.
            places_BT[b] = row.known + (np.arange(T) + count) % T
            row.known += count
            self.computed += 0 if row.ids else count
        length = int(places_BT.max()) + 1
        places = torch.from_numpy(places_BT).to(device)
        mask_BTK = torch.arange(length, device=device) <= places[:, :, None]
        self.slots.call(first, places, length)
        limit = self.loaded.limit
        output = model(
            input_ids=torch.from_numpy(ids_BT).to(device),
            attention_mask=mask_BTK[:, None],
            # Padding behind the last token may lie past the positions that a model has learned.
            position_ids=places if limit is None else places.clamp(max=limit - 1),
            past_key_values=self.slots,
            use_cache=True,
            logits_to_keep=1,
            **self._answering(rows),
        )
        return output.logits[:, -1]

    def _answering(self, rows: list[Row]) -> dict[str, list[str]]:
        """Switches to the rows' adapter, or names each row's where they differ."""
        names = {row.adapter for row in rows}
        if len(names) == 1:
            self._switch(names.pop())
            return {}
        # Which adapter is active is then of no account, but layers must be on: "" is the base, and
        # never the largest of several names.
        self._switch(max(names))
        return {"adapter_names": [row.adapter or "__base__" for row in rows]}

    def _switch(self, name: str) -> None:
        if name == self._active or (not name and self._active is None):
            return
        tuner = self.loaded.model.base_model
        if not name:
            tuner.disable_adapter_layers()
        else:
            tuner.enable_adapter_layers()
            self.loaded.model.set_adapter(name)
        self._active = name

    def _leave(self, rows: list[Row]) -> None:
        """Keeps what rows have computed, and gives their slots to the last ones."""
        # From the last slot on: what moves into a hole is then never a row that leaves, too.
        for row in sorted(rows, key=lambda row: -row.slot):
            ids = row.tokens()[: row.known]
            if self.kept.wants(row.adapter, ids):
                self.kept.add(row.adapter, ids, self.slots.read(row.slot, row.known))
            hole = row.slot
            if hole < self.writing:
                self.writing -= 1
                # The last written row closes this hole, and the last row of all the place that it
                # leaves, so that written rows stay in front.
                hole = self._fill(hole, self.writing)
            self._fill(hole, len(self.live) - 1)
            self.live.pop()

    def _fill(self, hole: int, last: int) -> int:
        """Moves the row of slot ``last`` into ``hole``; returns the slot that is free then."""
        if hole != last:
            moved = self.live[last]
            self.slots.move(last, hole, moved.known)
            moved.slot, self.live[hole] = hole, moved
        return last
