"""Where every row went, from ledger.json: a bar that adds up to all rows, and the lengths."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.data.ledger import reason_key
from tunesmith.plain import Named
from tunesmith.report.language import Say


@dataclass(frozen=True)
class Share:
    """One part of the bar; ``width`` in percent of all rows."""

    style: str
    name: str
    count: int
    width: float


@dataclass(frozen=True)
class Bin:
    """One column of the histogram; ``height`` in percent of the highest."""

    label: str
    count: int
    height: float


@dataclass(frozen=True)
class Cut:
    """The line at which rows are cut; ``at`` in percent of the histogram's width, None where no row
    is so long.
    """

    at: float | None
    text: str


def shares(ledger: Named, say: Say) -> list[Share]:
    """Counts trained, watched, proof and dropped rows, then those in none of these: the counts add
    up to ``rows``.
    """
    dropped = ledger.get("dropped") or {}
    counted = [
        ("trained", say("report.rows_trained"), ledger.get("trained", 0)),
        ("watch", say("report.rows_watch"), ledger.get("watch", 0)),
        ("proof", say("report.rows_proof"), ledger.get("proof", 0)),
        *(("dropped", _dropped(reason, say), count) for reason, count in dropped.items()),
    ]
    total = ledger.get("rows", 0)
    rest = total - sum(count for _, _, count in counted)
    if rest:
        counted.append(("other", say("report.rows_other"), rest))
    return [
        Share(style, name, count, 100 * count / total)
        for style, name, count in counted
        if count and total
    ]


def _dropped(reason: str, say: Say) -> str:
    return say("report.rows_dropped", reason=say(reason_key(reason)))


def lengths(ledger: Named) -> list[Bin]:
    """Returns the histogram of row lengths (tokens), each column by its upper end."""
    histogram = ledger.get("lengths") or {"upper": [], "counts": []}
    highest = max(histogram["counts"], default=0)
    bins = zip(histogram["upper"], histogram["counts"], strict=True)
    return (
        [Bin(str(upper), count, 100 * count / highest) for upper, count in bins] if highest else []
    )


def cut(ledger: Named, say: Say) -> Cut | None:
    """Returns the line at which rows are cut, as ``check`` draws it; None for a run from before it
    was recorded.
    """
    histogram = ledger.get("lengths") or {}
    limit = histogram.get("limit")
    if limit is None:
        return None
    longest = histogram["upper"][-1]
    told = say("check.cut_line", limit=f"{limit:,}", longer=histogram["longer"])
    return Cut(100 * limit / longest if limit < longest else None, told)
