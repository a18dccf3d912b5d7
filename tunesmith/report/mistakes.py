"""The error analysis as the page shows it: slices, clusters, confusions, what to collect."""

from __future__ import annotations

from tunesmith.plain import JsonObject, Named
from tunesmith.proving.metric_values import interval_shown, shown
from tunesmith.proving.mistakes_text import chance_lines, cluster_lines, slice_name
from tunesmith.report.language import Say

MOST_SLICES = 15
"""Slices that the page shows, those that look weakest first; proof.json has all."""


def mistakes(proof: Named, rival: str, say: Say) -> JsonObject | None:
    """Returns the parts of the section as text; None where the proof has no such analysis."""
    analysis = proof.get("mistakes")
    if not analysis:
        return None
    return {
        "facts": [(analysis[key], say(f"mistakes.{key}", rival=rival)) for key in KINDS],
        "slices": [_slice(analysis["metric"], entry, say) for entry in _weakest(analysis)],
        "notes": chance_lines(analysis, say),
        "clusters": cluster_lines(analysis, say),
        "confusions": analysis["confusions"],
        "collect": [
            {**kind, "why": say(f"mistakes.word_{kind['why'].replace(' ', '_')}")}
            for kind in analysis["collect"]
        ],
        "rival": rival,
    }


KINDS = ("wins", "losses", "ties")


def _weakest(found: Named) -> list[JsonObject]:
    """Returns the slices to show: proven ones first, then by their difference."""

    def place(one: JsonObject) -> tuple[bool, float]:
        proven = one["weaker"]["verdict"] == "weaker" or one["gain"]["verdict"] == "worse"
        return not proven, one["weaker"]["p_zero"]

    return sorted(found["slices"], key=place)[:MOST_SLICES]


def _slice(name: str, one: Named, say: Say) -> JsonObject:
    words = [
        say(f"mistakes.word_{word}")
        for word in (one["weaker"]["verdict"], one["gain"]["verdict"])
        if word in ("weaker", "worse")
    ]
    values = {key: shown(name, one[key]) for key in ("tuned", "elsewhere")}
    apart, gain = (interval_shown(name, one[key]).replace("-", "−") for key in ("weaker", "gain"))
    word = say("suite.beside_and").join(words)
    facts = {"rows": one["rows"], "word": word, "apart": apart, "gain": gain}
    return {"name": slice_name(one, say), **facts, **values}
