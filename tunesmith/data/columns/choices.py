"""Questions with options: which columns or which value hold the options, and which of them is
right.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from tunesmith.data.columns.cells import question_in
from tunesmith.data.columns.names import plain, words_of
from tunesmith.data.columns.turns import as_text, field_problem, json_list, json_of, shown, text_of
from tunesmith.errors import DataError, Problem
from tunesmith.plain import Row
from tunesmith.words import say

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SETS = (
    *("options", "choices", "endings", "option", "choice", "candidates", "alternatives"),
    *("选项", "候选", "备选"),
)
"""Columns that hold all options of a question."""
_ONE = re.compile(
    r"(?:(?:choices?|options?|opt?|endings?|answers?|ans|sol|solution|选项)[ _.]?)?"
    r"(?P<mark>[A-J]|\d)",
    re.IGNORECASE,
)
"""Columns that hold one option: A, choice0, option_a, opa, ending2, sol1, answer0, 选项A."""
_WRONG = re.compile(
    r"(?:distractors?|(?:incorrect|wrong|false)[ _]?(?:answer|option|choice)s?|干扰项|错误选项)"
    r"[ _]?\d*",
    re.IGNORECASE,
)
"""Columns of wrong options, beside that of the right one: SciQ, TruthfulQA."""
RIGHT = words_of(
    "answer_idx answer_index answeridx answerkey answer_key correct_option "
    "correct_answer_idx correct_choice correctanswer correct_answer best_answer correct gold "
    "answer answers label labels cop target output solution response 正确答案 正确选项 参考答案 "
    "标准答案 答案"
)
"""Columns that say which option is right, the surest first."""
_MARKED = re.compile(r"\s*[（(\[【]?([A-Za-z])(?:[)）\]】]|[.．、:：,，])\s*")
_BEFORE_MARK = re.compile(r"(?<=[\s;；|,，])(?=[（(]?[B-J](?:[)）]|[.．、:：]))")
_LETTER = re.compile(
    r"(?:(?:the )?(?:correct )?(?:answer|option|choice)(?: is)?|答案(?:是|为)?|选项?)?\s*[:：]?\s*"
    r"[（(\[【]?([A-Za-z](?:\s*[,，、;；/|]?\s*[A-Z])*)[)）\]】]?[.。．、]?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Options:
    """The options of a question. ``marks`` are what the file calls them, empty where it only
    lists them.
    """

    texts: tuple[str, ...]
    marks: tuple[str, ...] = ()


def option_columns(columns: Collection[str]) -> dict[str, str]:
    """Finds the columns that hold one option each, in order, with the letter or number of each;
    empty where there are fewer than two.
    """
    marked = {
        name: match["mark"]
        for name in columns
        if (match := _ONE.fullmatch(name.strip())) and not name.isdecimal()
    }
    stems = {name: name.strip()[:-1].casefold() for name in marked}
    # "answer1" beside "optionA": the stem that most of them share is that of the options.
    best = max(stems.values(), key=lambda stem: list(stems.values()).count(stem), default="")
    marks = {name: mark for name, mark in marked.items() if stems[name] == best}
    ordered = sorted(marks.items(), key=lambda pair: pair[1].casefold())
    letters = [mark.upper() for _, mark in ordered]
    starts = letters[:1] in (["A"], ["0"], ["1"])
    follow = all(ord(b) - ord(a) == 1 for a, b in pairwise(letters))
    return dict(ordered) if len(ordered) >= 2 and starts and follow else {}


def wrong_columns(columns: Collection[str]) -> list[str]:
    """Finds the columns that hold wrong options alone."""
    return [name for name in columns if _WRONG.fullmatch(name.strip())]


def _shuffled(row: Row, wrong: list[str]) -> Options:
    """Returns the right option among the wrong ones, in an order that depends on their texts alone:
    the place of the right one says nothing.
    """
    right = right_column(row)
    texts = [text_of(row, right)] if right is not None else []
    for name in wrong:
        several = json_list(row[name])
        texts += [as_text(text, name) for text in ([row[name]] if several is None else several)]
    texts = [text.strip() for text in texts if text.strip()]
    return Options(tuple(sorted(dict.fromkeys(texts), key=_mixed)))


def _mixed(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass")).digest()


def options_name(columns: Collection[str]) -> str | None:
    """Returns the column that holds all options; None where there is none."""
    return next((name for name in columns if plain(name) in SETS), None)


def has_options(columns: Collection[str], row: Row) -> bool:
    """Tells whether a row with these columns is a question with options."""
    if option_columns(columns) or (wrong_columns(columns) and right_column(row) is not None):
        return True
    name = options_name(columns)
    value = row.get(name) if name else None
    return isinstance(value, str | list | dict) and len(value) > 1


def opened_question(row: Row) -> Row:
    """Returns the row with the question and the options that its question holds in columns of their
    own: ``{"question": {"stem": …, "choices": […]}, "answerKey": …}``; any other row unchanged.
    """
    held = row.get("question")
    asked = question_in(held)
    if asked is held or not isinstance(held, dict):
        return row
    options = {name: value for name, value in held.items() if plain(name) in SETS}
    return {**row, **options, "question": asked} if options else row


def options_of(row: Row) -> Options:
    """Reads the options of a row; raises DataError where its column of options holds none."""
    columns = option_columns(row)
    if columns:
        kept = {name: mark for name, mark in columns.items() if row[name] not in (None, "")}
        texts = tuple(as_text(row[name], name).strip() for name in kept)
        return _unmarked(Options(texts, tuple(kept.values())))
    wrong = wrong_columns(row)
    if wrong:
        return _shuffled(row, wrong)
    name = options_name(row)
    if name is None:
        raise field_problem("options", "reader.absent", columns=", ".join(map(str, row)))
    value = row[name]
    if isinstance(value, str):
        lines = _written_out(value)
        value = lines if lines is not None else json_of(value, name)
    options = _listed(value, name)
    if len(options.texts) < 2:
        raise field_problem(name, "choices.no_options", seen=shown(value))
    return _unmarked(options)


def _listed(value: object, name: str) -> Options:
    if isinstance(value, dict):
        # ARC: {"text": […], "label": ["A", "B", …]}.
        texts = value.get("text")
        marks = value.get("label")
        if isinstance(texts, list) and isinstance(marks, list):
            return Options(
                tuple(as_text(text, name) for text in texts),
                tuple(as_text(mark, name) for mark in marks),
            )
        filled = {key: option for key, option in value.items() if option not in (None, "")}
        return Options(
            tuple(as_text(option, f"{name}.{key}") for key, option in filled.items()),
            tuple(map(str, filled)),
        )
    if not isinstance(value, list):
        raise field_problem(name, "choices.no_options", seen=shown(value))
    if all(isinstance(item, dict) for item in value):
        texts_of = [
            _first(item, ("text", "content", "value", "option", "answer")) for item in value
        ]
        marks_of = [_first(item, ("label", "key", "id", "option_id", "letter")) for item in value]
        if None not in texts_of and None not in marks_of:
            return Options(
                tuple(as_text(text, name) for text in texts_of),
                tuple(as_text(mark, name) for mark in marks_of),
            )
    return Options(tuple(as_text(item, f"{name}[{n}]").strip() for n, item in enumerate(value)))


def _first(one: Mapping[str, object], keys: tuple[str, ...]) -> Any:
    return next((one[key] for key in keys if key in one), None)


def _written_out(text: str) -> list[str] | None:
    """Splits options that are written out in one text into lines, each with its letter; None where
    the text is not such a list.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1:
        inline = [part.strip(" \t;；|,，") for part in _BEFORE_MARK.split(text.strip())]
        lines = inline if len(inline) > 1 else lines
    if len(lines) == 1 and not text.lstrip().startswith(("[", "{")):
        parts = [part.strip() for part in text.split("|")]
        if len(parts) > 1 and all(parts):  # ReCO (Wang et al. 2020)
            return [f"{LETTERS[n]}. {part}" for n, part in enumerate(parts[: len(LETTERS)])]
    marks = [match[1].upper() if (match := _MARKED.match(line)) else line[:1] for line in lines]
    if len(lines) < 2 or marks != list(LETTERS[: len(lines)]):
        return None
    return [line if _MARKED.match(line) else f"{line[:1]}. {line[1:].lstrip()}" for line in lines]


