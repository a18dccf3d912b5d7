"""What a teacher wrote to one row, and the words in which it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tunesmith.examples import Turn
from tunesmith.plain import JsonObject
from tunesmith.teaching.questions import Question

THOUGHT = "</think>"
Finish = Literal["stop", "length", "refused", "empty", "too long"]


@dataclass(frozen=True)
class Written:
    """One answer. ``finish`` says how it ended: by itself, at the length limit, or that there is
    none and why.
    """

    text: str
    finish: Finish
    tokens: int
    reasoning: str | None = None
    retries: int = 0
    """How often it was asked again."""


def written(text: str, *, cut: bool, tokens: int, reasoning: str | None = None) -> Written:
    """Makes an answer from a model's text, with the thinking at its beginning apart."""
    if reasoning is None and THOUGHT in text:
        thought, _, text = text.partition(THOUGHT)
        reasoning = thought.replace("<think>", "", 1)
    text, finish = text.strip(), "length" if cut else "stop"
    return Written(text, finish if text else "empty", tokens, (reasoning or "").strip() or None)  # type: ignore[arg-type]


def messages(turns: tuple[Turn, ...], system: str | None = None) -> list[JsonObject]:
    """Returns the turns in OpenAI's form, under ``system`` where they have no system prompt of
    their own.
    """
    said = [{"role": turn.role, "content": turn.content} for turn in turns]
    above = system is not None and not any(turn.role == "system" for turn in turns)
    return [{"role": "system", "content": system}, *said] if above else said


def row_of(
    question: Question, answer: Written, *, teacher: str, system: str | None
) -> dict[str, object]:
    """Returns the row to train on: only the teacher's answer counts in it, not the answers that the
    file had before.
    """
    said = messages(question.chat.turns, system)
    before = [turn | {"weight": 0} if turn["role"] == "assistant" else turn for turn in said]
    thought = {"reasoning_content": answer.reasoning} if answer.reasoning else {}
    reference = {"reference": question.reference} if question.reference else {}
    last = {"role": "assistant", **thought, "content": answer.text}
    return {
        "messages": [*before, last],
        **reference,
        **question.columns,
        "teacher": teacher,
        "finish": answer.finish,
    }
