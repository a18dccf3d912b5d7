"""Rows that ask and answer, told by the names of their columns and by their cells: conversations,
questions with options, questions and answers, texts and what is made of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.data.columns import names
from tunesmith.data.columns.cells import (
    has_places,
    held,
    is_answer,
    is_id,
    is_passages,
    is_statement,
    is_text,
    is_written,
    varies,
)
from tunesmith.data.columns.chats import asks_last, conversation
from tunesmith.data.columns.choices import LETTERS, SETS, has_options, is_letter, right_column
from tunesmith.data.columns.meaning import Meaning
from tunesmith.data.columns.names import is_called, plain, ranked
from tunesmith.data.columns.turns import TURNS, json_list
from tunesmith.errors import DataError
from tunesmith.plain import Row


def turns_of(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Finds the column that reads as a conversation between a user and an assistant."""
    talks = [name for name in columns if _is_conversation(rows[0], name)]
    if not talks:
        if ranked(SETS, columns):  # texts with blanks and what may stand in them, not a talk
            return None
        said = [name for name in columns if all(_is_said(row.get(name)) for row in rows)]
        said = [name for name in ranked(_SAID, columns) if name in said]
        return Meaning({"messages": said[0]}, sure=False) if said else None
    value = json_list(rows[0].get(talks[0])) or []
    ours = "conversations" if isinstance(value[0], dict) and "from" in value[0] else "messages"
    # A question beside the turns may be the first of them, or one that comes before all.
    sure = len(talks) == 1 and not ranked(names.QUESTION, columns)
    return Meaning({ours: talks[0]}, sure)


_SAID = ["content", "utterances", "sentences", "sessions", "dialoguecontent", "对话", "内容"]


def _is_said(value: object) -> bool:
    """Tells whether a cell holds texts that two people may say in turn."""
    listed = json_list(value)
    return bool(listed) and len(listed) > 1 and all(isinstance(text, str) for text in listed)


def _is_conversation(row: Row, name: str) -> bool:
    if not json_list(row.get(name)):
        return False
    try:
        roles = {turn.role for turn in conversation(row, name)}
    except DataError:
        return False
    return {"user", "assistant"} <= roles


