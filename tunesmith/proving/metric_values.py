"""Values of metrics, and intervals of their differences, as a person reads them."""

from __future__ import annotations

from tunesmith.plain import Named
from tunesmith.proving.judge import metric


def shown(name: str, value: float | None, *, sign: bool = False) -> str:
    """Formats a value for a person: rights and wrongs in percent, others with their meaningful
    digits.
    """
    if value is None:
        return "–"
    mark = "+" if sign else ""
    if metric(name).right_or_wrong:
        return f"{100 * value:{mark}.1f}" + ("" if sign else " %")
    return (
        f"{value:{mark}.1f}"
        if abs(value) >= 10 or name in ("bleu", "chrf")
        else f"{value:{mark}.3f}"
    )


def interval_shown(name: str, compared: Named) -> str:
    """Formats a difference with its interval."""
    low, high = (shown(name, compared[side], sign=True) for side in ("low", "high"))
    return f"{shown(name, compared['difference'], sign=True)} [{low}, {high}]"
