"""The rules over the record, applied while a run runs: what is found is recorded and told once."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.events.run import Began, Done, Evaluated, StepMade
from tunesmith.events.stream import Event, Events
from tunesmith.health.course import Course
from tunesmith.health.rules import AT_THE_END, EARLY, Rule, signs
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.keeping.record import Record

FIRST = (10, 20, 40)
"""Updates after which the rules for the first steps look."""


class WatchedHealth:
    """A listener to the events of one run."""

    def __init__(self, folder: RunFolder, record: Record, events: Events) -> None:
        self.folder, self.record, self.events = folder, record, events
        self.told: set[str] = set()

    def hear(self, event: Event) -> None:
        """Looks after the first steps, at each evaluation, and with all rules at the end."""
        if isinstance(event, Began):  # a resumed run has told some already
            self.told = {line["event"] for line in self.record.lines() if "event" in line}
        first = isinstance(event, StepMade) and event.updates in FIRST
        if isinstance(event, Done):
            self._look(AT_THE_END)
        elif first or isinstance(event, Evaluated):
            self._look(EARLY)

    def _look(self, rules: Sequence[Rule]) -> None:
        course = Course.of(self.folder, self.record.lines())
        for sign in signs(course, rules):
            if sign.name not in self.told:
                self.told.add(sign.name)
                self.events(sign)
