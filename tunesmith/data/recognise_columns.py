"""What a file's columns mean, told by their names in English and Chinese and by their cells, for
the kind of row that is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tunesmith.data.columns import names
from tunesmith.data.columns.asking import verdict_of
from tunesmith.data.columns.cells import (
    held,
    is_id,
    is_number,
    is_text,
    is_written,
    varies,
)
from tunesmith.data.columns.choices import right_column
from tunesmith.data.columns.inner import opened
from tunesmith.data.columns.meaning import Meaning, pair_of
from tunesmith.data.columns.names import is_called, ranked
from tunesmith.data.columns.turns import ANOTHER_TASK, PICTURES, TURNS, json_list
from tunesmith.data.readers.ranked import listed
from tunesmith.data.readers.scored import ScoredAnswers
from tunesmith.data.recognise_questions import (
    asked_and_answered,
    by_place,
    exam,
    made_of_it,
    turns_of,
    two_right_answers,
    with_options,
)
from tunesmith.data.recognise_texts import labelled, text_alone, text_pair
from tunesmith.examples import Chat, Feedback, Labelled, Preference, Text, TextPair
from tunesmith.plain import Row


def recognise(eats: type, columns: Sequence[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises what the columns mean to an objective that learns from ``eats``, the fields of
    objects where the columns alone say nothing; None where nothing fits.
    """
    if not columns or not rows or eats not in _KINDS:
        return None
    meaning = _KINDS[eats](list(columns), rows)
    if (
        meaning is not None
        or eats is Text
        or not any(isinstance(cell, dict) for cell in _cells(rows))
    ):
        return meaning
    within = opened(rows)
    meaning = _KINDS[eats](list(dict.fromkeys(name for row in within for name in row)), within)
    return None if meaning is None else replace(meaning, sure=False)


def _cells(rows: Sequence[Row]) -> Iterator[object]:
    return (cell for row in rows for cell in row.values())


def holds_pictures(columns: Sequence[str]) -> bool:
    """Tells whether the rows come with pictures or sounds."""
    return bool(PICTURES & set(columns))


def filled(columns: Sequence[str], rows: Sequence[Row]) -> tuple[str, ...]:
    """Returns the columns without those for pictures and sounds of which none of these rows
    has one.
    """
    return tuple(name for name in columns if name not in PICTURES or held(name, rows))


def says_more(columns: Sequence[str], rows: Sequence[Row], text: str = "text") -> bool:
    """Tells whether rows with a text say more than this text: that may be what is to be learned."""
    return any(
        name != text
        and held(name, rows)
        and varies(name, rows)
        and not is_id(name, rows)
        and not is_called(name, names.ABOUT_THE_ROW)
        for name in columns
    )


