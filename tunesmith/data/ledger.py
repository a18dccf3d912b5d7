"""The ledger: where every row went, and what became of its tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypedDict

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.errors import DataError, Problem
from tunesmith.plain import JsonObject, Named
from tunesmith.words import SOME, say, some

LOST = 0.5
"""Above this share of rows with nothing to learn the columns are read wrongly."""
EMPTY = frozenset(
    {
        "no answer",
        "no question",
        "no text",
        "nothing to train",
        "no common question",
        "same answers",
        "no label",
    }
)
UNREAD = EMPTY - {"nothing to train"} | {"not a row", "tie", "no agreed label"}
"""Reasons of the reading: such rows are no copies of others."""
REASONS = (
    *("duplicate", "duplicate but for spacing", "too long", "nothing to train"),
    *("also in held-out file", "near a held-out row"),
    *("no answer", "no question", "no text", "not a row"),  # as the reading says
    *("same answers", "tie", "no common question", "no label", "no agreed label"),
    "left out by a step",  # of data.steps
    *("made from a held-out row", "made from another row"),  # by tunesmith data augment
    "more than train rows",  # of train.rows
    "voted on",  # in an arena, so that it proves nothing
)
COPIES = 3
"""Copies that a line names."""
_WORDS = {reason: re.sub("[ -]", "_", reason) for reason in REASONS}


def reason_key(reason: str) -> str:
    """Returns the key of the text for a reason to drop a row."""
    return f"ledger.reason_{_WORDS[reason]}"


def counted(reasons: Mapping[str, int]) -> str:
    """Lists reasons in the current language, each with its number of rows; ``0`` for none."""
    counts = [
        say("ledger.reason_count", reason=say(reason_key(reason)), count=count)
        for reason, count in reasons.items()
    ]
    return say("ledger.reason_and").join(counts) or "0"


class _Why(TypedDict):
    file: str
    row: int
    reason: str


class Dropped(_Why, total=False):
    """A row that is not used: where it is, why, and, where there is more to say, what was seen."""

    seen: str
    of: str
    """The row that it copies, or is like (file:row)."""


@dataclass
class Ledger:
    """``rows = trained + held out + dropped``, checked; counts are of rows of the files, before
    ``Source.weight``.
    """

    files: list[JsonObject] = field(default_factory=list)
    """One entry a file: path, format, encoding, reader, rows."""
    rows: int = 0
    different: int = 0
    trained: int = 0
    watch: int = 0
    proof: int = 0
    dropped: list[Dropped] = field(default_factory=list)
    leaked_share: float = 0.0
    """Share of a random held-out tenth of all rows that has an exact copy in the rest (expected).
    """
    near: list[tuple[str, str]] = field(default_factory=list)
    """Rows that are nearly the same as an earlier one, or ask the same, each with the first such
    one; they stay on its side of the split.
    """
    tokens: dict[str, int] = field(default_factory=lambda: {"total": 0, "scored": 0, "lost": 0})
    """Of the training rows: all tokens, those with a loss, and those cut off by ``data.too_long:
    truncate``.
    """
    unknown: dict[str, float] = field(default_factory=lambda: {"lost": 0.0, "split": 0.0})
    """Share of the pieces that stand for no letter (``[UNK]``, bytes that a vocabulary of words
    falls back to), and that are parts of one in a vocabulary of bytes.
    """
    lengths: JsonObject = field(default_factory=dict)
    """Histogram of the longest sequence of each row, before cutting, and its quantiles (tokens)."""
    shares: JsonObject = field(default_factory=dict)
    """Of the tokens of a training row, the share that is learned: quantiles, the least, and which
    row has it.
    """
    notes: list[str] = field(default_factory=list)

    def drop(self, file: str, row: int, reason: str, seen: str = "", of: str = "") -> None:
        """Notes a row that is not used, and the one ``of`` which it is a copy."""
        assert reason in REASONS, f"{reason} is not a reason to drop a row"
        entry = Dropped(file=file, row=row, reason=reason)
        if seen:
            entry["seen"] = seen
        if of:
            entry["of"] = of
        self.dropped.append(entry)

    def share(
        self, scored: Sequence[int], totals: Sequence[int], name: Callable[[int], str]
    ) -> None:
        """Notes the share of a row's tokens that is learned, and the ``name`` of the row with the
        least; nothing where rows are learned as a whole, or with all of their tokens.
        """
        if not any(scored) or scored == totals:
            return
        values = np.asarray(scored) / np.asarray(totals)
        quantiles = {f"p{q}": round(float(np.percentile(values, q)), 4) for q in (10, 50)}
        least = int(values.argmin())
        self.shares = {**quantiles, "least": round(float(values[least]), 4), "row": name(least)}

    def reasons(self) -> dict[str, int]:
        """Counts the dropped rows by reason."""
        return dict(Counter(entry["reason"] for entry in self.dropped))

    def check(self) -> None:
        """Asserts that every row is accounted for; otherwise the code is wrong."""
        held = self.watch + self.proof
        total = self.trained + held + len(self.dropped)
        assert self.rows == total, (
            f"{self.rows} rows, but {self.trained} + {held} + {len(self.dropped)} accounted for"
        )

    def to_json(self) -> dict[str, object]:
        """Returns all numbers; dropped rows are counted by reason here and listed in
        ``dropped``.
        """
        return {
            "files": self.files,
            "rows": self.rows,
            "different": self.different,
            "dropped": self.reasons(),
            "trained": self.trained,
            "watch": self.watch,
            "proof": self.proof,
            "leaked_share": self.leaked_share,
            "near": len(self.near),
            "tokens": self.tokens,
            "unknown": self.unknown,
            "lengths": self.lengths,
            "shares": self.shares,
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """Returns the ledger as lines for a person to read."""
        counts = {"rows": self.rows, "files": len(self.files), "different": self.different}
        unread = sum(n for reason, n in self.reasons().items() if reason in UNREAD)
        lines = [
            say("ledger.rows_usable", usable=self.rows - unread, **counts)
            if unread
            else say("ledger.rows", **counts)
        ]
        if self.leaked_share >= 0.005:
            lines.append(say("ledger.leaked", percent=f"{100 * self.leaked_share:.0f}"))
        for reason, number in sorted(self.reasons().items(), key=lambda item: -item[1]):
            told = say(f"ledger.dropped_{_WORDS[reason]}", number=number)
            pairs = (pair for entry in self.dropped if (pair := _copy(entry, reason)))
            copies = [*islice(pairs, COPIES + 1)]
            copies[COPIES:] = ["…"] if copies[COPIES:] else []
            lines.append(f"{told} ({', '.join(copies)})" if copies else told)
        if self.near:
            near = [f"{row} ↔ {of}" for row, of in self.near[: SOME + 1]]
            lines.append(say("ledger.near", number=len(self.near), places=some(near)))
        lines.append(divided(self.trained, self.watch, self.proof))
        numbers = {name: f"{number:,}" for name, number in self.tokens.items() if name != "lost"}
        # Where a row is learned as a whole, as by its label, no token is.
        lines.append(
            say("ledger.tokens", **numbers)
            if self.tokens["scored"]
            else say("ledger.tokens_read", total=numbers["total"])
        )
        if self.tokens["lost"]:
            lines.append(say("ledger.lost", lost=f"{self.tokens['lost']:,}"))
        if self.lengths:
            lines.append(
                say(
                    "ledger.lengths",
                    **{name: self.lengths[name] for name in ("p50", "p90", "p99", "longest")},
                )
            )
        if self.shares:
            percents = {name: f"{100 * self.shares[name]:.0f}" for name in ("p50", "p10", "least")}
            lines.append(say("ledger.shares", **percents, place=self.shares["row"]))
        return [*lines, *self.notes]


def divided(train: int, watch: int, proof: int) -> str:
    """Says how many rows are for what; of none nothing is said."""
    kind = "trained_unwatched" if proof else "trained_all"
    if watch:
        kind = "trained"
    return say(f"ledger.{kind}", trained=train, watch=watch, proof=proof)


def why_dropped(entry: Dropped) -> str:
    """Says in a line why a row is not used, of which row it is a copy, and what was seen."""
    reason = say(reason_key(entry["reason"]))
    of = f" ↔ {_named(entry['of'])}" if "of" in entry else ""
    return f"{reason}{of}  {entry.get('seen', '')}".rstrip()


def _copy(entry: Dropped, reason: str) -> str:
    """Names a row dropped for a reason and the row it copies; empty for any other."""
    if entry["reason"] != reason or "of" not in entry:
        return ""
    return f"{Path(entry['file']).name}:{entry['row']} ↔ {_named(entry['of'])}"


def _named(place: str) -> str:
    """Returns a row's place with the name of its file alone."""
    return Path(place).name


