"""The classes of labelled rows: which there are, in an order that no file decides, and what kind of
problem they pose.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunesmith.data.files.numbers import MISSING
from tunesmith.data.texts.duplicates import fold, question
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Labelled, Outputs, ProblemType
from tunesmith.words import say

SCORES = 20
"""From so many different whole numbers on, nobody can tell classes from scores."""
VALUE = "value"
"""What the one output of a regression is called."""
SHOWN = 12


@dataclass
class _Seen:
    """What one pass over the rows finds."""

    rows: int = 0
    names: Counter[str] = field(default_factory=Counter)
    numbers: list[float] = field(default_factory=list)
    not_one: int = 0
    """Rows with several names, or with none."""
    separator: str | None = None
    """What stands between several names in one cell."""
    told: dict[int, object] = field(default_factory=dict)
    """A text's hash to its label; None once it was seen with another."""

    def add(self, example: Labelled) -> None:
        labels = _split(example.labels, self.separator)
        self.rows += 1
        if isinstance(labels, float | int):
            self.numbers.append(float(labels))
        else:
            self.names.update(set(labels))
            self.not_one += len(labels) != 1
        key = fold(question(example))
        if self.told.setdefault(key, labels) != labels:
            self.told[key] = None


@dataclass(frozen=True)
class Classes:
    """``names`` in the order of the outputs; ``counts`` are the rows of each, ``rows`` those of
    all.
    """

    problem: ProblemType
    names: tuple[str, ...]
    counts: np.ndarray
    rows: int
    notes: list[str]
    separator: str | None = None

    @property
    def outputs(self) -> Outputs:
        """The outputs that the head must have."""
        return Outputs(self.names, self.problem)

    @classmethod
    def find(
        cls,
        examples: Iterable[Labelled],
        problem: str,
        given: Sequence[str],
        separator: str | None = None,
    ) -> Classes:
        """Finds the classes of all rows; raises SpecError or DataError where the rows do not settle
        what is to be learned.
        """
        seen = _Seen(separator=separator)
        for example in examples:
            seen.add(example)
        kind = _problem(seen, problem)
        notes = (
            [say("labelled.note_contradict", number=n)]
            if (n := sum(seen_label is None for seen_label in seen.told.values()))
            else []
        )
        if kind == "regression":
            values = seen.numbers + [float(name) for name in seen.names.elements()]
            notes.insert(
                0, say("labelled.note_regression", low=f"{min(values):g}", high=f"{max(values):g}")
            )
            return cls(kind, (VALUE,), np.array([len(values)]), seen.rows, notes)
        counts = seen.names + Counter(_name(number) for number in seen.numbers)
        names = tuple(given) or tuple(sorted(counts, key=_order))
        _check(counts, names, seen)
        shown = ", ".join(f"{name}: {counts[name]}" for name in names[:SHOWN]) + (
            " …" if len(names) > SHOWN else ""
        )
        several = kind == "multi_label_classification"
        mean = {"mean": f"{sum(counts.values()) / seen.rows:.1f}"} if several else {}
        key = "labelled.note_multi" if several else "labelled.note_single"
        notes.insert(0, say(key, labels=len(names), counts=shown, **mean))
        if (
            problem == "auto"
            and all(name.lstrip("-").isdecimal() for name in names)
            and len(names) > 2
        ):
            notes.append(say("labelled.note_whole"))
        notes += _alike(names, counts)
        rows = np.array([counts[name] for name in names])
        return cls(kind, names, rows, seen.rows, notes, separator)

    def target(self, example: Labelled) -> Any:
        """Returns the target of one row: the index of its class, a 0 or 1 for each class, or the
        number.
        """
        labels = _split(example.labels, self.separator)
        if self.problem == "regression":
            return float(labels if isinstance(labels, float | int) else labels[0])
        labelled = (_name(labels),) if isinstance(labels, float | int) else labels
        if self.problem == "single_label_classification":
            return self.names.index(labelled[0])
        return np.array([name in labelled for name in self.names], np.float32)

    def shown(self, target: Any) -> str:
        """Returns a target as text, as its row writes it: the class, the classes, or the number."""
        if self.problem == "regression":
            return f"{target:g}"
        if self.problem == "single_label_classification":
            return self.names[target]
        return (
            ", ".join(name for name, there in zip(self.names, target, strict=True) if there) or "-"
        )


