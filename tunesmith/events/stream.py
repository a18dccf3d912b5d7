"""One stream for what happens, and whoever listens to it.

The console, record.jsonl, the trackers and a caller's own functions are listeners. An event says
itself what is recorded of it (``line``) and what a person is told (``text``), so that the two
cannot drift.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from tunesmith.plain import JsonObject
from tunesmith.words import say

Line = JsonObject
"""What record.jsonl holds of an event."""


@dataclass(frozen=True)
class Event:
    """Base of the events."""

    recorded_as: ClassVar[str] = ""
    """The name under which record.jsonl holds the event's values; without one it holds none."""
    said_as: ClassVar[str] = ""
    """The text that the values are filled in; without one nothing is said."""

    def values(self) -> Line | None:
        """Returns the values that are recorded, ``step`` first; None for an event that is not."""
        if not self.recorded_as:
            return None
        held = asdict(self)
        return {"step": held.pop("step"), "event": self.recorded_as, **held}

    def line(self) -> Line | None:
        """Returns its line of record.jsonl, or None. Numbers that are not finite are text there,
        because JSON has none; values of None are left out.
        """
        values = self.values()
        if values is None:
            return None
        return {name: _plain(value) for name, value in values.items() if value is not None}

    def text(self) -> str | None:
        """Returns what a person is told, or None."""
        if not self.said_as:
            return None
        values = {name: _joined(value) for name, value in asdict(self).items()}
        return say(self.said_as, **values)


def _plain(value: object) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _joined(value: object) -> Any:
    return ", ".join(value) if isinstance(value, list | tuple) else value


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Notice(Event):
    """A line for a person."""

    notice: str

    def text(self) -> str:
        """Returns the line."""
        return self.notice


@dataclass(frozen=True)
class Phase(Event):
    """Where something that takes its time stands: ``done`` of ``total``, which is 0 where nobody
    knows it.
    """

    phase: str
    done: int
    total: int
    detail: str = ""


@dataclass(frozen=True)
class Parts(Event):
    """How many phases follow, which are the parts of one whole."""

    count: int


class Events:
    """The stream of a verb: ``events(event)`` hands an event to every listener.

    An event that a listener makes while it hears another waits until all have heard that one, so
    that all hear one order; so does one of another thread. What a listener raises ends the run.
    """

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = list(listeners)
        self._waiting: deque[Event] = deque()
        self._handing_on = False
        self._one_at_a_time = threading.RLock()

    def __call__(self, event: Event) -> None:
        """Hands ``event`` to the listeners, in their order."""
        with self._one_at_a_time:
            self._waiting.append(event)
            if self._handing_on:
                return
            self._handing_on = True
            try:
                while self._waiting:
                    event = self._waiting.popleft()
                    for listener in tuple(self.listeners):
                        listener(event)
            finally:
                self._handing_on = False

    @contextmanager
    def heard_first_by(self, *listeners: Listener) -> Iterator[None]:
        """Lets ``listeners`` hear every event before the others do, for as long as this is open."""
        others = self.listeners
        self.listeners = [*listeners, *others]
        try:
            yield
        finally:
            self.listeners = others

    def tell(self, text: str) -> None:
        """Tells a person ``text``, which holds no fact that a program would want."""
        self(Notice(text))

    def phase(self, name: str, done: int, total: int, detail: str = "") -> None:
        """Emits where a phase stands; can be given wherever a progress function is asked for."""
        self(Phase(name, done, total, detail))

    def progress_of(self, name: str) -> Callable[[int, int], None]:
        """Makes the progress function of one phase."""
        return lambda done, total: self.phase(name, done, total)


_HEARS: ContextVar[Listener | None] = ContextVar("hears notices", default=None)
"""Who hears what is told where no stream is at hand."""


@contextmanager
def heard_by(hear: Listener) -> Iterator[None]:
    """Lets ``hear`` get each ``notice`` of this thread, for as long as this is open."""
    before = _HEARS.set(hear)
    try:
        yield
    finally:
        _HEARS.reset(before)


@contextmanager
def opened(*listeners: Listener) -> Iterator[Events]:
    """Opens the stream of a verb. It also gets each ``notice``, if anybody listens."""
    events = Events(*listeners)
    if not listeners:
        yield events
        return
    with heard_by(events):
        yield events


def notice(text: str) -> None:
    """Tells a person ``text`` from below the verbs, where models and rows are found: to the stream
    or the display that is open. Without one it is a line on standard error, which keeps ``--json``
    alone on standard output.
    """
    hear = _HEARS.get()
    if hear is not None:
        hear(Notice(text))
    else:
        print(text, file=sys.stderr, flush=True)
