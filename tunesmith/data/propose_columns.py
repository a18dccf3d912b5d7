"""A guess at what a file's columns mean, by their names in English and Chinese and by what they
hold; for error messages only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.columns.turns import ANOTHER_TASK, conversation, json_list
from tunesmith.errors import DataError

Row = Mapping[str, Any]

_QUESTION = (
    "question query prompt instruction problem input ask user human content context source src "
    "passage article document dialogue "
    "sentence text review comment "
    "问题 提问 题目 指令 用户 咨询 输入 症状 描述 原文 内容 文本 评论 句子 英文"
)
_REASONING = (
    "complexcot cot reasoning reasoningcontent think thinking thought thoughts rationale analysis "
    "思考 推理 思维链 分析 解析"
)
_ANSWER = (
    "response answer output completion reply assistant bot target tgt golden gold solution "
    "summary title "
    "label category intent sentiment "
    "回答 答案 回复 答复 输出 诊断 处方 摘要 标题 标签 类别 译文 中文"
)
_CHOICE = re.compile(
    r"^(?:(?:[Cc]hoice|[Oo]ption|[Oo]pt|选项)[ _]?(?=.$)|(?=[A-H]$))([A-Ha-h]|\d)$"
)
_BETTER = (
    "chosen chosenresponse chosenanswer chosentext better preferred win winner positive accepted "
    "优选 选中 好回答"
)
_WORSE = (
    "rejected rejectedresponse rejectedanswer rejectedtext worse dispreferred lose loser negative "
    "劣选 拒绝 差回答"
)
_PAIRS = {
    "premise": "hypothesis",
    "text": "text2",
    "sentence": "sentence2",
    "query": "passage",
    "anchor": "positive",
}
_ABOUT = "input context passage background material 背景 材料 上下文"


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def another_task(columns: Sequence[str], first: Row) -> bool:
    """Whether the rows are preference pairs or pictures, which no reader of conversations may
    flatten.
    """
    turns = any(
        isinstance(value, list) and value and isinstance(value[0], dict) for value in first.values()
    )
    judged = turns and isinstance(first.get("label"), bool)
    paired = any(name.endswith("_j") and name[:-1] + "k" in columns for name in columns)
    return bool(ANOTHER_TASK & set(columns)) or judged or paired


def propose(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, str] | None:
    """Our names to the file's, such that a reader matches; None where nothing can be made of the
    columns.
    """
    texts = [name for name in columns if _is_text(name, rows)]
    reasoning = _find(_REASONING, texts, None)
    around = columns.index(reasoning) if reasoning else None
    free = [name for name in texts if name != reasoning]
    question = _find(_QUESTION, free, _distance(columns, around))
    answer = _find(_ANSWER, [name for name in free if name != question], _distance(columns, around))
    if not (question and answer):
        told = _turns(columns, rows)
        if told:
            return told
        question, answer = _by_place(
            [name for name in free if not _only_ids(name, rows)], question, answer
        )
    if question and answer and reasoning:
        return {"question": question, "reasoning": reasoning, "answer": answer}
    if question and answer:
        about = _find(
            _ABOUT,
            [name for name in free if name not in (question, answer) and _varies(name, rows)],
            None,
        )
        if about is None and all(name.isdecimal() for name in columns):
            about = next((name for name in free if name not in (question, answer)), None)
        if about:
            return {"instruction": question, "input": about, "output": answer}
        return {"question": question, "answer": answer}
    return {"text": texts[0]} if len(texts) == 1 else None


def propose_pair(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, str] | None:
    """Our names to the file's where two columns are a better and a worse answer; None where none
    are.
    """
    sides = [(name, name[:-1] + "k") for name in columns if name.endswith("_j")]
    better, worse = (_find(names, columns, None) for names in (_BETTER, _WORSE))
    sides += [(better, worse)] if better and worse else []
    found = next(((one, other) for one, other in sides if other in columns), None)
    if found is None:
        return None
    asked = _find(
        _QUESTION, [name for name in columns if name not in found and _is_text(name, rows)], None
    )
    return {**({"prompt": asked} if asked else {}), "chosen": found[0], "rejected": found[1]}


def propose_from(template: Sequence[str], rows: Sequence[Row]) -> dict[str, str] | None:
    """Our names to the columns that a template names: the last is the answer, those before are
    asked or thought.
    """
    names = list(dict.fromkeys(template))
    if len(names) < 2:
        return None
    reasoning = _find(_REASONING, names[1:], None)
    rest = [name for name in names if name != reasoning]
    if len(rest) < 2:
        return {"question": names[0], "answer": names[-1]}
    question = _find(_QUESTION, rest[:-1], None) or rest[0]
    return {
        "question": question,
        **({"reasoning": reasoning} if reasoning else {}),
        "answer": rest[-1],
    }


def template_for(
    columns: Sequence[str], guess: Mapping[str, str], rows: Sequence[Row]
) -> str | None:
    """A template that keeps the choices of a question or the other sentence of a pair; None where
    there are none.
    """
    asked = next((guess[name] for name in ("question", "instruction") if name in guess), None)
    answer = next((guess[name] for name in ("answer", "output") if name in guess), None)
    if asked is None or answer is None or "reasoning" in guess:
        return None
    free = [name for name in columns if name not in (asked, answer)]
    sets = [
        name for name in free if _plain(name) in ("options", "choices", "选项") and _any(name, rows)
    ]
    choices = [
        (name, match[1]) for name in free if (match := _CHOICE.match(name)) and _is_text(name, rows)
    ]
    if len(choices) >= 2:
        lines = [f"{label}. {{{name}}}" for name, label in choices]
    elif sets:
        lines = [f"{{{sets[0]}}}"]
    else:
        other = _other_of_pair(asked, free)
        return f"{{{asked}}}\n{{{other}}}\n{answer}: {{{answer}}}" if other else None
    return "\n".join([f"{{{asked}}}", *lines, f"Answer: {{{answer}}}"])


def _any(name: str, rows: Sequence[Row]) -> bool:
    return any(row.get(name) for row in rows)


def _other_of_pair(asked: str, free: Sequence[str]) -> str | None:
    """The column that is to ``asked`` as sentence2 is to sentence1."""
    if asked in _PAIRS and _PAIRS[asked] in free:
        return _PAIRS[asked]
    other = {"1": "2", "a": "b", "A": "B"}.get(asked[-1])
    return asked[:-1] + other if other and asked[:-1] + other in free else None


def _distance(columns: Sequence[str], around: int | None) -> dict[str, int] | None:
    """How far each column is from the one at ``around``: what belongs together stands together."""
    return None if around is None else {name: abs(n - around) for n, name in enumerate(columns)}


def _find(names: str, columns: Sequence[str], near: Mapping[str, int] | None) -> str | None:
    """The column with the name that comes first in ``names``; with ``near``, the nearest one that
    has any of them.
    """
    order = names.split()
    found = [(order.index(_plain(name)), name) for name in columns if _plain(name) in order]
    if near is not None:
        found = [(near[name], name) for _, name in found]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _by_place(
    free: Sequence[str], question: str | None, answer: str | None
) -> tuple[str | None, str | None]:
    """The question is the first text, the answer the last."""
    rest = [name for name in free if name not in (question, answer)]
    if question is None and rest:
        question = rest.pop(0)
    if answer is None and rest:
        answer = rest.pop()
    return question, answer


def _is_text(name: str, rows: Sequence[Row]) -> bool:
    """Whether the column holds texts, or lists of one text; a column of numbers may be an answer by
    its name or its place.
    """
    values = [row.get(name) for row in rows if row.get(name) not in (None, "", [])]
    flat = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    if not flat:
        return False
    if all(isinstance(value, str) for value in flat):
        return True
    number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in flat)
    return number and (_plain(name) in _ANSWER.split() or name.isdecimal())


def _only_ids(name: str, rows: Sequence[Row]) -> bool:
    """Whether a named column holds a different number in each row, so that it can only be an id."""
    values = [str(row.get(name)) for row in rows]
    return (
        not name.isdecimal()
        and len(values) > 1
        and all(map(str.isdecimal, values))
        and len(set(values)) == len(values)
    )


def _varies(name: str, rows: Sequence[Row]) -> bool:
    return len({str(row.get(name)) for row in rows}) > 1


def _turns(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, str] | None:
    """The first column that reads as a conversation of a user and an assistant."""
    for name in columns:
        value = json_list(rows[0].get(name)) if rows else None
        if not value:
            continue
        try:
            roles = {turn.role for turn in conversation(rows[0], name)}
        except DataError:
            continue
        if {"user", "assistant"} <= roles:
            sharegpt = isinstance(value[0], dict) and "from" in value[0]
            return {"conversations" if sharegpt else "messages": name}
    return None
