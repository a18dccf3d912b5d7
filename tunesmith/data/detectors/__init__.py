"""What is odd about rows: each detector looks at every row, adds what it saw to what it knows of
the others, and says in one line what it met, where, and what mends it. None of them changes or
drops a row.
"""

from __future__ import annotations

from typing import Any

from tunesmith.data.detectors.answered import Answered
from tunesmith.data.detectors.cut import Cut
from tunesmith.data.detectors.damaged import Damaged
from tunesmith.data.detectors.hollow import Hollow
from tunesmith.data.detectors.judged import Judged
from tunesmith.data.detectors.one_sided import OneSided
from tunesmith.data.detectors.one_source import OneSource
from tunesmith.data.detectors.order import Order
from tunesmith.data.detectors.private import Private
from tunesmith.data.detectors.remains import Remains
from tunesmith.data.detectors.scripts import Scripts
from tunesmith.data.detectors.terse import Terse
from tunesmith.examples import Example


class Detectors:
    """All detectors, in the order in which they speak."""

    def __init__(self, evened: str | None = None) -> None:
        # By the values of the column ``evened`` an epoch is shared, so that none outweighs there.
        self.all = (
            Damaged(),
            Remains(),
            Order(),
            Cut(),
            Hollow(),
            Terse(),
            Answered(),
            Scripts(),
            OneSided(evened),
            OneSource(evened),
            Judged(),
            Private(),
        )

    def look(self, example: Example) -> list[Any]:
        """Returns what each detector sees in one row by itself, None for nothing; another process
        may look.
        """
        return [detector.look(example) for detector in self.all]

    def add(self, where: str, seen: list[Any]) -> None:
        """Adds what was seen in the row at ``where`` (file:row) to what the others showed."""
        for detector, sight in zip(self.all, seen, strict=True):
            if sight is not None:
                detector.add(where, sight)

    def rows(self) -> dict[str, list[str]]:
        """Returns the places of the rows in which something was met, by what it is."""
        return {
            kind: places
            for detector in self.all
            for kind, places in detector.rows().items()
            if places
        }

    def notes(self) -> list[str]:
        """Returns what they met, in the language in use."""
        return [note for detector in self.all for note in detector.notes()]
