"""Where rows come from, and how much of each: files among several, the rows at a beginning, kinds
that share an epoch.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt

from tunesmith.settings.spec import Spec, Word


class Source(Spec):
    """One file among several."""

    path: str
    """File, folder, or hub id; ``file#2000`` takes 2000 rows, ``id:subset`` a subset."""
    columns: dict[str, Word] | None = None
    """Our names to the file's: ``{question: Question, reasoning: Complex_CoT, answer: Response}``.
    """
    reader: str | None = None
    """The reader by name, where detection should not decide."""
    weight: Annotated[float, Gt(0)] = 1.0
    """How often each of its training rows is seen per epoch; 0.5 takes half of them, 2 takes each
    twice.
    """


class First(Spec):
    """The rows at the beginning."""

    first: Annotated[int, Gt(0)]
    """How many."""


class Mix(Spec):
    """How often the rows of a kind are seen in an epoch; no row is copied."""

    temperature: Annotated[float, Ge(1)]
    """A kind gets its number of rows to the power 1/temperature: 1 leaves the shares as they are, 2
    lifts the small ones, 100 makes all alike.
    """
    by: Word = "file"
    """What makes a kind: ``file``, or a column (source, label)."""
    most: Annotated[float, Gt(0)] = 4
    """How often a row is seen in an epoch at most (times); more teaches little that is new
    (Muennighoff et al. 2023).
    """
