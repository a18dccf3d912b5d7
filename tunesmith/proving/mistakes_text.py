"""The error analysis as a person reads it in the terminal."""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.plain import Named
from tunesmith.proving.metric_values import interval_shown, shown
from tunesmith.proving.slices import slice_of
from tunesmith.proving.statistics import FEWEST
from tunesmith.words import say

COUNTED = ("length", "source", "language", "label", "turns")
"""What rows are told apart by that has words of its own; a column is called by its name."""
NAMED, LONGEST = 3, 5
"""Rows, clusters and pairs that a line names, and slices that are listed, at most."""


def slice_name(told: Named, speak: Callable[..., str] = say) -> str:
    """Returns a slice as people read it: ``label = cat``."""
    one = slice_of(told)
    by = speak(f"mistakes.by_{one.by}") if one.by in COUNTED else one.by
    return by + one.says.removeprefix(one.by)


def mistake_lines(found: Named | None, rival: str) -> list[str]:
    """Says where tuned gains and where it is wrong; ``rival`` as people call it. Nothing where no
    row has a score of its own.
    """
    if not found:
        return []
    name, count = found["metric"], len(found["slices"])
    numbers = {key: found[key] for key in ("wins", "losses", "ties")}
    changed = say("mistakes.changed", rival=rival, **numbers)
    if found["regressions"]:
        rows = ", ".join(one["id"] for one in found["regressions"][:NAMED])
        changed += " " + say("mistakes.worst", rows=rows)
    lines = ["", changed]
    weak = [one for one in found["slices"] if one["weaker"]["verdict"] == "weaker"]
    lost = [one for one in found["slices"] if one["gain"]["verdict"] == "worse"]
    if weak:
        lines.append(say("mistakes.weaker", count=count))
        lines += [_slice(name, one, "elsewhere", "weaker", rival) for one in weak[:LONGEST]]
    if lost:
        lines.append(say("mistakes.worse", count=count, rival=rival))
        lines += [_slice(name, one, "rival", "gain", rival) for one in lost[:LONGEST]]
    if count and not weak and not lost:
        lines.append(say("mistakes.none", count=count, rival=rival))
    lines += chance_lines(found, say)
    lines += cluster_lines(found, say)[:NAMED]
    if found["confusions"]:
        pairs = ", ".join(
            say(
                "mistakes.pair",
                rival=rival,
                count=one["rival"],
                **{key: one[key] for key in ("right", "said", "rows")},
            )
            for one in found["confusions"][:NAMED]
        )
        lines.append(say("mistakes.confused", pairs=pairs))
    if kinds := found.get("collect"):
        lines.append(say("mistakes.collect", count=len(kinds)))
    return lines


def chance_lines(found: Named, speak: Callable[..., str]) -> list[str]:
    """Says how many slices would look weaker by chance, and how many are too small."""
    lines, count = [], len(found["slices"])
    if count:
        chance = f"{found['by_chance']:.1f}"
        look = found["look_weaker"]
        lines.append(speak("mistakes.chance", chance=chance, count=count, look=look))
    if found["too_small"]:
        lines.append(speak("mistakes.too_small", count=found["too_small"], fewest=FEWEST))
    return lines


def cluster_lines(found: Named, speak: Callable[..., str]) -> list[str]:
    """Names the clusters of wrong answers by their words."""
    key = "mistakes.cluster" if found["wrong_is"] == "zero" else "mistakes.cluster_lowest"
    return [
        speak(
            key,
            words=", ".join(one["words"]),
            rows=one["rows"],
            wrong=found["wrong"],
            first=one["words"][0],
            in_wrong=one["wrong"],
            in_good=one["good"],
        )
        for one in found["clusters"]
    ]


def _slice(name: str, one: Named, beside: str, compared: str, rival: str) -> str:
    other = say("mistakes.elsewhere") if beside == "elsewhere" else rival
    return "  " + say(
        "mistakes.slice",
        slice=slice_name(one),
        rows=one["rows"],
        tuned=shown(name, one["tuned"]),
        other=other,
        value=shown(name, one[beside]),
        interval=interval_shown(name, one[compared]),
    )
