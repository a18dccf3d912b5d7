"""``tunesmith check --row K``: one row as the model gets it, token by token, and where it went."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text as Coloured

from tunesmith.batches.batch import Tokens
from tunesmith.data.items import Item
from tunesmith.data.ledger import why_dropped
from tunesmith.data.prepare import Prepared
from tunesmith.errors import DataError, Problem
from tunesmith.plain import JsonObject
from tunesmith.words import say


@dataclass(frozen=True)
class Sequence:
    """One sequence of a row: its title, its text with the trained parts in colour, its tokens."""

    title: str
    text: Coloured
    tokens: tuple[tuple[int, str, float], ...]
    """Of each token its id, its text and its weight; 0 is context."""

    def to_json(self) -> JsonObject:
        """Returns the same for programs."""
        tokens = [
            {"id": number, "text": text, "weight": weight} for number, text, weight in self.tokens
        ]
        spans = list(trained(self.text))
        return {"title": self.title, "text": self.text.plain, "trained": spans, "tokens": tokens}


@dataclass(frozen=True)
class OneRow:
    """A row of a file: the side it fell to, or why it is not used."""

    place: str
    side: str
    """``train``, ``watch``, ``proof`` or ``dropped``."""
    why: str
    """Why it was dropped; empty for the others."""
    sequences: tuple[Sequence, ...]

    def to_json(self) -> JsonObject:
        """Returns the same for programs."""
        sequences = [sequence.to_json() for sequence in self.sequences]
        return {"row": self.place, "side": self.side, "why": self.why, "sequences": sequences}

    def lines(self) -> list[str]:
        """Returns where the row went, as lines for a person."""
        if self.side == "dropped":
            return [say("check.row_dropped", place=self.place, why=self.why)]
        every = [weight for sequence in self.sequences for _, _, weight in sequence.tokens]
        fields = {"total": len(every), "learned": sum(weight != 0 for weight in every)}
        return [say(f"check.row_{self.side}", place=self.place, **fields)]


def rows_named(prepared: Prepared, asked: str) -> list[OneRow]:
    """Finds the rows called ``41`` or ``rows.jsonl:41``: of several files those of each. Raises
    DataError where there is none.
    """
    sides = {"train": prepared.train, "watch": prepared.watch, "proof": prepared.proof}
    by_row: dict[str, OneRow] = {}
    places: list[str] = []
    for side, items in sides.items():
        for item in items:
            # A long text stands there in windows (/2), a row that weighs double twice (#2).
            parts = re.fullmatch(r"(.*:\d+)(/\d+)?(#\d+)?", item.id)
            assert parts is not None, f"{item.id} is no row of a file"
            row, _, again = parts.groups()
            places.append(row)
            if again or not _is(row, asked):
                continue
            before = by_row.get(row, OneRow(row, side, "", ()))
            by_row[row] = OneRow(row, side, "", before.sequences + _sequences(prepared, item))
    for entry in prepared.ledger.dropped:
        row = f"{Path(entry['file']).name}:{entry['row']}"
        places.append(row)
        if _is(row, asked) or _is(f"{entry['file']}:{entry['row']}", asked):
            by_row[row] = OneRow(row, "dropped", why_dropped(entry), ())
    if not by_row:
        last = max(places, key=_number)
        numbers = {"number": prepared.ledger.rows, "like": _number(last), "place": last}
        raise DataError(Problem("--row", say("check.no_row", row=asked, **numbers)))
    return list(by_row.values())


def title(name: str, tokens: Tokens) -> str:
    """Returns a title for a sequence: its row, and which of the row's answers it holds."""
    columns = tokens.columns
    side = columns.get("side")
    desirable = columns.get("desirable")
    if side is not None:
        return f"{name}  {say(f'check.side_{side}')}"
    return name if desirable is None else f"{name}  {say(f'check.desirable_{desirable}')}"


def trained(text: Coloured) -> Iterator[tuple[int, int]]:
    """Yields the spans of a coloured text that are learned (characters)."""
    return ((span.start, span.end) for span in text.spans if "green" in str(span.style))


def _is(place: str, asked: str) -> bool:
    """Tells whether a row's place is what was asked for: a number, or a file's name with one."""
    if ":" not in asked:
        return place.rpartition(":")[2] == asked
    return place == asked or place.endswith("/" + asked)


def _number(place: str) -> int:
    return int(place.rpartition(":")[2])


def _sequences(prepared: Prepared, item: Item) -> tuple[Sequence, ...]:
    render = prepared.render
    return tuple(
        Sequence(
            f"{title(item.id, sequence)}  {prepared.objective.told(sequence)}".rstrip(),
            render.coloured(sequence),
            tuple(_told(prepared, sequence)),
        )
        for sequence in item.tokens
    )


def _told(prepared: Prepared, tokens: Tokens) -> list[tuple[int, str, float]]:
    text = prepared.render.pieces.text
    source = [] if tokens.source_ids_T is None else [*map(int, tokens.source_ids_T)]
    weights = [0.0] * len(source) + [*map(float, tokens.weights_T)]
    ids = [*source, *map(int, tokens.ids_T)]
    return [(number, text([number]), weight) for number, weight in zip(ids, weights, strict=True)]
