"""Several answers to one prompt, each with its score: the best is chosen, the worst rejected
(UltraFeedback, WebGPT comparisons, Nectar).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.data.columns.asking import ASKING, asked_by_any_name, known, told
from tunesmith.data.columns.better import apart, says_better
from tunesmith.data.columns.cells import is_number
from tunesmith.data.columns.names import ABOUT, QUESTION, ranked
from tunesmith.data.columns.turns import as_text, field_problem, json_list, shown, tools_of
from tunesmith.data.readers import READERS, Reader
from tunesmith.data.readers.ranked import ANSWERS
from tunesmith.examples import Chat, Preference
from tunesmith.plain import Row

_TEXTS = ("response", "answer", "text", "content", "output", "completion")
_SCORES = ("overall_score", "score", "pm_score", "rating", "reward", "rank")
"""What an answer's own score is called, the surest first. Ranks count from the best."""
_LISTS = ("scores", "ratings", "rewards", "ranks", "rank")


@READERS.register
class ScoredAnswers(Reader):
    """Answers to one prompt with a number for each: the highest is the better answer and the lowest
    the worse; where all are equal the row is a tie and left out.
    """

    gives = Preference
    fields: ClassVar[dict[str, str]] = {
        "scored": "a list of answers: texts beside scores, or objects that hold both",
        "scores": "a number for each answer, the higher the better",
        "ranks": "the same counted from the best: the lower the better",
        "tools": "the functions that may be called",
        **ASKING,
    }
    answers: ClassVar[frozenset[str]] = frozenset({"scored", "scores", "ranks", *ANSWERS})

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with two answers or more, each with a score, and nothing else that says
        which is better.
        """
        seen = {name: row.get(name) for name in columns}
        if says_better(columns) or {"chosen", "rejected"} & columns:
            return False
        return "scored" in columns or _objects(seen) or _beside(seen) or bool(_columns(seen))

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields, the answers, and their scores."""
        apart_ones = _columns(dict.fromkeys(columns)) or {}
        there = {*ANSWERS, *_LISTS, *apart_ones, *apart_ones.values()}
        return frozenset({*self.fields, *there, *ranked([*QUESTION, *ABOUT], columns)[:1]})

    def read(self, row: Row) -> Preference:
        """Reads the best and the worst answer; raises DataError where there are not two answers
        with a score each.
        """
        texts, scores = _pairs(row)
        best, worst = (scores.index(score) for score in (max(scores), min(scores)))
        turns = asked_by_any_name(row)
        chosen, rejected = (tuple(told(texts[n], "assistant")) for n in (best, worst))
        # All alike: a pair of any two, left out as a tie.
        if best == worst:
            rejected = tuple(told(texts[1 - best], "assistant"))
        prompt = Chat(tuple(turns), tools_of(row))
        return Preference(prompt, chosen, rejected, tied=best == worst, columns=known(row, turns))


@dataclass(frozen=True)
class _Scored:
    """An answer and its score, with the fields that hold them."""

    field: str
    answer: object
    score_field: str
    score: object


def _pairs(row: Row) -> tuple[list[str], list[float]]:
    """Returns the answers of a row and their scores, the higher the better; raises DataError where
    there are not two, or one has no score.
    """
    scored, lower_is_better = _scored(row)
    if len(scored) < 2:
        raise field_problem(scored[0].field, "preference.not_several", seen=len(scored))
    for answer in scored:
        if not is_number(answer.score):
            raise field_problem(answer.score_field, "reader.not_number", seen=shown(answer.score))
    sign = -1 if lower_is_better else 1
    texts = [as_text(answer.answer, answer.field) for answer in scored]
    return texts, [sign * float(str(answer.score)) for answer in scored]


def _scored(row: Row) -> tuple[list[_Scored], bool]:
    """Returns the answers of a row with their scores, and whether these are ranks."""
    places = _columns(row)
    if places:
        return [
            _Scored(name, row[name], score, row[score]) for name, score in places.items()
        ], False
    name = (
        "scored"
        if "scored" in row
        else next((column for column in ANSWERS if _held(row, column)), "")
    )
    items = _held(row, name)
    if items is None:
        raise field_problem(name or "scored", "preference.not_several", seen=0)
    beside = next((column for column in _LISTS if json_list(row.get(column)) is not None), None)
    if beside is not None:
        scores = json_list(row[beside]) or []
        if len(scores) != len(items):
            raise field_problem(
                beside, "preference.scores_count", answers=len(items), scores=len(scores)
            )
        scored = [
            _Scored(f"{name}[{n}]", answer, f"{beside}[{n}]", score)
            for n, (answer, score) in enumerate(zip(items, scores, strict=True))
        ]
        return scored, beside.startswith("rank")
    key = _key_of(items)
    scored = []
    for n, item in enumerate(items):
        held = item if isinstance(item, dict) else {}
        text = next((name for name in _TEXTS if name in held), _TEXTS[0])
        where = f"{name}[{n}]"
        scored.append(_Scored(f"{where}.{text}", held.get(text), f"{where}.{key}", held.get(key)))
    return scored, key == "rank"


def _held(row: Row, name: str) -> list[object] | None:
    """Returns the answers that a column lists; None where it lists fewer than two."""
    value = json_list(row.get(name))
    return value if value and len(value) > 1 else None


def _key_of(items: list[object]) -> str:
    """Returns the key of the score in the first answer; empty where it has none."""
    first = items[0] if items and isinstance(items[0], Mapping) else {}
    return next((key for key in _SCORES if key in first), "")


def _objects(row: Row) -> bool:
    """Tells whether a column lists answers that hold their score."""
    return any(_key_of(_held(row, name) or []) for name in ANSWERS)


def _beside(row: Row) -> bool:
    """Tells whether a list of scores stands beside a list of answers."""
    answers = any(_held(row, name) for name in ANSWERS)
    return answers and any(json_list(row.get(name)) is not None for name in _LISTS)


def _columns(row: Row) -> dict[str, str]:
    """Maps columns that hold one answer each to those of their scores; empty where there are
    none.
    """
    pair = apart(row)
    for word in ("score", "rating", "reward", "分数", "评分"):
        for mark in ("_", ""):
            scores = [f"{word}{mark}{name[-1]}" for name in pair or ()]
            if scores and all(name in row for name in scores):
                return dict(zip(pair or (), scores, strict=True))
    return {}
