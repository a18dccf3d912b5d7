"""Questions put to a teacher one after the other, each answer kept as it comes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from tunesmith.errors import Stopped
from tunesmith.machine.signals import StopSignal
from tunesmith.words import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunesmith.events.stream import Events
    from tunesmith.teaching.journal import Journal
    from tunesmith.teaching.questions import Question
    from tunesmith.teaching.written import Written


class Sayer(Protocol):
    """Who is asked: a model here, an endpoint, or a translation model."""

    def identity(self) -> dict[str, str]:
        """Returns what distinguishes it from another."""
        ...

    def answers(
        self, questions: Iterator[Question], done: Collection[int], stopped: Callable[[], bool]
    ) -> Iterator[tuple[int, Written]]:
        """Yields the answers that are not ``done``, by their number."""
        ...


def ask(
    sayer: Sayer,
    questions: Iterable[Question],
    journal: Journal,
    events: Events,
    *,
    numbers: range,
    unwanted: Collection[int] = (),
    total: int,
) -> None:
    """Asks for those answers of ``numbers``, the journal's own, that it lacks and that are not
    ``unwanted``; raises Stopped where a signal came.
    """
    first = numbers.start
    wanted = {number for number in numbers if number not in unwanted}
    passed = {number - first for number in numbers if number not in wanted - {*journal.places}}
    with StopSignal() as signal:
        stopped = lambda: signal.received is not None  # noqa: E731
        for number, answer in sayer.answers(iter(questions), passed, stopped):
            journal.add(first + number, answer)
            events.phase(say("generate.phase"), len(journal.places), total)
            if stopped():
                break
        if wanted - {*journal.places}:
            fields = {"signal": signal.received, "done": len(journal.places), "total": total}
            raise Stopped(say("generate.stopped", **fields, path=journal.path))
