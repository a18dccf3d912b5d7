"""``tunesmith check --against FILE``: which rows of a benchmark or a test set stand in the rows
that would be trained: word for word, nearly, or quoted within a longer text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.files.file_facts import Faults, Located
from tunesmith.data.files.sources import rows
from tunesmith.data.find import find_data
from tunesmith.data.reading import examples
from tunesmith.data.texts.duplicates import Clusters, content, fold, join_near, sketch_of
from tunesmith.data.texts.strings import strings
from tunesmith.data.transforms import content_columns
from tunesmith.proving.leaks import leaks
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.words import say, some

SHORT = 12
"""A text with fewer characters is no copy of another: "Yes.", a letter, a label."""


@dataclass(frozen=True)
class Texts:
    """A row of either side: its place, and what is compared of it."""

    id: str
    texts: tuple[str, ...]

    @property
    def whole(self) -> str:
        """Its texts as one."""
        return "\n".join(self.texts)


@dataclass(frozen=True)
class Overlap:
    """The rows of a file that stand in the data; each is in one list alone, with the data's row
    beside it.
    """

    file: str
    rows: int
    exact: tuple[tuple[str, str], ...]
    near: tuple[tuple[str, str], ...]
    quoted: tuple[tuple[str, str], ...]

    @property
    def _kinds(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """The pairs by the way in which a row occurs."""
        return {"exact": self.exact, "near": self.near, "quoted": self.quoted}

    @property
    def number(self) -> int:
        """How many rows of the file stand in the data."""
        return len(self.exact) + len(self.near) + len(self.quoted)

    def lines(self) -> list[str]:
        """Returns the file with its number of rows, and a line for each way in which they occur."""
        lines = [say("overlap.file", file=self.file, rows=self.rows, number=self.number)]
        for kind, pairs in self._kinds.items():
            if pairs:
                places = some([f"{ours} ↔ {theirs}" for ours, theirs in pairs])
                lines.append(say(f"overlap.{kind}", number=len(pairs), places=places))
        return lines

    def to_json(self) -> dict[str, Any]:
        """Returns all pairs."""
        pairs = {kind: [list(pair) for pair in listed] for kind, listed in self._kinds.items()}
        return {"file": self.file, "rows": self.rows, **pairs}


def overlap(run: Run, against: Sequence[str]) -> list[Overlap]:
    """Compares the rows of a run's data with each file of ``against``, whatever its columns are."""
    objective = OBJECTIVES.make(run.objective)
    ours = [
        Texts(f"{located.file.name}:{located.number}", tuple(filter(None, content(example))))
        for located, example in examples(run.data, objective.eats, objective.meant)
    ]
    return [_with(ours, file) for file in against]


def _with(own: list[Texts], file: str) -> Overlap:
    faults = Faults()
    theirs = [
        Texts(f"{located.file.name}:{located.number}", _texts(located))
        for path in find_data(file)
        for located in rows(path, faults=faults)
    ]
    faults.stop()
    exact = _exact(own, theirs)
    near = _near(own, [row for row in theirs if row.id not in exact])
    left = [row for row in theirs if row.id not in exact | near]
    quoted = {leak.id: leak.beside for leak in leaks(left, own, lambda row: row.texts)}
    kinds = [tuple(pairs.items()) for pairs in (exact, near, quoted)]
    return Overlap(Path(file).name, len(theirs), *kinds)


def _texts(located: Located) -> tuple[str, ...]:
    columns = content_columns(located.row, None)
    return tuple(text for name in columns for text in strings(located.row[name]) if text.strip())


def _exact(own: list[Texts], theirs: list[Texts]) -> dict[str, str]:
    """Returns the rows of which a text, the question as a rule, is a text of the data."""
    by_text: dict[int, str] = {}
    for row in own:
        for text in row.texts:
            if len(text) >= SHORT:
                by_text.setdefault(fold([text]), row.id)
    beside_of: dict[str, str] = {}
    for row in theirs:
        longest = max(row.texts, key=len, default="")
        beside = by_text.get(fold([longest])) if len(longest) >= SHORT else None
        if beside is not None:
            beside_of[row.id] = beside
    return beside_of


def _near(own: list[Texts], theirs: list[Texts]) -> dict[str, str]:
    """Returns the rows that share four fifths of their runs of characters with a row of the data,
    or whose longest text does with a text of it: the same question with another answer.
    """
    rows = _alike([(row.id, row.whole) for row in own], [(row.id, row.whole) for row in theirs])
    longest = [(row.id, max(row.texts, key=len, default="")) for row in theirs]
    # Apart from the whole rows: of texts that are all alike only neighbours are compared, and a row
    # beside its own question would hide another.
    texts = _alike(
        [(row.id, text) for row in own for text in row.texts if len(text) >= SHORT],
        [(name, text) for name, text in longest if len(text) >= SHORT],
    )
    return texts | rows


def _alike(own: list[tuple[str, str]], theirs: list[tuple[str, str]]) -> dict[str, str]:
    """Returns the names of ``theirs`` of which the text is nearly one of ``own``, with that one's
    name.
    """
    clusters = Clusters(len(own) + len(theirs))
    join_near(clusters, [sketch_of(text) for _, text in (*own, *theirs)])
    roots = clusters.roots()
    # A cluster is named by its first text, and those of the data come first.
    return {
        name: own[root][0]
        for (name, _), root in zip(theirs, roots[len(own) :], strict=True)
        if root < len(own)
    }
