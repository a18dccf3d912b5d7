"""Two answers, in one list or two columns, and which is better: the first, or the one that another
column names.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from tunesmith.data.columns.asking import ASKING, asked_by_any_name, known, told
from tunesmith.data.columns.better import (
    BETTER,
    FLAGS,
    SIGNED,
    apart,
    better_of,
    counted_from,
    says_better,
)
from tunesmith.data.columns.names import ABOUT, QUESTION, ranked
from tunesmith.data.columns.turns import (
    as_text,
    field_problem,
    json_list,
    shown,
    text_of,
    tools_of,
)
from tunesmith.data.readers import READERS, Reader
from tunesmith.examples import Chat, Preference
from tunesmith.plain import Row

ANSWERS = ("responses", "answers", "outputs", "completions", "output", "response")


@READERS.register
class RankedAnswers(Reader):
    """Two answers to one prompt, of which the first is better, or the one that ``better`` counts,
    names (a, model_b, response_1), or repeats; a tie teaches nothing and is left out.
    """

    gives = Preference
    fields: ClassVar[dict[str, str]] = {
        "ranked": "a list of two answers, the better one first unless better says otherwise",
        "better": (
            "which is better: 0 or 1 (1 or 2 where they count from 1), a or b, model_a or model_b, "
            "its text, or tie; may be missing"
        ),
        "tools": "the functions that may be called",
        **ASKING,
    }
    answers: ClassVar[frozenset[str]] = frozenset({"ranked", "better", *ANSWERS})

    looks = True

    def __init__(self) -> None:
        self.first = 0

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows whose list of answers is named by the settings, or whose answers stand
        beside a column that says which is better.
        """
        return "ranked" in columns or (
            says_better(columns)
            and (listed(tuple(columns), row) is not None or _two_columns(row) is not None)
        )

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields, the answers, and the columns that say which is
        better.
        """
        there = {*ANSWERS, *(apart(columns) or ()), *BETTER, *FLAGS, *SIGNED}
        return frozenset({*self.fields, *there, *ranked([*QUESTION, *ABOUT], columns)[:1]})

    def look(self, rows: Sequence[Row]) -> None:
        """Learns from many rows from which number they count the answers."""
        self.first = counted_from(rows)

    def read(self, row: Row) -> Preference:
        """Reads the pair; raises DataError where there are not two answers, or a word names
        neither.
        """
        texts = _texts(row)
        better = better_of(row, texts, first=self.first)
        best = better or 0
        turns = asked_by_any_name(row)
        chosen, rejected = (tuple(told(texts[n], "assistant")) for n in (best, 1 - best))
        prompt = Chat(tuple(turns), tools_of(row))
        return Preference(prompt, chosen, rejected, tied=better is None, columns=known(row, turns))


def listed(columns: tuple[str, ...], row: Row) -> str | None:
    """Returns the column that holds a list of texts under a usual name for answers."""
    for name in ANSWERS:
        value = json_list(row.get(name)) if name in columns else None
        if value and len(value) > 1 and all(isinstance(text, str) for text in value):
            return name
    return None


def _two_columns(row: Row) -> tuple[str, str] | None:
    """Returns the two columns that hold one answer each; None where they hold lists of rounds."""
    pair = apart(row)
    return None if pair and any(json_list(row[name]) is not None for name in pair) else pair


def _texts(row: Row) -> list[str]:
    """Returns both answers; raises DataError where there are not two."""
    name = "ranked" if "ranked" in row else listed(tuple(row), row)
    pair = apart(row) if name is None else None
    if pair is not None:
        return [text_of(row, name_of_side) for name_of_side in pair]
    pair_listed = json_list(row.get(name)) if name else None
    if name is None or pair_listed is None or len(pair_listed) != 2:
        field = name or "ranked"
        raise field_problem(field, "preference.not_two", seen=shown(row.get(field)))
    return [as_text(one, f"{name}[{n}]") for n, one in enumerate(pair_listed)]
