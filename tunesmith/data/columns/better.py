"""Which of two answers a row calls better, and the two columns that hold one answer each."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from tunesmith.data.columns.cells import is_number
from tunesmith.data.columns.names import plain, words_of
from tunesmith.data.columns.turns import field_problem, shown
from tunesmith.plain import Row

BETTER = (
    "better",
    "better_index",
    "better_response_id",
    "best",
    "preferred",
    "preference",
    "winner",
    "choice",
    "更好",
    "更优",
    "偏好",
    "较好",
    "胜者",
    "胜出",
    "优胜",
    "评判结果",
    "对比结果",
    "哪个更好",
)
"""Columns that say which answer is better."""
FLAGS: dict[str, int | None] = {"winner_model_a": 0, "winner_model_b": 1, "winner_tie": None}
"""Columns of which the one that holds 1 says it."""
SIGNED = ("preference_strength", "overall_preference")
"""Columns whose number is below 0 where the first answer is better, as HelpSteer2 and 3 have it."""
_TIES = frozenset(
    words_of("tie ties tie(bothbad) bothbad both_bad both_good both neither equal same draw none")
    + words_of("平局 平手 一样 一样好 相同 都好 都差 都不好 两者都差")
)
"""What such a column says where neither is better (the words of arenas and of rating sheets)."""
_SIDES = {
    **dict.fromkeys(("a", "first", "left", "甲", "一", "左", "前者"), 0),
    **dict.fromkeys(("b", "second", "right", "乙", "二", "右", "后者"), 1),
}
_STEMS = words_of("response answer output completion reply 回答 答案 回复 输出")
_SUFFIXES = (("0", "1"), ("1", "2"), ("a", "b"))
# model_a, response 1, 回答A: the side stands at the end.
_SIDE = re.compile(
    r"(?:[^\W\d_].*[ _-])?(?:model|response|answer|output|completion|assistant|回答|答案|模型|第)?"
    r"([ab]|[012]|first|second|left|right|[甲乙一二左右]|[前后]者)"
    r"(?:个| is)?(?: ?wins?| ?won| ?better| ?更好|更优|较好|较优|好|优|胜出|获胜|胜)?"
)


def apart(columns: Collection[str]) -> tuple[str, str] | None:
    """Finds two columns that hold one answer each: response_0 and response_1, answer_a and
    answer_b.
    """
    called = {plain(name): name for name in columns}
    names = [(stem + first, stem + second) for stem in _STEMS for first, second in _SUFFIXES]
    pairs = [pair for pair in names if pair[0] in called and pair[1] in called]
    return (called[pairs[0][0]], called[pairs[0][1]]) if pairs else _apart_within(columns)


def _apart_within(columns: Collection[str]) -> tuple[str, str] | None:
    """Finds two columns of answers whose side stands within their names, as in 模型A回答."""
    for name in columns:
        for first, second in _WITHIN:
            for mark in re.finditer(rf"(?<![A-Za-z0-9]){first}(?![A-Za-z0-9])", name):
                other = name[: mark.start()] + second + name[mark.end() :]
                if other in columns and any(stem in plain(name) for stem in _STEMS):
                    return name, other
    return None


_WITHIN = (("A", "B"), ("a", "b"), ("甲", "乙"), ("1", "2"), ("0", "1"))


def says_better(columns: Collection[str]) -> bool:
    """Tells whether a row with these columns may say which answer is better."""
    return bool({*BETTER, *FLAGS, *SIGNED} & {*columns})


def better_of(row: Row, texts: Sequence[str] = (), *, first: int = 0) -> int | None:
    """Returns the index of the better answer, 0 where no column says it, None where the row calls
    it a tie; raises DataError for a word that names no side.

    A number counts from ``first``. A side may also be named by its text or by its model.
    """
    flags = [name for name in FLAGS if name in row]
    if len(flags) > 1:
        chosen = [name for name in flags if str(row[name]).strip().lower() in ("1", "1.0", "true")]
        if len(chosen) != 1:
            seen = {name: row[name] for name in flags}
            raise field_problem(flags[0], "preference.no_better", seen=shown(seen))
        return FLAGS[chosen[0]]
    signed = next((column for column in SIGNED if row.get(column) not in (None, "")), None)
    if signed is not None:
        if not is_number(row[signed]):
            raise field_problem(signed, "reader.not_number", seen=shown(row[signed]))
        strength = float(str(row[signed]))
        return int(strength > 0) if strength else None
    name = next((column for column in BETTER if row.get(column) not in (None, "")), None)
    if name is None:
        return 0
    value = str(row[name]).strip().removesuffix(".0")
    models = [row.get("model_a"), row.get("model_b")]
    for choices in (list(texts), models if models[0] != models[1] else []):
        if value in choices:
            return choices.index(value)
    word = value.casefold()
    if word.replace(" ", "") in _TIES:
        return None
    side = _SIDE.fullmatch(word)
    if side is None:
        raise field_problem(name, "preference.no_better", seen=shown(row[name]))
    index = int(side[1]) - first if side[1].isdecimal() else _SIDES[side[1]]
    if index not in (0, 1):
        raise field_problem(name, "preference.no_better", seen=shown(row[name]))
    return index


def counted_from(rows: Sequence[Row]) -> int:
    """Returns the number of the first answer: 1 where rows name the sides 1 and 2, or where the
    columns themselves do and no row says 0.
    """
    said = {
        str(row[name]).strip().removesuffix(".0")[-1:]
        for row in rows
        for name in BETTER
        if row.get(name) not in (None, "")
    }
    pair = apart(rows[0]) if rows else None
    numbered = pair is not None and plain(pair[1])[-1] == "2"
    return int("0" not in said and ("2" in said or numbered))
