"""``tunesmith data anonymise --measure`` of rows whose personal data is labelled: precision and
recall by kind and language, and what was not looked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tunesmith.data.files.file_facts import Located
from tunesmith.data.measure import language_of, share_of, wilson
from tunesmith.data.reading import examples
from tunesmith.data.texts.personal import Found
from tunesmith.data.texts.script import script_of
from tunesmith.data.transforms.anonymise import Anonymise, kind_of_label
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Tagged
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Data
from tunesmith.words import say, some

EXAMPLES = 3
"""False alarms, and misses, that a person is shown of each kind and language."""
_BESIDE = 8
"""Characters that are shown on either side of a part of a text."""


@dataclass
class Tally:
    """The labels and the findings of one kind in one language."""

    kind: str
    language: str
    labelled: int = 0
    covered: int = 0
    """Labelled parts that lie whole within what was found as their kind."""
    exact: int = 0
    """Those of them that were found to the letter."""
    touched: int = 0
    """Labelled parts of which some signs were found and some were not."""
    otherwise: int = 0
    """Labelled parts that are not covered, but lie whole within findings of whatever kind."""
    found: int = 0
    right: int = 0
    """Findings that overlap a labelled part of their kind."""
    false_alarms: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float | None:
        """The share of the findings that is right; None where nothing was found."""
        return self.right / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """The share of the labelled parts that is covered; None where none is labelled."""
        return self.covered / self.labelled if self.labelled else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; None where one of them is not known."""
        if self.precision is None or self.recall is None:
            return None
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def lines(self) -> Iterator[str]:
        """Yields what a person is told of it."""
        yield say(
            "transforms.labelled_kind",
            kind=say(f"transforms.why_{self.kind}"),
            language=say(f"transforms.language_{self.language}"),
            f1="-" if self.f1 is None else f"{self.f1:.3f}",
        )
        if self.found:
            precision = share_of(self.right, self.found)
            yield say("transforms.labelled_precision", **precision)
        else:
            yield say("transforms.labelled_none_found")
        if self.labelled:
            recall = share_of(self.covered, self.labelled)
            line = say("transforms.labelled_recall", exact=self.exact, **recall)
            partly = {"touched": self.touched, "otherwise": self.otherwise}
            yield line + (say("transforms.labelled_partly", **partly) if self.missed else "")
        else:
            yield say("transforms.labelled_none_there")
        for name, places in (("false_alarms", self.false_alarms), ("missed", self.missed)):
            if places:
                shown = "; ".join(places[:EXAMPLES])
                yield say(f"transforms.labelled_{name}", number=len(places), places=shown)

    def to_json(self) -> JsonObject:
        """Returns the same for programs, with every false alarm and miss."""
        return {
            "kind": self.kind,
            "language": self.language,
            "labelled": self.labelled,
            "covered": self.covered,
            "exact": self.exact,
            "touched": self.touched,
            "otherwise": self.otherwise,
            "found": self.found,
            "right": self.right,
            "precision": self.precision,
            "precision_interval": list(wilson(self.right, self.found)) if self.found else None,
            "recall": self.recall,
            "recall_interval": list(wilson(self.covered, self.labelled)) if self.labelled else None,
            "f1": self.f1,
            "false_alarms": self.false_alarms,
            "missed": self.missed,
        }


@dataclass(frozen=True)
class MeasuredOnLabels:
    """How what was found compares with what is labelled."""

    rows: int
    tallies: tuple[Tally, ...]
    not_looked_for: dict[str, tuple[str, ...]]
    """Labels of what is not looked for, with where each stands."""
    unlabelled: dict[str, tuple[str, ...]]
    """Kinds that were found and that no label means, with what was found."""

    def lines(self) -> list[str]:
        """Returns all of it for a person."""
        lines = [say("transforms.labelled", rows=self.rows)]
        for tally in self.tallies:
            lines += tally.lines()
        if self.not_looked_for:
            counted = [f"{label} ({len(at)})" for label, at in self.not_looked_for.items()]
            first = next(iter(self.not_looked_for))
            lines.append(say("transforms.not_looked_for", labels=some(counted), first=first))
        for kind, places in self.unlabelled.items():
            shown = "; ".join(places[:EXAMPLES])
            told = say(f"transforms.why_{kind}")
            fields = {"kind": told, "number": len(places), "places": shown}
            lines.append(say("transforms.unlabelled", **fields))
        return [*lines, say("transforms.not_all")]

    def to_json(self) -> JsonObject:
        """Returns the same for programs; shares between 0 and 1."""
        return {
            "rows": self.rows,
            "kinds": [tally.to_json() for tally in self.tallies],
            "not_looked_for": self.not_looked_for,
            "unlabelled": self.unlabelled,
        }