def _unmarked(options: Options) -> Options:
    """Removes the letters that the options begin with, where all of them do so in order."""
    matches = [_MARKED.match(text) for text in options.texts]
    marks = [match[1].upper() if match else "" for match in matches]
    if not marks or marks != list(LETTERS[: len(marks)]):
        return options
    texts = tuple(
        text[match.end() :].strip()
        for text, match in zip(options.texts, matches, strict=True)
        if match
    )
    return Options(texts, tuple(marks))


def laid_out(options: Options) -> str:
    """Formats the options as a person sees them, ``A. …``, one a line."""
    return "\n".join(
        f"{LETTERS[n]}. {text}" for n, text in enumerate(options.texts[: len(LETTERS)])
    )


def right_column(row: Row) -> str | None:
    """Returns the column that names the right option: the surest name that is not empty."""
    options = option_columns(row)
    named = {plain(name): name for name in row if name not in options}
    there = [named[plain(name)] for name in RIGHT if plain(name) in named]
    return next((name for name in there if row[name] not in (None, "", [])), None) or next(
        iter(there), None
    )


def right_letter(value: object, options: Options, field: str, *, first: int | None) -> str:
    """Returns the letter of the right option, several letters where several are right; empty where
    the row does not say; raises DataError for a value that names no option.

    A number counts from ``first``; None is for numbers that nothing tells how to count.
    """
    several = json_list(value)
    if several is not None:
        letters = [right_letter(item, options, field, first=first) for item in several]
        return "".join(sorted(letters))
    if value is None or value == "" or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = as_text(value, field).strip()
    places = _places(text, options, number=isinstance(value, int), first=first)
    if places is None and text.isdecimal() and first is None:
        fields = {"field": field, "seen": text, "count": len(options.texts)}
        raise DataError(Problem(field, say("choices.counted", **fields)))
    if places is None or not all(0 <= index < len(options.texts) for index in places):
        raise field_problem(
            field, "choices.no_such", seen=shown(value), known=laid_out(options).replace("\n", "; ")
        )
    return "".join(LETTERS[index] for index in sorted(places))