def lost_note(dropped: Sequence[Dropped], rows: int) -> str | None:
    """Returns a warning where rows hold nothing to learn; raises DataError where these are more
    than half of all rows.
    """
    lost = [entry for entry in dropped if entry["reason"] in EMPTY]
    if not lost:
        return None
    percent = f"{100 * len(lost) / rows:.1f}"
    places = some([f"{Path(entry['file']).name}:{entry['row']}" for entry in lost])
    values = {
        "number": len(lost),
        "rows": rows,
        "percent": percent,
        "reasons": counted(Counter(entry["reason"] for entry in lost)),
        "places": places,
    }
    if len(lost) > LOST * rows:
        raise DataError(Problem("data", say("ledger.mostly_empty", **values)))
    return say("ledger.empty_rows", **values)


def control_note(places: Sequence[str]) -> str:
    """Returns the note on rows whose text holds a control token."""
    return say("ledger.control_tokens", number=len(places), places=some(places))


def histogram(lengths: Sequence[int], bins: int = 12, *, limit: int | None = None) -> JsonObject:
    """Counts over equally wide bins of tokens, and quantiles; with a ``limit`` also how many are
    longer. Empty over nothing.
    """
    if not lengths:
        return {}
    values = np.asarray(lengths)
    longest = int(values.max())
    width = max(1, -(-longest // bins))
    counts = np.bincount((values - 1).clip(0) // width, minlength=1)
    quantiles = {f"p{q}": int(np.percentile(values, q, method="higher")) for q in (50, 90, 99)}
    upper = [(n + 1) * width for n in range(len(counts))]
    return {
        "upper": upper,
        "counts": [int(count) for count in counts],
        **quantiles,
        "longest": longest,
        **({} if limit is None else {"limit": limit, "longer": int((values > limit).sum())}),
    }


def changed_files(then: Named, now: Ledger, *, written: float) -> list[str]:
    """Returns a line for each change since the ledger ``then`` was written (seconds since the
    epoch): files with their rows then and now, and files written since.
    """
    rows = {str(entry["path"]): int(entry["rows"]) for entry in then.get("files", ())}
    today = {str(entry["path"]): int(entry["rows"]) for entry in now.files}
    lines: list[str] = []
    for path in dict.fromkeys([*rows, *today]):
        before = rows.get(path)
        after = today.get(path)
        if before is None or after is None:
            lines.append(
                say("ledger.file_new" if before is None else "ledger.file_gone", path=path)
            )
        elif before != after:
            numbers = {"then": before, "now": after, "change": f"{after - before:+d}"}
            lines.append(say("ledger.file_rows", path=path, **numbers))
        elif Path(path).is_file() and Path(path).stat().st_mtime > written:
            lines.append(say("ledger.file_written", path=path, rows=after))
    return lines


def sides_note(sequences: Sequence[Tokens], limit: int) -> str:
    """Returns a note on the lengths of the two sides: what is read, and what is written."""
    written = histogram([len(tokens.ids_T) for tokens in sequences])
    read = histogram([len(tokens) - len(tokens.ids_T) for tokens in sequences])
    lengths = {
        "read": read["p99"],
        "longest_read": read["longest"],
        "written": written["p99"],
        "longest_written": written["longest"],
    }
    return say("sides.lengths", limit=limit, **lengths)


def windows_note(counts: Sequence[int], limit: int) -> list[str]:
    """Says into how many windows the texts were divided that have more than one."""
    numbers = {"rows": len(counts), "windows": sum(counts), "limit": limit}
    return [say("ledger.windows", **numbers)] if counts else []