def labelled_rows(source: str) -> list[tuple[Located, Tagged]] | None:
    """Reads rows whose parts are labelled, in whatever layout; None where the files hold others.
    Raises DataError where labels do not fit their texts.
    """
    try:
        reading = examples(Data(path=source), Tagged)
    except DataError:
        return None  # what is wrong with other rows is told when they are read as such
    rows: list[tuple[Located, Tagged]] = []
    for located, example in reading:
        if not isinstance(example, Tagged):
            return None
        if example.numbered is not None:
            column, numbers = example.numbered
            where = f"{located.file.name}:{located.number}:{column}"
            text = say("transforms.tags_without_names", tag=(*numbers, 0)[0])
            raise DataError(Problem(where, text))
        rows.append((located, example))
    return rows


def _language_around(example: Tagged) -> str:
    """Tells the language of what stands around the labelled parts: an address of mail is written
    in Latin letters in every language.
    """
    end, around = 0, ""
    for span in example.spans:
        around += example.text[end : span.start]
        end = span.end
    around += example.text[end:]
    return language_of(around if script_of(around) else example.text)


class _Row:
    """A row with its labels that are looked for, and what was found in it."""

    def __init__(
        self, located: Located, example: Tagged, parts: Sequence[Found], transform: Anonymise
    ) -> None:
        self.where = f"{located.file.name}:{located.number}"
        self.text = example.text
        self.language = _language_around(example)
        self.parts = parts
        self.labels: list[Found] = []
        self.others: list[tuple[str, Found]] = []
        for span in example.spans:
            kind = kind_of_label(span.label, transform.config.labels)
            if kind is not None and transform.wants(kind):
                self.labels.append(Found(span.start, span.end, kind))
            else:
                self.others.append((span.label, Found(span.start, span.end, "")))

    def seen(self, part: Found) -> str:
        """Shows a part with its file and row, and some signs on either side."""
        before = self.text[max(0, part.start - _BESIDE) : part.start]
        behind = self.text[part.end : part.end + _BESIDE]
        shown = f"{before}[{self.text[part.start : part.end]}]{behind}"
        return f"{self.where} {' '.join(shown.split())}"

    def left(self, label: Found, kind: str | None) -> int:
        """Counts the signs of a labelled part that no finding of ``kind``, or of any, holds; spaces
        tell nothing.
        """
        parts = [part for part in self.parts if kind in (None, part.kind)]
        return sum(
            not self.text[place].isspace() and not any(p.start <= place < p.end for p in parts)
            for place in range(label.start, label.end)
        )


def measure_labelled(
    rows: Sequence[tuple[Located, Tagged]], transform: Anonymise
) -> MeasuredOnLabels:
    """Compares what is found in the texts with their labels. A labelled part counts as covered when
    every sign of it lies within findings of its kind, a finding as right when it overlaps a
    labelled part of its kind.
    """
    parts_of = transform.find([example.text for _, example in rows])
    looked = [
        _Row(located, example, parts, transform)
        for (located, example), parts in zip(rows, parts_of, strict=True)
    ]
    labelled_kinds = {label.kind for row in looked for label in row.labels}
    labelled_kinds |= {*(transform.config.labels or {}).values()}
    tallies: dict[tuple[str, str], Tally] = {}
    not_looked_for: dict[str, list[str]] = {}
    unlabelled: dict[str, list[str]] = {}
    for row in looked:
        kinds = {part.kind for part in (*row.labels, *row.parts)} & labelled_kinds
        for kind in sorted(kinds):
            _count(tallies.setdefault((kind, row.language), Tally(kind, row.language)), row)
        for name, label in row.others:
            not_looked_for.setdefault(name, []).append(row.seen(label))
        for part in row.parts:
            if part.kind not in labelled_kinds:
                unlabelled.setdefault(part.kind, []).append(row.seen(part))
    commonest = Counter({name: len(places) for name, places in not_looked_for.items()})
    return MeasuredOnLabels(
        len(looked),
        tuple(tallies[key] for key in sorted(tallies)),
        {name: tuple(not_looked_for[name]) for name, _ in commonest.most_common()},
        {kind: tuple(places) for kind, places in sorted(unlabelled.items())},
    )


def _count(tally: Tally, row: _Row) -> None:
    """Adds a row's labels and findings of the tally's kind."""
    labels = [label for label in row.labels if label.kind == tally.kind]
    findings = [part for part in row.parts if part.kind == tally.kind]
    for label in labels:
        tally.labelled += 1
        tally.exact += label in findings
        left = row.left(label, tally.kind)
        if not left:
            tally.covered += 1
            continue
        tally.missed.append(row.seen(label))
        tally.touched += any(_overlap(part, label) for part in findings)
        tally.otherwise += not row.left(label, None)
    for part in findings:
        tally.found += 1
        if any(_overlap(part, label) for label in labels):
            tally.right += 1
        else:
            tally.false_alarms.append(row.seen(part))


def _overlap(part: Found, label: Found) -> bool:
    return part.start < label.end and label.start < part.end