def _problem(seen: _Seen, asked: str) -> ProblemType:
    """Returns the kind of problem that the labels pose, or the one asked for where the labels allow
    it.
    """
    some = ", ".join(list(seen.names)[:3])
    numeric = all(_is_number(name) for name in seen.names)
    decimal = any(not number.is_integer() for number in seen.numbers)
    gaps = [name for name in seen.names if name in MISSING]
    names = [name for name in seen.names if not _is_number(name) and name not in MISSING]
    if gaps and not names and (asked == "regression" or (asked == "auto" and decimal)):
        rows = sum(seen.names[name] for name in gaps)
        fields = {"rows": rows, "some": ", ".join(gaps[:3])}
        raise DataError(Problem("data.columns", say("labelled.gaps", **fields)))
    if asked == "regression":
        if not numeric or seen.not_one:
            raise DataError(Problem("objective.problem", say("labelled.not_numbers", some=some)))
        return "regression"
    if asked == "single" and seen.not_one:
        raise DataError(
            Problem("objective.problem", say("labelled.not_single", number=seen.not_one))
        )
    if asked == "auto" and decimal:
        if not numeric or seen.not_one:
            raise SpecError(Problem("objective.problem", say("labelled.mixed", some=some)))
        return "regression"
    different = len(seen.names) + len({*seen.numbers})
    if asked == "auto" and numeric and different > SCORES:
        raise SpecError(Problem("objective.problem", say("labelled.scores", labels=different)))
    return (
        "multi_label_classification"
        if asked == "multi" or seen.not_one
        else "single_label_classification"
    )


def _check(counts: Counter[str], names: Sequence[str], seen: _Seen) -> None:
    """Raises DataError or SpecError where the labels cannot be classes, or are not among those
    given.
    """
    unknown = next((name for name in counts if name not in names), None)
    if unknown is not None:
        raise SpecError(
            Problem(
                "objective.labels",
                say("labelled.unknown_label", label=unknown, known=", ".join(names)),
            )
        )
    if len(names) < 2 and not seen.not_one:
        raise DataError(
            Problem(
                "data.columns", say("labelled.no_classes", rows=seen.rows, label="".join(names))
            )
        )
    if 2 * len(names) > seen.rows and len(names) > SCORES:
        fields = {"rows": seen.rows, "labels": len(names), "some": ", ".join(map(repr, names[:3]))}
        raise DataError(Problem("data.columns", say("labelled.free_text", **fields)))


def _split(labels: tuple[str, ...] | float, separator: str | None) -> tuple[str, ...] | float:
    """Splits the labels of a row where one cell holds several."""
    if separator is None or not isinstance(labels, tuple):
        return labels
    parts = [part.strip() for label in labels for part in label.split(separator)]
    return tuple(dict.fromkeys(filter(None, parts)))


def _alike(names: Sequence[str], counts: Mapping[str, int]) -> list[str]:
    """Returns notes on names that are made of others, on one that may mean that a row has none
    (SNLI writes -1), and on names that differ only in case or width.
    """
    notes = []
    for mark in ",;|/、，；+# ":
        made = [name for name in names if mark in name and _made_of(name, mark, names)]
        if made:
            some = ", ".join(map(repr, made[:3]))
            rows = sum(counts[name] for name in made)
            notes.append(say("labelled.note_made_of", some=some, rows=rows, mark=mark))
    if "-1" in names and not {"-1", "0", "1"} >= {*names}:
        notes.append(say("labelled.note_without", rows=counts["-1"]))
    spelled: dict[str, list[str]] = {}
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold()
        spelled.setdefault(" ".join(plain.split()), []).append(name)
    for same in spelled.values():
        if len(same) > 1:
            notes.append(say("labelled.note_case", names=", ".join(map(repr, same))))
    return notes


def _made_of(name: str, mark: str, names: Sequence[str]) -> bool:
    """Tells whether a label consists of several parts, at least one of which is a label itself;
    where only spaces part them, as in a name of two words, all are.
    """
    parts = name.split(mark)
    labels = [part.strip() in names for part in parts]
    return len(parts) > 1 and (all(labels) if mark == " " else any(labels))


def _name(number: float) -> str:
    return f"{number:g}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _order(name: str) -> tuple[bool, float, str]:
    """Returns the key that sorts numbers by value, then names alphabetically."""
    number = _is_number(name)
    return (not number, float(name) if number else 0.0, name)
