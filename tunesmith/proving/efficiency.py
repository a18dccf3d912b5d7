"""What a run cost and what its model costs: time, speed, memory and energy of the training, weights
beside the base's, and how long an answer takes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tunesmith.display.table import readable
from tunesmith.plain import JsonObject, Named
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

BOTH = ("base", "tuned")
WATT_HOUR = 3600.0
"""Joules."""


def training_cost(folder: RunFolder) -> JsonObject | None:
    """Adds up the steps of the record: ``seconds`` (evaluations not counted), tokens that were read
    a second, the most memory (GiB), joules where the machine counts them; None without steps.
    """
    steps = [line for line in folder.steps() if "seconds" in line and "loss" in line]
    if not steps:
        return None
    seconds = sum(line["seconds"] for line in steps)
    read = sum(line.get("tokens_per_second", 0.0) * line["seconds"] for line in steps)
    memory = [line["memory_gib"] for line in steps if line.get("memory_gib") is not None]
    joules = sum(line.get("joules", 0.0) for line in steps)
    return {
        "seconds": round(seconds, 4),
        "tokens_per_second": round(read / seconds, 1) if seconds else None,
        "memory_gib": max(memory, default=None),
        "joules": round(joules, 3) or None,
    }


def weights_size(folder: Path) -> int:
    """Returns the bytes of a model folder's weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def efficiency_lines(cost: Named | None) -> list[str]:
    """Says what the training took and what the model costs; nothing for a proof from before."""
    if not cost:
        return []
    lines = []
    if training := cost["training"]:
        lines.append(training_line(training, say))
    size, base = (readable(cost["bytes"][who]) for who in ("tuned", "base"))
    lines.append(say("efficiency.weights", size=size, base=base))
    speed = cost["speed"]
    if "first_token" in speed.get("tuned", {}):
        times = {
            f"{who}_{part}": milliseconds(speed.get(who, {}).get(f"{part}_token"))
            for who in BOTH
            for part in ("first", "next")
        }
        lines.append(say("efficiency.writes", **times))
    elif "row" in speed.get("tuned", {}):
        lines.append(say("efficiency.reads", row=milliseconds(speed["tuned"]["row"])))
    return lines


def training_line(training: Named, speak: Callable[..., str]) -> str:
    """Says what the training took."""
    rate = training["tokens_per_second"]
    memory = training["memory_gib"]
    fields = {
        "time": duration(training["seconds"], speak),
        "rate": "–" if rate is None else f"{rate:,.0f}",
        "memory": "–" if memory is None else f"{memory:.1f}",
    }
    if training["joules"]:
        fields["energy"] = f"{training['joules'] / WATT_HOUR:,.2f}"
        return speak("efficiency.trained_energy", **fields)
    return speak("efficiency.trained", **fields)


def duration(seconds: float, speak: Callable[..., str]) -> str:
    """Formats a time in the unit that fits it."""
    minutes = seconds / 60
    if minutes < 1:
        return speak("report.seconds", count=f"{seconds:.0f}")
    if minutes < 60:
        return speak("report.minutes", count=f"{minutes:.0f}")
    return speak("report.hours", count=f"{minutes / 60:.1f}")


def milliseconds(seconds: float | None) -> str:
    """Formats seconds as milliseconds."""
    if seconds is None:
        return "–"
    return f"{1000 * seconds:.3g} ms" if seconds < 0.1 else f"{1000 * seconds:,.0f} ms"