def exam(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises questions with options: a table without names whose cells show it, or one whose
    column of right options has an unusual name.
    """
    letters = [name for name in columns if all(map(is_letter, held(name, rows)))]
    letters = [name for name in letters if held(name, rows)]
    if all(name.isdecimal() for name in columns):
        texts = [index for index, name in enumerate(columns) if is_text(name, rows)]
        first = [index for index in texts if not is_id(columns[index], rows)][:1]
        free = columns[first[0] :] if first else []
        if len(letters) != 1 or len(free) < 4 or free[-1] != letters[0]:
            return None
        last = max(max(str(value).strip().upper()) for value in held(letters[0], rows))
        options = free[1:-1]
        marks = LETTERS[: len(options)]
        if len(options) not in range(2, 11) or not is_text(free[0], rows) or last > marks[-1]:
            return None
        meant = {"question": free[0], **dict(zip(marks, options, strict=True))}
        return Meaning({**meant, "answer": letters[0]}, sure=True, reader="choices")
    if not with_options(columns, rows):
        return None
    asked = ranked([*names.QUESTION, *names.ABOUT, *names.TEXT], columns)
    right = right_column(rows[0]) or (letters[0] if len(letters) == 1 else None)
    if not asked or right is None:
        return None
    return Meaning({"question": asked[0], "answer": right}, sure=True, reader="choices")


def with_options(columns: list[str], rows: Sequence[Row]) -> bool:
    """Tells whether every row is a question with options."""
    return has_options(columns, rows[0]) and not _same_names(columns)


def _same_names(columns: Sequence[str]) -> bool:
    """Tells whether names differ only in letter case and punctuation, as question and
    Question do.
    """
    return len({plain(name) for name in columns}) < len(columns)


def asked_and_answered(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises question and answer by their names, with what the question is about and the
    reasoning.
    """
    written = [name for name in columns if is_written(name, rows)]
    changing = [name for name in written if varies(name, rows)]
    reasoning = [name for name in ranked(names.REASONING, changing) if is_text(name, rows)]
    placed = any(has_places(name, rows) for name in columns)
    answers = _answers_in(columns, rows)
    if reasoning and not answers:
        answers = ranked(["content"], changing)  # as models that think give their answers
    asked = [name for name in ranked(names.QUESTION, columns) if _asks(name, rows)]
    asked = asked or [name for name in TURNS if name in columns and _ends_asking(name, rows)]
    passages = [name for name in columns if is_passages(name, rows)]
    about = ranked(names.ABOUT, [*(written if placed else changing), *passages])
    about = [name for name in about if name not in asked]
    statements = [name for name in asked if is_statement(name, rows)]
    if not answers and len(statements) < len(asked):
        answers, asked = statements, [name for name in asked if name not in statements]
    # What every row is told to do stands before what this row asks.
    orders = [name for name in asked if is_called(name, names.ORDERS)]
    rest = [name for name in asked if name not in orders]
    left = bool(orders and rest and about)
    if orders and rest:
        asked, about = (rest, about) if about else (orders, rest)
    asked = [name for name in asked if name not in answers]
    about = [name for name in about if name not in answers]
    more = [name for name in ranked(_MORE, changing) if is_text(name, rows)]
    described = bool(asked and more and not about)
    about = more if described else about
    titles = [name for name in ranked(["title", "标题"], changing) if is_text(name, rows)]
    if titles and not (asked or about or reasoning):
        return _in_forum(titles[0], answers, changing)
    if not (asked or about):
        sources = [name for name in ranked(names.SOURCE, changing) if is_text(name, rows)]
        about = [name for name in sources if name not in answers]
    if not answers or not (asked or about):
        return None
    unread = _unread(columns, rows, [*asked, *about])
    rivals = left or described or unread or max(len(asked), len(about), len(answers)) > 1
    if reasoning and not asked:
        asked, about = about[:1], about[1:]
    if reasoning:
        # What belongs together stands together, where a file holds two questions and two answers.
        at = columns.index(reasoning[0])
        asked = sorted(asked, key=lambda name: abs(columns.index(name) - at))
        answers = sorted(answers, key=lambda name: abs(columns.index(name) - at))
        if asked and (len(reasoning) == 1 or not about):
            meant = {"question": asked[0], "reasoning": reasoning[0], "answer": answers[0]}
            return Meaning(meant, sure=not rivals and not about)
    question, *rest = [*asked[:1], *about[:1]]
    if rest:
        meant = {"instruction": question, "input": rest[0], "output": answers[0]}
        return Meaning(meant, sure=not rivals)
    if not varies(question, rows):
        return None
    return Meaning({"question": question, "answer": answers[0]}, sure=not rivals)


def _answers_in(columns: list[str], rows: Sequence[Row]) -> list[str]:
    """Returns the columns that hold an answer by their names. Answers with their places in a text
    are told by these, and then the text counts though many questions are about the same one.
    """
    named = [
        name
        for name in columns
        if is_answer(name, rows) and (varies(name, rows) or has_places(name, rows))
    ]
    return ranked(names.ANSWER, named) or two_right_answers(named)


def _unread(columns: list[str], rows: Sequence[Row], read: Sequence[str]) -> bool:
    """Tells whether what a question is about stands there in a form that is not read: it is not
    left out without a word.
    """
    about = [name for name in ranked(names.ABOUT, columns) if name not in read]
    return any(not is_written(name, rows) and held(name, rows) for name in about)


_MORE = ["desc", "description", "detail", "details", "selftext", "body", "描述", "补充", "详情"]
"""What says more of a question."""


def two_right_answers(columns: Sequence[str]) -> list[str]:
    """Returns the columns of two right answers, which are numbered: answer1 and answer2
    (NarrativeQA). Both, so that the first is not taken without asking; more are options.
    """
    numbered = {plain(name)[-1]: name for name in columns if plain(name)[:-1] in names.ANSWER}
    return [numbered["1"], numbered["2"]] if {*numbered} == {"1", "2"} else []


def _in_forum(title: str, answers: list[str], changing: list[str]) -> Meaning | None:
    """Recognises the rows of a forum: the title asks, perhaps with a description, and what stands
    below answers.
    """
    more = ranked(_MORE, changing)
    if not answers and more:
        answers = ranked(["content", "内容", "正文"], changing)
    if not answers:
        return None
    if more:
        meant = {"instruction": title, "input": more[0], "output": answers[0]}
        return Meaning(meant, sure=False)
    return Meaning({"question": title, "answer": answers[0]}, sure=False)


def _asks(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column holds texts, or turns that end with a question."""
    return is_text(name, rows) or _ends_asking(name, rows)


def _ends_asking(name: str, rows: Sequence[Row]) -> bool:
    return bool(held(name, rows)) and all(map(asks_last, held(name, rows)))


def made_of_it(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises a text and another made from it; of two languages the first is translated into the
    second.
    """
    free = [name for name in columns if is_text(name, rows) and varies(name, rows)]
    made = ranked(names.TARGET, free)
    of = [name for name in ranked(names.SOURCE, free) if name not in made]
    if not (of and made):
        return None
    languages = [name for name in free if plain(name) in ("en", "zh", "english", "chinese")]
    first, second = languages if len(languages) == 2 else (of[0], made[0])
    return Meaning({"source": first, "target": second}, sure=len(of) == len(made) == 1)


def _each_its_own(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column holds one text in each row, all different: no classes."""
    values = held(name, rows)
    return len(values) > 1 and is_text(name, rows) and len(set(values)) == len(values)


def by_place(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Takes the first text as the question and the last as the answer, where the columns' names say
    nothing.
    """
    free = [
        name
        for name in columns
        if is_written(name, rows) and not is_called(name, names.ABOUT_THE_ROW)
    ]
    numbered = all(name.isdecimal() for name in columns)
    kept = [name for name in free if not is_id(name, rows)]
    # Numbers alone may be what a table without names answers with.
    last = free[-1:] if numbered and len(kept) < 2 and is_text(free[-1], rows) else []
    free = [name for name in free if name in (*kept, *last)]
    changing = [name for name in free if varies(name, rows)]
    if len(changing) != 2 and not (numbered and 2 <= len(free) <= 3 and changing):
        return None
    if not numbered:
        free = changing
    question = free[0]
    answer = next((name for name in reversed(changing)), "")
    if (
        question == answer
        or not is_text(question, rows)
        or is_called(answer, [*names.ABOUT, *names.QUESTION])
        or is_called(answer.rpartition("_")[2], names.QUESTION)
        or (
            is_called(answer, names.LABEL)
            and any(json_list(row.get(n)) for row in rows[:1] for n in columns)
            and not _each_its_own(answer, rows)
        )
    ):
        return None
    rest = free[1 : free.index(answer)]
    if rest:
        meant = {"instruction": question, "input": rest[0], "output": answer}
        return Meaning(meant, sure=False)
    return Meaning({"question": question, "answer": answer}, sure=False)
