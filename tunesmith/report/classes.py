"""How a classifier does by class, as the page shows it: a table, and who is taken for whom."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.plain import JsonObject, Named
from tunesmith.proving.judge import TUNED

MOST = 20
"""Classes of a confusion that the page shows, at most; proof.json has all."""


def class_tables(proof: Named) -> dict[str, JsonObject]:
    """Returns, by contender, tuned first: the table, and the cells of the confusion with their
    share of the row (percent).
    """
    classes = proof.get("classes") or {}
    named = [
        who for who, entry in classes.items() if isinstance(entry, Mapping) and "table" in entry
    ]
    tables = {}
    for who in sorted(named, key=lambda who: who != TUNED):
        rows = classes[who].get("confusion", [])
        cells = [_cells(row) for row in rows] if len(rows) <= MOST else []
        tables[who] = {"table": classes[who]["table"], "confusion": cells, "of": len(rows)}
    return tables


def counted(proof: Named) -> str:
    """Returns what is counted for a class: rows, or the entities in them."""
    return (proof.get("classes") or {}).get("counted", "rows")


def _cells(row: list[int]) -> list[dict[str, int]]:
    total = max(sum(row), 1)
    return [{"count": count, "share": round(60 * count / total)} for count in row]
