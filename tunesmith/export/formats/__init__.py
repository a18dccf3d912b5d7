"""What a run becomes for use elsewhere, one format a file: what it can hold, how it is written, and
which library shows that it still is the same model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.errors import Problem
from tunesmith.settings.family import FORMATS
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from tunesmith.export.folders.source import Source
    from tunesmith.models.loading.load import Loaded
    from tunesmith.predicting.engine import Engine

__all__ = ["FORMATS", "ExportFormat", "Made"]


@dataclass
class Made:
    """What a format writes: the trained model in fp32 on the CPU, its adapter folded in where the
    format folds. ``notes`` are told to the user, and ``tell`` how far long work is.
    """

    source: Source
    trained: Loaded
    notes: list[str]
    tell: Callable[[str, int, int], None]


class ExportFormat:
    """Base of the formats."""

    name: ClassVar[str]
    folds: ClassVar[bool] = True
    """Whether the adapter is folded into the base; otherwise it stays beside it. Where that follows
    the run or a setting, ``folded`` tells.
    """
    heads: ClassVar[frozenset[str]] = frozenset({"language", "classes", "tokens", "embedding"})
    """What may stand on the trunk."""
    exact: ClassVar[bool] = False
    """Whether a difference that its number type does not explain is an error, and nothing is
    written.
    """
    verified_by: ClassVar[str] = "transformers"
    """The library that loads it."""
    install: ClassVar[str] = ""
    """What installs that library, where tunesmith does not."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def folded(self, source: Source) -> bool:
        """Tells whether this run's adapter is folded into the base."""
        return self.folds

    def refused(self, source: Source) -> list[Problem]:
        """Returns what keeps this run from the format; asked before weights are loaded."""
        return []

    def dtype(self, source: Source) -> str:
        """Returns the name of the number type that is written."""
        return source.stored[0]

    def size(self, source: Source) -> int:
        """Returns the bytes that the weights will need."""
        raise AssertionError(f"format {self.name} has no size")

    def write(self, made: Made, place: Path) -> None:
        """Writes all files into the empty folder ``place``; may change the model."""
        raise AssertionError(f"format {self.name} has no write")

    def open(self, place: Path, made: Made) -> Engine | None:
        """Loads what was written the way its users do; None where the library is not installed."""
        raise AssertionError(f"format {self.name} has no open")

    def faults(self, engine: Any, made: Made, prompts: list[np.ndarray]) -> list[str]:
        """Returns what is wrong with what ``open`` gave beside its numbers, in words: texts that
        become other tokens, answers that cannot end.
        """
        return []

    def use(self, source: Source, out: Path) -> list[str]:
        """Returns the lines that load it or serve it."""
        raise AssertionError(f"format {self.name} has no use")

    def not_run(self, source: Source) -> str:
        """Names what serves it and has not run it here, with the commands that would show it;
        nothing where ``verified_by`` is what serves it.
        """
        return ""


def refused_head(fmt: ExportFormat, source: Source) -> list[Problem]:
    """Returns a problem where the format cannot hold the model's head."""
    if source.head in fmt.heads:
        return []
    allowed = ", ".join(name for name in FORMATS.names() if source.head in FORMATS.get(name).heads)
    text = say(
        "export.no_head", format=fmt.name, objective=source.run.objective.name, known=allowed
    )
    return [Problem("format", text)]
