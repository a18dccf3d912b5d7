"""Personal data that a model of the user's names, for ``tunesmith data anonymise``: a run that
learned entities, a model that writes, or an endpoint. What does not stand in a row word for word is
not believed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from tunesmith.data.columns.scripts import words_of
from tunesmith.data.texts.script import script_of
from tunesmith.data.transforms.anonymise import Anonymise, Kind, kind_of_label
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.events.verbs import AnswersKept
from tunesmith.examples import Chat, Turn
from tunesmith.models.finding.parent import parent_of
from tunesmith.settings.run import Run
from tunesmith.teaching.asking import ask
from tunesmith.teaching.journal import Journal
from tunesmith.teaching.questions import Question
from tunesmith.teaching.write import teacher_of
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.storage.run_folder import RunFolder

LEAST = 2
"""Values with fewer characters are not believed: they stand in too many words."""
ROOM = 512
"""Tokens that a model may write about a part of a text."""
PART = 1500
"""Characters that are asked about at once: a list of all that a long text holds would be cut, and a
longer one than the model's context could not be asked about at all.
"""
ENDS = ("\n", "。！？.!?", "，；、,; ")
"""Where a text may be cut, the best places first."""
ASKED = {
    "zh": "找出下面文字里所有能认出某个人的信息，类别有：{kinds}。只写一个 JSON 列表，"
    '例如 [{"text": "张三", "kind": "name"}]，text 照原文抄写；没有就写 []。\n\n文字：\n\n{text}',
    "latin": "List everything in the text below by which a person can be known, of these kinds: "
    '{kinds}. Write a JSON list only, such as [{"text": "Ada Bell", "kind": "name"}], with each '
    "text copied word for word; [] where there is nothing.\n\nText:\n\n{text}",
}


class NamedByModel:
    """The second pass: a model that is asked about each row."""

    def __init__(self, how: Anonymise.Config, out: Path, events: Events) -> None:
        self.how, self.out, self.events = how, out, events
        self.model = str(how.model)
        self.unused: Counter[str] = Counter()
        self.unread = self.asked = 0
        self.seconds = 0.0
        parent = parent_of(self.model)
        self.learned: RunFolder | None = None
        if parent is not None and not parent.writes:
            if parent.facts["objective"] != "classify_tokens":
                text = say("transforms.names_nothing", objective=parent.facts["objective"])
                raise SpecError(Problem("model", text))
            self.learned = parent.folder
        self.journal: Journal | None = None

    def __call__(self, texts: Sequence[str]) -> list[list[tuple[str, str]]]:
        """Returns for each text the values in it that are personal data, with their kinds."""
        self.unused.clear()
        self.unread = self.asked = 0
        if self.learned is not None:
            return self._by_run(self.learned, texts)
        return self._by_answers(texts)

    def notes(self) -> list[str]:
        """Says which labels of a run were left alone, and how many answers could not be read."""
        notes = [say("transforms.second_pass", model=self.model)]
        if self.unused:
            names = ", ".join(sorted(self.unused))
            notes.append(say("transforms.labels_unused", names=names, first=min(self.unused)))
        if self.seconds and self.asked:
            seconds = f"{self.seconds / self.asked:.2g}"
            notes.append(say("transforms.answers_speed", number=self.asked, seconds=seconds))
        if self.unread:
            notes.append(say("transforms.answers_unread", number=self.unread, asked=self.asked))
        return notes

    def clear(self) -> None:
        """Removes the answers that were kept, once they are used."""
        if self.journal is not None:
            self.journal.path.unlink(missing_ok=True)

    def _by_run(self, folder: RunFolder, texts: Sequence[str]) -> list[list[tuple[str, str]]]:
        from tunesmith.outputs import COLUMN
        from tunesmith.outputs.spans import parts
        from tunesmith.predicting.predictor import Predictor

        predictor = Predictor(folder)
        limit = predictor.loaded.limit
        asked = [parts(predictor.render, text, words_of(text), limit) for text in texts]
        answers = predictor.objective.output.answer(predictor, asked, None)
        named: list[list[tuple[str, str]]] = []
        for text, answer in zip(texts, answers, strict=True):
            values: list[tuple[str, str]] = []
            for entity in answer[COLUMN]:
                label = str(entity["label"])
                kind = kind_of_label(label, self.how.labels)
                if kind is None:
                    self.unused[label] += 1
                else:
                    values.append((text[entity["start"] : entity["end"]], kind))
            named.append([(value, kind) for value, kind in values if len(value) >= LEAST])
        return named

    def _by_answers(self, texts: Sequence[str]) -> list[list[tuple[str, str]]]:
        kinds = list(self.how.kinds or get_args(Kind))
        parts = [(index, part) for index, text in enumerate(texts) for part in _parts(text)]
        self.asked = len(parts)
        questions = [_question(number, part, kinds) for number, (_, part) in enumerate(parts, 1)]
        run = {
            "model": self.model,
            "data": str(self.out),
            "out": str(self.out),
            "generate": {"max_new_tokens": ROOM, "temperature": 0.0},
            "teacher": self.how.teacher,
        }
        teacher = teacher_of(Run.model_validate(run), self.events)
        digest = hashlib.sha256(json.dumps([*texts, *kinds]).encode()).hexdigest()
        self.journal = Journal(self.out, {"data": digest} | teacher.identity())
        numbers = range(len(questions))
        with self.journal.held():
            there = len(self.journal.places)
            if there:
                self.events(AnswersKept(there, len(numbers)))
            began = time.perf_counter()
            try:
                ask(
                    teacher,
                    questions,
                    self.journal,
                    self.events,
                    numbers=numbers,
                    total=len(numbers),
                )
            finally:
                if not self.journal.places:  # nothing is lost, and another model may be asked
                    self.clear()
            # Of a call that goes on, the time is not that of all answers.
            self.seconds = 0.0 if there else time.perf_counter() - began
            answers = [answer.text for answer in self.journal.answers(numbers)]
        named: list[list[tuple[str, str]]] = [[] for _ in texts]
        for (index, part), answer in zip(parts, answers, strict=True):
            values = named_in(answer, part, kinds)
            self.unread += values is None
            named[index] += values or []
        return named


def _parts(text: str) -> Iterator[str]:
    """Cuts a text at the last line, sentence or word that ends before ``PART``."""
    rest = text
    while len(rest) > PART:
        ends = [max(rest.rfind(mark, PART // 2, PART) for mark in marks) for marks in ENDS]
        at = next((end + 1 for end in ends if end >= 0), PART)
        yield rest[:at]
        rest = rest[at:]
    yield rest


def _question(number: int, text: str, kinds: Sequence[str]) -> Question:
    asked = ASKED["zh" if script_of(text) == "zh" else "latin"]
    whole = asked.replace("{kinds}", ", ".join(kinds)).replace("{text}", text)
    return Question(str(number), Chat((Turn("user", whole),)), "", {})


def named_in(answer: str, text: str, kinds: Sequence[str]) -> list[tuple[str, str]] | None:
    """Reads the list of values that an answer gives, without those that the text does not hold word
    for word; None where the answer is no list.
    """
    try:
        items = json.loads(answer[answer.index("[") : answer.rindex("]") + 1])
    except (ValueError, RecursionError):
        return None
    values: list[tuple[str, str]] = []
    for item in items:
        if not isinstance(item, dict):
            continue
        value, kind = str(item.get("text")).strip(), str(item.get("kind"))
        if len(value) >= LEAST and value in text and kind in kinds:
            values.append((value, kind))
    return values
