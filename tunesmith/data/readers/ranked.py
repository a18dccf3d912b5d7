"""Two answers, in one list or two columns, and which is better: the first, or the one that another
column names.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from tunesmith.data.columns.asking import ASKING, asked, known, told
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
APART = tuple(
    (f"{one}_{first}", f"{one}_{second}")
    for one in ("response", "answer", "output", "completion")
    for first, second in (("0", "1"), ("a", "b"))
)
"""Columns that hold one of two answers each, as PKU-SafeRLHF has them."""
BETTER = (
    "better",
    "better_index",
    "better_response_id",
    "best",
    "preferred",
    "preference",
    "winner",
    "choice",
)
"""Columns that say which answer is better."""
TIES = frozenset({"tie", "ties", "tie (bothbad)", "both", "bothbad", "neither", "equal", "same"})
"""What such a column says where neither is (the words of arenas and of rating sheets)."""


@READERS.register
class RankedAnswers(Reader):
    """Two answers to one prompt, of which the first is better, or the one that ``better`` counts
    from 0, calls a or b (model_a, response_b), or repeats.
    """

    gives = Preference
    fields: ClassVar[dict[str, str]] = {
        "ranked": "a list of two answers, the better one first unless better says otherwise",
        "better": "which is better: 0 or 1, or its text; may be missing",
        "tools": "the functions that may be called",
        **ASKING,
    }
    answers: ClassVar[frozenset[str]] = frozenset({"ranked", "better", *ANSWERS, *sum(APART, ())})

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows whose list of answers is named by the settings, or whose answers stand
        beside a column that says which is better.
        """
        return "ranked" in columns or (
            bool(columns & {*BETTER})
            and (listed(tuple(columns), row) is not None or _apart(row) is not None)
        )

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields, the answers, and the columns that say which is
        better.
        """
        return frozenset({*self.fields, *self.answers, *BETTER})

    def read(self, row: Row) -> Preference:
        """Reads the pair; raises DataError where there are not two answers, or nothing says which
        is better.
        """
        texts = _texts(row)
        better = _better(row, texts)
        best = better or 0
        turns = asked(row)
        chosen, rejected = (tuple(told(texts[n], "assistant")) for n in (best, 1 - best))
        prompt = Chat(tuple(turns), tools_of(row))
        return Preference(prompt, chosen, rejected, tied=better is None, columns=known(row, turns))


def listed(columns: tuple[str, ...], row: Row) -> str | None:
    """Returns the column that holds a list of texts under a usual name for answers."""
    for name in ANSWERS:
        value = json_list(row.get(name)) if name in columns else None
        if value and len(value) > 1 and all(isinstance(one, str) for one in value):
            return name
    return None


def _texts(row: Row) -> list[str]:
    """Returns both answers; raises DataError where there are not two."""
    name = "ranked" if "ranked" in row else listed(tuple(row), row)
    pair = _apart(row) if name is None else None
    if pair is not None:
        return [text_of(row, one) for one in pair]
    found = json_list(row.get(name)) if name else None
    if name is None or found is None or len(found) != 2:
        place = name or "ranked"
        raise field_problem(place, "preference.not_two", seen=shown(row.get(place)))
    return [as_text(one, f"{name}[{n}]") for n, one in enumerate(found)]


def _apart(row: Row) -> tuple[str, str] | None:
    """Returns the two columns that hold one answer each."""
    return next((pair for pair in APART if pair[0] in row and pair[1] in row), None)


def _better(row: Row, texts: list[str]) -> int | None:
    """Returns the index of the better answer; None where the row calls it a tie."""
    name = next((one for one in BETTER if row.get(one) not in (None, "")), None)
    if name is None:
        return 0
    value = str(row[name]).strip().removesuffix(".0")
    if value in texts:
        return texts.index(value)
    counted = {"0": 0, "1": 1, "a": 0, "b": 1}
    # model_a and response_1 name the side at their end.
    side = value.lower().rpartition("_")[2]
    if value.lower() in TIES:
        return None
    if side not in counted:
        raise field_problem(name, "preference.no_better", seen=shown(row[name]))
    return counted[side]
