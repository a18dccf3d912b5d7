"""What lies in a tournament's folder; a piece of work is finished when its file is there, and is
never done again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunesmith.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Scored:
    """Where the scores of one model lie: ``score.json`` and, by proof row, ``scores.jsonl``."""

    path: Path

    @property
    def score(self) -> Path:
        """The scores: the watched rows, the general rows, the speeds, the size."""
        return self.path / "score.json"

    @property
    def items(self) -> Path:
        """The file with one line a proof row, in the form of a proof's items.jsonl."""
        return self.path / "scores.jsonl"

    @property
    def trained(self) -> Path:
        """The account of what the training took; written when it is over."""
        return self.path / "trained.json"

    @property
    def run(self) -> RunFolder:
        """The same folder as a run."""
        return RunFolder(self.path)


@dataclass(frozen=True)
class Corner:
    """The folder of one entry."""

    path: Path

    @property
    def plan(self) -> Path:
        """The file with every value of its runs, except learning rate, seed and steps."""
        return self.path / "plan.yaml"

    @property
    def facts(self) -> Path:
        """The file with its weights and steps, or why the plan refuses it."""
        return self.path / "plan.json"

    @property
    def failed(self) -> Path:
        """The file that says why it could not be finished."""
        return self.path / "failed.json"

    def tried(self, rate: float, share: float) -> Path:
        """Returns the file with the result of one training of the search; its record is
        beside it.
        """
        return self.path / "search" / f"{share:g}-at-{rate:g}.json"

    def run(self, rate: float, seed: int) -> Scored:
        """Returns the run folder of a whole training."""
        return Scored(self.path / f"rate-{rate:g}-seed-{seed}")


@dataclass(frozen=True)
class Board:
    """The folder of a tournament."""

    path: Path

    @property
    def settings(self) -> Path:
        """The file with the tournament's settings."""
        return self.path / "tournament.yaml"

    @property
    def ledger(self) -> Path:
        """The account of where every row went, and the fingerprint of the data."""
        return self.path / "ledger.json"

    @property
    def base(self) -> Scored:
        """The base's own scores."""
        return Scored(self.path / "base")

    @property
    def result(self) -> Path:
        """The file with every number of the table, computed from the files of the pieces."""
        return self.path / "tournament.json"

    @property
    def table(self) -> Path:
        """The table as Markdown."""
        return self.path / "table.md"

    @property
    def report(self) -> Path:
        """The page with the table and two pictures."""
        return self.path / "report.html"

    def corner(self, slug: str) -> Corner:
        """Returns the folder of the entry of that name."""
        return Corner(self.path / slug)
