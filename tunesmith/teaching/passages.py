"""``tunesmith data questions IN OUT``: questions with answers that a teacher writes from passages,
each with its passage; what the passage does not support is refused.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Le

from tunesmith.data.columns.names import CAME_FROM, TEXT, is_called
from tunesmith.data.files.file_facts import Faults, Located
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.files.writing import write_rows
from tunesmith.data.find import find_data
from tunesmith.data.steps import place_to_write, write_account
from tunesmith.data.texts.duplicates import normalise
from tunesmith.data.texts.script import script_of
from tunesmith.data.transforms import Account, came_from
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.events.verbs import AnswersKept
from tunesmith.examples import Chat, Turn
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Run
from tunesmith.settings.spec import Spec
from tunesmith.settings.teacher import Teacher
from tunesmith.teaching.asking import ask
from tunesmith.teaching.journal import Journal
from tunesmith.teaching.pairs import pairs_in, unsupported
from tunesmith.teaching.questions import Question
from tunesmith.teaching.write import teacher_of
from tunesmith.teaching.written import Written
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.teaching.endpoint import Endpoint
    from tunesmith.teaching.local import Local

STEP = "questions"
ASKED = {
    "zh": "根据下面这段文字写出{number}个问题和答案。每个问题单独读也要能看懂，不要提到“这段文字”；"
    "答案只用文字里说到的内容，数字和名称照写。每个问题占一行，答案占下一行，格式如下，不要写别的：\n\n"
    "问：……\n答：……\n\n文字：\n\n{passage}",
    "latin": "Write {number} questions with their answers from the passage below, in its own "
    "language. A question must be understood by itself, so do not mention the passage; an answer "
    "says only what the passage says, with its numbers and names. Write each question on a line "
    "and its answer on the next, in this form, and nothing else:\n\nQ: ...\nA: ...\n\nPassage:"
    "\n\n{passage}",
}
"""What a teacher is asked, by the script of the passage."""
COLUMNS = ("question", "answer", "passage", "teacher")
EACH, MOST = 160, 4096
"""Tokens that a question with its answer may take, and the most of all."""


class Passages(Spec):
    """Who writes the questions, how many, and what an answer must keep to."""

    model: str
    """Who writes: a model's folder or name, a finished run, or an endpoint (``http://HOST/v1``)."""
    questions: Annotated[int, Gt(0)] = 3
    """Questions that are asked for, of each passage."""
    column: str | None = None
    """The column that holds the passage; ``text`` or the like when not given."""
    shortest: Annotated[int, Ge(1)] = 80
    """Passages with fewer characters are left out."""
    supported: Annotated[float, Ge(0), Le(1)] = 0.7
    """The share of an answer's words that must stand in its passage; its numbers must all."""
    temperature: Annotated[float, Ge(0)] = 0.0
    """How freely the teacher writes; 0 takes the likeliest."""
    teacher: Teacher = Teacher()
    """How an endpoint is spoken to: name, key_env, requests, attempts, timeout."""
    seed: Annotated[int, Ge(0)] = 0
    """By which it is drawn, at a temperature above 0."""


def write_questions(source: str, out: Path, how: Passages, events: Events) -> Account:
    """Writes the pairs that ``source``'s passages support to ``out``, in their order; DataError
    where there is none, and nothing is written. Stopped where the teacher could not be asked for
    all: the same call goes on from there.
    """
    files = find_data(source)
    target = place_to_write(out, files)
    account = Account()
    faults = Faults()
    passages = [*_passages(files, how, account, faults)]
    if not passages:
        raise DataError(Problem(source, say("passages.none", shortest=how.shortest)))
    teacher = _teacher(how, out, events)
    asked = [_asked(text, how.questions) for _, text in passages]
    journal = Journal(out, _key(how, asked) | teacher.identity())
    with journal.held():
        try:
            answers = _answers(teacher, passages, asked, journal, events)
        finally:
            if not journal.places:  # nothing is lost, and other settings need not be refused
                journal.path.unlink(missing_ok=True)
        refused = Counter[str]()
        pairs = [*_pairs(passages, answers, how, refused)]
        account.notes = [*_notes(pairs, refused), *faults.notes()]
        if not any(pairs):
            nothing_written = say(
                "passages.nothing", why="; ".join(account.notes), path=journal.path
            )
            raise DataError(Problem(source, nothing_written))
        for (located, _), pair in zip(passages, pairs, strict=True):
            account.added += max(len(pair) - 1, 0)
            if not pair:
                account.dropped(located, STEP, "no_pair")
        account.written = sum(map(len, pairs))
        beside = partial(write_account, target, account)
        write_rows(target, lambda: _rows(passages, pairs, teacher.name), beside)
        journal.path.unlink()
    return account