def _places(text: str, options: Options, *, number: bool, first: int | None) -> list[int] | None:
    """Returns the indices of the options that a text means: by the file's marks, by their words, by
    letters, or by number.
    """
    marks = [mark.casefold() for mark in options.marks]
    if text.casefold() in marks:
        return [marks.index(text.casefold())]
    if not number and text in options.texts:
        return [options.texts.index(text)]
    if text.lstrip("-").isdecimal():
        return None if first is None else [int(text) - first]
    if (match := _LETTER.fullmatch(text)) is not None:
        letters = [letter for letter in match[1].upper() if letter in LETTERS]
        return [LETTERS.index(letter) for letter in dict.fromkeys(letters)]
    marked = _MARKED.match(text)
    if marked and LETTERS.index(marked[1].upper()) < len(options.texts):
        index = LETTERS.index(marked[1].upper())
        if options.texts[index] == text[marked.end() :].strip():
            return [index]
    return None


def counted_from(values: Sequence[tuple[object, Options]]) -> int | None:
    """Returns the number from which the answers count, 0 or 1, once one of them can mean only that;
    None where none shows it.
    """
    for value, options in values:
        text = str(value).strip().removesuffix(".0")
        if not text.isdecimal() or text in options.marks or text in options.texts:
            continue
        if int(text) == 0:
            return 0
        if int(text) == len(options.texts):
            return 1
    return None


def is_letter(value: object) -> bool:
    """Tells whether a cell is one of the letters A to J, as files name the right option."""
    return isinstance(value, str) and len(value.strip()) == 1 and value.strip() in LETTERS[:10]
