"""Answers judged one by one: a conversation, or a question and its answer, with ``label`` or
``kto_tag``.
"""

from __future__ import annotations

from typing import ClassVar

from tunesmith.data.columns.asking import ASKING, answers, asked, judged, known, verdict_of
from tunesmith.data.columns.turns import PICTURES, TURNS, field_problem, shown, tools_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat, Feedback

_ANSWERS = ("completion", "answer", "response", "output")
_ONLY_PAIRS = frozenset({"chosen", "rejected", "rejected_response"})


@READERS.register
class FeedbackReader(Reader):
    """A question, an answer, and whether that answer is desirable (true or false)."""

    gives = Feedback
    fields: ClassVar[dict[str, str]] = {
        "label": (
            "whether the answer is good: true or false, 1 or 0 (or -1), good or bad, up or down"
        ),
        "kto_tag": "the same",
        "completion": "the answer; also answer, response, output",
        "answer": "the answer",
        "response": "the answer",
        "output": "the answer",
        "tools": "the functions that may be called",
        **ASKING,
    }

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with a truth value and the answer that it judges."""
        about = columns & {*TURNS, *_ANSWERS}
        return judged(columns, row) and bool(about) and not columns & (PICTURES | _ONLY_PAIRS)

    def read(self, row: Row) -> Feedback:
        """Reads the conversation and its label."""
        turns = asked(row)
        if turns and turns[-1].role != "assistant":
            answer = next((name for name in _ANSWERS if row.get(name) not in (None, "")), None)
            turns += answers(row, answer) if answer else []
        answer_column = (
            {"answer": turns[-1].content} if turns and turns[-1].role == "assistant" else {}
        )
        return Feedback(
            Chat(tuple(turns), tools_of(row), known(row, turns) | answer_column), _desirable(row)
        )


def _desirable(row: Row) -> bool | None:
    """Reads the label of a row; None where it has none."""
    field = "kto_tag" if row.get("kto_tag") not in (None, "") else "label"
    value: object = row.get(field)
    if value in (None, ""):
        return None
    verdict = verdict_of(value)
    if verdict is None:
        raise field_problem(field, "reader.not_flag", seen=shown(value))
    return verdict