def _passages(
    files: Sequence[Path], how: Passages, account: Account, faults: Faults
) -> Iterator[tuple[Located, str]]:
    """Yields the rows with their passages; raises SpecError for one without, DataError for one that
    cannot be read.
    """
    for file in files:
        for located in rows_of(file, faults=faults):
            row = located.row
            name = how.column or next((column for column in row if is_called(column, TEXT)), None)
            if name is None or not isinstance(row.get(name), str):
                fields = {"where": located.where, "columns": ", ".join(row)}
                raise SpecError(Problem("column", say("passages.no_column", **fields)))
            account.read += 1
            text = str(row[name]).strip()
            if len(text) >= how.shortest:
                yield located, text
            else:
                account.dropped(located, STEP, "short")
    faults.stop()


def _asked(passage: str, number: int) -> str:
    asked = ASKED["zh" if script_of(passage) == "zh" else "latin"]
    return asked.replace("{number}", str(number)).replace("{passage}", passage)


def _key(how: Passages, asked: Sequence[str]) -> dict[str, str]:
    """Returns what must be the same for answers of two calls to belong together."""
    digest = hashlib.sha256("\0".join(asked).encode("utf-8", "replace")).hexdigest()
    settings = how.values("questions", "temperature", "seed")
    return {**{name: repr(value) for name, value in settings.items()}, "data": digest}


def _teacher(how: Passages, out: Path, events: Events) -> Local | Endpoint:
    """Finds the model; raises SpecError where it cannot be asked, before weights are loaded."""
    tokens = min(MOST, EACH * how.questions)
    run = {
        "model": how.model,
        "data": str(out),
        "out": str(out),
        "generate": {"max_new_tokens": tokens, "temperature": how.temperature},
        "teacher": how.teacher,
        "train": {"seed": how.seed},
    }
    return teacher_of(Run.model_validate(run), events)


def _answers(
    teacher: Local | Endpoint,
    passages: Sequence[tuple[Located, str]],
    asked: Sequence[str],
    journal: Journal,
    events: Events,
) -> list[Written]:
    questions = [
        Question(located.where, Chat((Turn("user", text),)), "", {})
        for (located, _), text in zip(passages, asked, strict=True)
    ]
    numbers = range(len(questions))
    if journal.places:
        events(AnswersKept(len(journal.places), len(numbers)))
    ask(teacher, questions, journal, events, numbers=numbers, total=len(numbers))
    return list(journal.answers(numbers))


def _pairs(
    passages: Sequence[tuple[Located, str]],
    answers: Sequence[Written],
    how: Passages,
    refused: Counter[str],
) -> Iterator[list[tuple[str, str]]]:
    """Yields for each passage the pairs that may stand, no question twice in all."""
    seen: set[str] = set()
    for (_, passage), answer in zip(passages, answers, strict=True):
        kept: list[tuple[str, str]] = []
        offered = [*pairs_in(answer.text, cut=answer.finish != "stop")]
        refused["no_pair"] += not offered
        for question, said in offered:
            why = unsupported(question, said, passage, how.supported)
            if why is None and normalise(question) in seen:
                why = "same"
            if why is None:
                seen.add(normalise(question))
                kept.append((question, said))
            else:
                refused[why] += 1
        yield kept


def _rows(
    passages: Sequence[tuple[Located, str]], pairs: Sequence[list[tuple[str, str]]], teacher: str
) -> Iterator[JsonObject]:
    for (located, passage), pair in zip(passages, pairs, strict=True):
        beside = {
            name: value
            for name, value in located.row.items()
            if value != passage and name not in (*COLUMNS, CAME_FROM)
        }
        for question, answer in pair:
            yield {
                "question": question,
                "answer": answer,
                "passage": passage,
                **beside,
                "teacher": teacher,
                CAME_FROM: came_from(located, [STEP]),
            }


def _notes(pairs: Sequence[list[tuple[str, str]]], refused: Counter[str]) -> list[str]:
    written = say("passages.written", pairs=sum(map(len, pairs)), passages=len(pairs))
    refusals = [say(f"passages.refused_{why}", number=n) for why, n in refused.most_common() if n]
    return [written, *refusals, *([say("passages.learn")] if any(pairs) else [])]
