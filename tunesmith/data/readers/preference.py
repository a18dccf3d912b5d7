"""Preference pairs: chosen and rejected as texts, as turns or as whole conversations, with what
both answer.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import ClassVar

from tunesmith.data.columns.asking import ASKING, answers, asked, known
from tunesmith.data.columns.finishing import common_turns
from tunesmith.data.columns.names import PAIR_SCORES
from tunesmith.data.columns.turns import PICTURES, field_problem, no_number, shown, tools_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat, Preference


@READERS.register
class PreferenceReader(Reader):
    """A better and a worse answer to one prompt; where each holds the whole conversation, the
    prompt is what both begin with.
    """

    gives = Preference
    fields: ClassVar[dict[str, str]] = {
        "chosen": "the better answer: a text, a turn, or the whole conversation",
        "rejected": (
            "the worse answer, in the same form; also rejected_response, beside messages that end "
            "with the better one"
        ),
        "rejected_response": "the worse answer",
        "response": "the better answer, beside rejected_response",
        "margin": "how much better the chosen answer is, a number; may be missing",
        "tools": "the functions that may be called",
        **ASKING,
    }

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with both answers."""
        swift = "rejected_response" in columns and bool(columns & {"messages", "response"})
        return ({"chosen", "rejected"} <= columns or swift) and not columns & PICTURES

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Adds the scores of both sides, which are compared with their order."""
        return frozenset({*self.fields, *(name for names in PAIR_SCORES for name in names)})

    def read(self, row: Row) -> Preference:
        """Reads the pair; what its two sides begin with in common is the prompt."""
        turns = asked(row)
        worse = (
            "rejected_response" if row.get("rejected_response") not in (None, "") else "rejected"
        )
        several = row.get(worse)
        if isinstance(several, list) and several and all(isinstance(text, str) for text in several):
            raise field_problem(worse, "preference.several", count=len(several))
        rejected = answers(row, worse)
        if row.get("chosen") not in (None, ""):
            chosen = answers(row, "chosen")
        elif row.get("response") not in (None, ""):
            chosen = answers(row, "response")
        else:
            end = next(
                (n for n in range(len(turns), 0, -1) if turns[n - 1].role == "user"), len(turns)
            )
            turns, chosen = turns[:end], turns[end:]
        if {side[0].role for side in (chosen, rejected) if side} - {"assistant"}:
            system = [
                turn for turn in turns if turn.role == "system" and turn not in (*chosen, *rejected)
            ]
            common = common_turns(chosen, rejected)
            turns, chosen, rejected = (
                [*system, *chosen[:common]],
                chosen[common:],
                rejected[common:],
            )
        prompt = Chat(tuple(turns), tools_of(row))
        return Preference(prompt, tuple(chosen), tuple(rejected), _margin(row), known(row, turns))


def _margin(row: Row) -> float | None:
    """Reads the margin of a row; None where it has none."""
    value = row.get("margin")
    if value in (None, "") or no_number(value):
        return None
    try:
        margin = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        margin = math.nan
    if not math.isfinite(margin):  # one such margin makes every step that holds it NaN
        raise field_problem("margin", "reader.not_number", seen=shown(value))
    return margin
