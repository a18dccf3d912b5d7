"""Values of metrics, and intervals of their differences, as a person reads them."""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.plain import Named
from tunesmith.proving.judge import metric
from tunesmith.words import Share


def shown(name: str, value: float | None, *, sign: bool = False) -> str:
    """Formats a value for a person: rights and wrongs in percent, others with their meaningful
    digits.
    """
    if value is None:
        return "–"
    mark = "+" if sign else ""
    if metric(name).right_or_wrong:
        number = plain_zero(f"{100 * value:{mark}.1f}")
        return number if sign else Share(f"{number} %")
    wide = abs(value) >= 10 or name in ("bleu", "chrf")
    return plain_zero(f"{value:{mark}.1f}" if wide else f"{value:{mark}.3f}")


def plain_zero(number: str) -> str:
    """Returns a written number, without its sign where nothing but zeros is written."""
    return number.lstrip("+-") if float(number) == 0 else number


def interval_shown(name: str, compared: Named) -> str:
    """Formats a difference with its interval."""
    low, high = (shown(name, compared[side], sign=True) for side in ("low", "high"))
    return f"{shown(name, compared['difference'], sign=True)} [{low}, {high}]"


def interval_kind(compared: Named, speak: Callable[..., str]) -> str:
    """Returns in brackets how an interval was made; nothing where there is none, and of a proof
    from before 2026-11-29, which does not say so.
    """
    if compared["low"] is None or "interval" not in compared:
        return ""
    return speak(f"report.by_{compared['interval']}")


def spread_shown(name: str, value: float, speak: Callable[..., str]) -> str:
    """Formats a standard deviation: of rights and wrongs in points, not in percent."""
    if not metric(name).right_or_wrong:
        return shown(name, value)
    return f"{100 * value:.1f}{speak('report.points')}"
