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


def slice_name(entry: Named, speak: Callable[..., str] = say) -> str:
    """Returns a slice as people read it: ``label = cat``."""
    slice_ = slice_of(entry)
    by = speak(f"mistakes.by_{slice_.by}") if slice_.by in COUNTED else slice_.by
    return by + slice_.says.removeprefix(slice_.by)


def mistake_lines(mistakes: Named | None, rival: str) -> list[str]:
    """Says where tuned gains and where it is wrong; ``rival`` as people call it. Nothing where no
    row has a score of its own.
    """
    if not mistakes:
        return []
    name = mistakes["metric"]
    count = len(mistakes["slices"])
    numbers = {key: mistakes[key] for key in ("wins", "losses", "ties")}
    changed = say("mistakes.changed", rival=rival, **numbers)
    if mistakes["regressions"]:
        rows = ", ".join(row["id"] for row in mistakes["regressions"][:NAMED])
        changed += say("mistakes.worst", rows=rows)
    lines = ["", changed]
    weak = [entry for entry in mistakes["slices"] if entry["weaker"]["verdict"] == "weaker"]
    lost = [entry for entry in mistakes["slices"] if entry["gain"]["verdict"] == "worse"]
    if weak:
        lines.append(say("mistakes.weaker", count=count))
        lines += [_slice(name, entry, "elsewhere", "weaker", rival) for entry in weak[:LONGEST]]
    if lost:
        lines.append(say("mistakes.worse", count=count, rival=rival))
        lines += [_slice(name, entry, "rival", "gain", rival) for entry in lost[:LONGEST]]
    if count and not weak and not lost:
        lines.append(say("mistakes.none", count=count, rival=rival))
    lines += chance_lines(mistakes, say)
    lines += cluster_lines(mistakes, say)[:NAMED]
    if mistakes["confusions"]:
        pairs = say("mistakes.pair_and").join(
            say(
                "mistakes.pair",
                rival=rival,
                count=confusion["rival"],
                **{key: confusion[key] for key in ("right", "said", "rows")},
            )
            for confusion in mistakes["confusions"][:NAMED]
        )
        lines.append(say("mistakes.confused", pairs=pairs))
    if kinds := mistakes.get("collect"):
        lines.append(say("mistakes.collect", count=len(kinds)))
    return lines


def chance_lines(mistakes: Named, speak: Callable[..., str]) -> list[str]:
    """Says how many slices would look weaker by chance, and how many are too small."""
    lines = []
    count = len(mistakes["slices"])
    if count:
        chance = f"{mistakes['by_chance']:.1f}"
        look = mistakes["look_weaker"]
        lines.append(speak("mistakes.chance", chance=chance, count=count, look=look))
    if mistakes["too_small"]:
        lines.append(speak("mistakes.too_small", count=mistakes["too_small"], fewest=FEWEST))
    return lines


def cluster_lines(mistakes: Named, speak: Callable[..., str]) -> list[str]:
    """Names the clusters of wrong answers by their words."""
    key = "mistakes.cluster" if mistakes["wrong_is"] == "zero" else "mistakes.cluster_lowest"
    return [
        speak(
            key,
            words=", ".join(cluster["words"]),
            rows=cluster["rows"],
            wrong=mistakes["wrong"],
            first=cluster["words"][0],
            in_wrong=cluster["wrong"],
            in_good=cluster["good"],
        )
        for cluster in mistakes["clusters"]
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
