"""What the pages before a run draw: the bar of rows, lengths with the cut line, memory by part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from tunesmith.display.table import readable
from tunesmith.plain import JsonObject
from tunesmith.planning.duration import expected, told
from tunesmith.report.language import Say
from tunesmith.report.rows import lengths, shares
from tunesmith.ui.standing import duration
from tunesmith.words import language, say

COLUMN_WIDTH = 80
"""Of a column of the histogram, in units of the drawing."""
NARROWEST, GAP = 9.0, 3.0
"""Of a part of a bar, and what is left free behind it (thousandths: 2 and 1 of 350 pixels)."""
PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "overhead", "beside")


def drawn(found: JsonObject) -> JsonObject:
    """Returns the numbers of the drawings of what was found."""
    ledger = found.get("ledger")
    rows = shares(ledger, Say(language())) if ledger else []
    facts = found.get("facts") or {}
    disk = facts.get("disk") or {"needed": 0, "free": 0}
    return {
        "shares": rows,
        "share_parts": laid([(row.style, row.width) for row in rows]),
        "bins": lengths(ledger) if ledger else [],
        "cut": _cut(ledger, found.get("limit")) if ledger else None,
        "disk": readable(disk["needed"]),
        "disk_free": readable(disk["free"]),
        **_time(facts),
        **_memory(facts),
    }


def laid(parts: Sequence[tuple[str, float]]) -> list[tuple[str, float, float]]:
    """Lays the parts of a bar (percent) side by side: style, beginning and width of each, in
    thousandths of the bar. Each is wide enough to be seen, on a phone too.
    """
    wide = [max(10 * size, NARROWEST) for _, size in parts]
    room = 1000 / max(1000, sum(wide))
    ends = accumulate(size * room for size in wide)
    return [
        (style, end - size * room, size * room - GAP)
        for (style, _), size, end in zip(parts, wide, ends, strict=True)
    ]


def _cut(ledger: JsonObject, limit: int | None) -> float | None:
    """Returns where the longest length that stays whole stands; None where no row is so long."""
    upper = ledger["lengths"].get("upper")
    if not upper or limit is None or limit >= upper[-1]:
        return None
    return COLUMN_WIDTH * limit / upper[0]


def _memory(facts: JsonObject) -> JsonObject:
    """Returns the parts of the estimate, as shares of what is free or of what is needed."""
    terms = facts.get("memory_terms_gib")
    memory = facts.get("memory_gib")
    if terms is None or memory is None:
        return {"memory_parts": [], "memory_terms": []}
    parts_there = [(f"m-{n}", name, terms[name]) for n, name in enumerate(PARTS) if terms[name]]
    whole = max(memory["free"], memory["low"])
    named = [
        (style, say(f"ui_new.memory_{name}"), f"{size:.2f} GiB")
        for style, name, size in parts_there
    ]
    return {
        "memory_parts": laid([(style, 100 * size / whole) for style, _, size in parts_there]),
        "memory_terms": named,
    }


def _time(facts: JsonObject) -> JsonObject:
    """Returns how long the run takes at the pace that was measured, and what for; nothing where
    none was.
    """
    time = expected(facts)
    if time is None:
        sampled = "probe" in facts
        return {"time": "", "time_for": say("ui_new.time_sampled") if sampled else ""}
    least = duration(time.least)
    most = duration(time.least + time.answers)
    return {"time": least if least == most else f"{least} – {most}", "time_for": told(facts, time)}