def _chat(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    pair = _preference(columns, rows)
    if ANOTHER_TASK & {*columns} or (pair and pair.reader is None) or _feedback(columns, rows):
        return None
    if ScoredAnswers.matches(frozenset(columns), rows[0]):
        return None
    # Of several answers that were made none is the one to learn; several right ones say the same.
    several = listed(tuple(columns), rows[0])
    if several is not None and several != "answers":
        asked = [name for name in ranked(names.QUESTION, columns) if is_text(name, rows)]
        columns_meant = {"question": asked[0], "answer": several} if asked else None
        return Meaning(columns_meant, sure=False) if columns_meant else None
    options = with_options(columns, rows)
    if options and not pair and right_column(rows[0]) is None:
        options = not two_right_answers(columns)
    return (
        turns_of(columns, rows)
        or exam(columns, rows)
        or (None if options else _in_columns(columns, rows))
    )


def _in_columns(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises a question and its answer in columns of their own."""
    meaning = asked_and_answered(columns, rows) or made_of_it(columns, rows)
    # Where what is called the answer is always the same, or is no text, nothing else is offered.
    named = [name for name in columns if is_called(name, _ANSWERS) and held(name, rows)]
    taken = any(not varies(name, rows) or not is_written(name, rows) for name in named)
    if meaning is not None or taken:
        return meaning
    return (
        _answered_by_label(columns, rows)
        or by_place(columns, rows)
        or _answered_by_objects(columns, rows)
    )


def _answered_by_objects(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises a text and what was found in it: the only column of lists of objects, such as
    relations, which are written as JSON.
    """
    texts = [name for name in ranked(names.TEXT, columns) if is_text(name, rows)]
    found = [name for name in columns if all(_holds_objects(row.get(name)) for row in rows)]
    others = [name for name in columns if not is_written(name, rows) and held(name, rows)]
    if len(texts) != 1 or len(found) != 1 or others != found:
        return None
    return Meaning({"question": texts[0], "answer": found[0]}, sure=False)


def _holds_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


_ANSWERS = ("answer", "answers", "output", "response", "答案", "回答", "输出")


def _answered_by_label(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises a text with a label, which can be learned as an answer but is hardly meant so."""
    meaning = labelled(columns, rows)
    if meaning is None or "label" not in meaning.columns:
        return None
    meant = meaning.columns
    rest = [name for name in columns if name not in meant.values() and is_text(name, rows)]
    rest += [name for name in columns if json_list(rows[0].get(name))]
    if any(varies(name, rows) and not is_called(name, names.ABOUT_THE_ROW) for name in rest):
        return None
    if is_called(meant["label"], names.ABOUT_THE_ROW) and meant["label"] != "label":
        return None
    if "second" in meant:
        meant = {"instruction": meant["text"], "input": meant["second"], "output": meant["label"]}
        return Meaning(meant, sure=False)
    return Meaning({"question": meant["text"], "answer": meant["label"]}, sure=False)


def _preference(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises a better and a worse answer by words in their columns' names, with what both
    answer.
    """
    lower = {name.casefold(): name for name in columns}
    sides = [(name, name[:-1] + "k") for name in columns if name.endswith("_j")]
    for better, worse in names.SIDES:
        sides += [
            (name, lower[other])
            for folded, name in lower.items()
            if better in folded
            and worse not in folded
            and (other := folded.replace(better, worse)) in lower
        ]
    sides = [pair for pair in sides if pair[1] in columns and all(map(_answers(rows), pair))]
    if not sides:
        name = listed(tuple(columns), rows[0])
        two = name is not None and all(len(json_list(row.get(name)) or []) == 2 for row in rows)
        return Meaning({"ranked": name}, sure=False, reader="ranked") if name and two else None
    chosen, rejected = sides[0]
    meant = {"chosen": chosen, "rejected": rejected}
    rest = [name for name in columns if name not in sides[0]]
    if any(json_list(rows[0].get(name)) for name in rest if name in (*TURNS, "prompt")):
        return Meaning(meant, sure=len(sides) == 1)
    asked = [name for name in ranked(names.QUESTION, rest) if is_text(name, rows)]
    about = [name for name in ranked(names.ABOUT, rest) if held(name, rows) and name not in asked]
    question, *more = [*asked[:1], *about[:1]] or [""]
    if more:
        meant = {"instruction": question, "input": more[0], **meant}
    elif question:
        meant = {"prompt": question, **meant}
    else:
        texts = [name for name in rest if is_text(name, rows) and varies(name, rows)]
        texts = [name for name in texts if not is_called(name, names.ABOUT_THE_ROW)]
        if len(texts) == 1 and not is_id(texts[0], rows):
            return Meaning({"prompt": texts[0], **meant}, sure=False)
    return Meaning(meant, sure=len(sides) == 1 and max(len(asked), len(about)) <= 1)


def _answers(rows: Sequence[Row]) -> Callable[[str], bool]:
    """Makes a check whether a column holds answers: texts, a turn, or turns."""

    def answers(name: str) -> bool:
        values = held(name, rows)
        return bool(values) and all(
            isinstance(value, str | dict) or json_list(value) for value in values
        )

    return answers


def _feedback(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises an answer and whether it is good: true and false, or 1 and 0."""
    judged = [
        name for name in ranked(names.JUDGED, columns) if all(map(_is_verdict, held(name, rows)))
    ]
    if not judged or not held(judged[0], rows):
        return None
    rest = [name for name in columns if name != judged[0]]
    turns = [name for name in rest if json_list(rows[0].get(name)) and name in TURNS]
    asked_meaning = turns_of(rest, rows) or asked_and_answered(rest, rows)
    named = {"prompt", "completion"} <= {*columns}
    if turns or named:
        columns_told = {}
    elif asked_meaning is not None:
        columns_told = asked_meaning.columns
    else:
        return None
    if "output" in columns_told:
        columns_told = {**columns_told, "answer": columns_told["output"]}
        del columns_told["output"]
    return Meaning({**columns_told, "label": judged[0]}, sure=True, reader="feedback")


def rating(columns: Sequence[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises an answer with a number that grades it, which a model of texts and numbers learns:
    the question, the answer and the number.
    """
    graded = [
        name
        for name in ranked(names.RATED, columns)
        if held(name, rows) and varies(name, rows) and all(map(is_number, held(name, rows)))
    ]
    meaning = asked_and_answered([name for name in columns if name not in graded], rows)
    if not graded or meaning is None:
        return None
    text, *_, second = meaning.columns.values()
    return Meaning({"text": text, "second": second, "label": graded[0]}, sure=False)


def _is_verdict(value: object) -> bool:
    return verdict_of(value) is not None


_KINDS: dict[type, Callable[[list[str], Sequence[Row]], Meaning | None]] = {
    Chat: _chat,
    Preference: _preference,
    Feedback: _feedback,
    Labelled: labelled,
    TextPair: text_pair,
    Text: text_alone,
}


def from_template(used: Sequence[str]) -> dict[str, str] | None:
    """Maps our names to the columns that a template names: the last is the answer, those before are
    the question or the reasoning.
    """
    columns_used = list(dict.fromkeys(used))
    if len(columns_used) < 2:
        return None
    reasoning = ranked(names.REASONING, columns_used[1:])[:1]
    rest = [name for name in columns_used if name not in reasoning]
    if len(rest) < 2:
        return {"question": columns_used[0], "answer": columns_used[-1]}
    question = next(iter(ranked(names.QUESTION, rest[:-1])), rest[0])
    thought = {"reasoning": reasoning[0]} if reasoning else {}
    return {"question": question, **thought, "answer": rest[-1]}


def template_for(
    columns: Sequence[str], rows: Sequence[Row], told: Mapping[str, str]
) -> str | None:
    """Returns a template that keeps the second sentence of a pair, or what else is asked beside
    question and context; None where the columns that were told hold all.
    """
    asked = told.get("instruction")
    answer = told.get("output", told.get("answer"))
    pair = pair_of([name for name in columns if name != answer])
    if answer is not None and pair is not None and pair == (asked, told.get("input")):
        return f"{{{asked}}}\n{{{pair[1]}}}\n{answer}: {{{answer}}}"
    usual = [*names.QUESTION, *names.ABOUT]
    whole = [name for name in columns if name in told.values() or is_called(name, usual)]
    whole = [name for name in whole if name != answer and is_text(name, rows)]
    orders = any(is_called(name, names.ORDERS) for name in whole)
    if answer is None or not orders or len(whole) < 3 or "reasoning" in told:
        return None
    return "\n".join(f"{{{name}}}" for name in (*whole, answer))
