"""Which held-out rows are watched while a run trains."""

from __future__ import annotations

from tunesmith.data.prepare import Item, Prepared
from tunesmith.data.split import WATCHED
from tunesmith.proving.task import evenly


def watched_rows(prepared: Prepared) -> list[Item]:
    """Returns the validation rows; where all held-out rows are for the proof, some of these."""
    return prepared.watch or evenly(prepared.proof, WATCHED)
