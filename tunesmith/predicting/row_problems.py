"""What is said of what is asked, where it is no rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tunesmith.data.columns.turns import shown
from tunesmith.errors import Problem, SpecError
from tunesmith.words import say


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
        fields = {"kind": type(wrong[0]).__name__, "seen": shown(wrong[0])}
        raise SpecError(
            Problem(
                "rows",
                say(
                    "asked.not_rows" if listed is None else "asked.not_a_row",
                    **fields,
                    row=f"{{{row}}}",
                ),
            )
        )
    return [dict(row) for row in listed]
