"""What was kept and what was lost, as the page shows it: a row a suite, below it a row a kind."""

from __future__ import annotations

from tunesmith.plain import JsonObject
from tunesmith.proving.retention import BOTH, amount
from tunesmith.report.language import Say


def retention(proof: JsonObject, say: Say) -> JsonObject | None:
    """Returns the sentence and the rows, each with its word; None where no suite was asked."""
    found = proof.get("retention")
    if found is None:
        return None
    rows = []
    for title, told in found["suites"].items():
        word = say(f"suite.word_{told['verdict'].replace(' ', '_')}")
        rows.append({"name": title, "whole": True, "word": word, **_cells(told, told["unit"], say)})
        for kind, one in told["kinds"].items() if len(told["kinds"]) > 1 else ():
            word = say("suite.word_lost") if one["lost"] else ""
            rows.append(
                {"name": kind, "whole": False, "word": word, **_cells(one, told["unit"], say)}
            )
    return {"says": say(f"suite.verdict_{found['verdict'].replace(' ', '_')}"), "rows": rows}


def _cells(told: JsonObject, unit: str, say: Say) -> dict[str, str]:
    cells = {name: amount(unit, told[name]) for name in BOTH}
    difference, low, high = (
        amount(unit, told[name], sign=True).replace("-", "−")
        for name in ("difference", "low", "high")
    )
    points = say("report.points") if unit == "share" else ""
    shown = say("report.interval", difference=difference, low=low, high=high, unit=points)
    return {"items": str(told["items"]), **cells, "difference": shown}
