"""What is said of rows that cannot be answered: what they lack of the training's columns, and each
problem once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tunesmith.data.columns.turns import shown
from tunesmith.errors import Problem, SpecError
from tunesmith.words import say

NAMED = 3
"""Further places that a problem names."""


def mappings(rows: object, columns: Sequence[str]) -> list[dict[str, object]]:
    """Copies the rows; raises SpecError, which shows a row of these columns, where they are no
    rows.
    """
    listed = (
        list(rows)
        if isinstance(rows, Iterable) and not isinstance(rows, str | bytes | Mapping)
        else None
    )
    wrong = [rows] if listed is None else [row for row in listed if not isinstance(row, Mapping)]
    if listed is None or wrong:
        row = ", ".join(f'"{name}": "…"' for name in columns)
        found = {"kind": type(wrong[0]).__name__, "seen": shown(wrong[0])}
        raise SpecError(
            Problem(
                "rows",
                say(
                    "asked.not_rows" if listed is None else "asked.not_a_row",
                    **found,
                    row=f"{{{row}}}",
                ),
            )
        )
    return [dict(row) for row in listed]


def alike(problems: Iterable[tuple[str, Problem]]) -> list[Problem]:
    """Returns each problem once, at the first of its places, with the number of the others."""
    places: dict[Problem, list[str]] = {}
    for place, problem in problems:
        places.setdefault(problem, []).append(place)
    found = []
    for problem, (first, *more) in places.items():
        named = ", ".join(more[:NAMED]) + (", …" if len(more) > NAMED else "")
        told = say("asked.alike", count=len(more), places=named) if more else ""
        found.append(Problem(":".join(filter(None, (first, problem.where))), problem.text + told))
    return found
