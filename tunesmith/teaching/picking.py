"""Of several answers to a row, rewards pick the best to learn from: best-of-n, RAFT (Dong et al.
2023, algorithm 1), and rejection sampling where an answer must be worth at least so much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.examples import question_of
from tunesmith.plain import JsonObject
from tunesmith.rewards import REWARDS, Asked
from tunesmith.rollout.preview import faults_told
from tunesmith.rollout.rewarding import Rewarding
from tunesmith.settings.teacher import Teacher
from tunesmith.teaching.questions import Question, Questions
from tunesmith.teaching.written import Written, messages
from tunesmith.words import say

AT_ONCE = 256
"""Answers that the rewards are asked about together."""
WHERE = "teacher.rewards"
Group = tuple[Question, Sequence[tuple[int, Written]]]
"""A row, and its answers with their numbers."""


def idle(teacher: Teacher, samples: int) -> Iterator[Problem]:
    """Yields the settings of the rewards that have no effect, or do not fit together."""
    rewarded = bool(teacher.rewards)
    for name, needs, without in (
        ("weights", "teacher.rewards", teacher.weights and not rewarded),
        ("best", "teacher.rewards", teacher.best != 1 and not rewarded),
        ("least", "teacher.rewards", teacher.least is not None and not rewarded),
        ("rewards", "generate.samples above 1, or teacher.least", rewarded and samples == 1),
    ):
        if without and not (name == "rewards" and teacher.least is not None):
            text = say("rollout.without_effect", name=name, needs=needs)
            yield Problem(f"teacher.{name}", text)
    if rewarded and teacher.weights and len(teacher.weights) != len(teacher.rewards):
        counts = {"weights": len(teacher.weights), "rewards": len(teacher.rewards)}
        yield Problem("teacher.weights", say("rollout.weights", **counts))
    if rewarded and teacher.best > samples:
        yield Problem("teacher.best", say("generate.best", best=teacher.best, samples=samples))


@dataclass(frozen=True)
class Picked:
    """What the rewards kept of the answers."""

    answers: int
    kept: int
    silent: int
    """Answers that got no reward."""
    bare: int
    """Rows that keep no answer."""
    mean: float
    mean_kept: float

    def line(self) -> str:
        """Returns a line for a person to read."""
        counts = {"answers": self.answers, "kept": self.kept}
        counts |= {"silent": self.silent, "bare": self.bare}
        means = {"mean": f"{self.mean:.3g}", "mean_kept": f"{self.mean_kept:.3g}"}
        return say("generate.picked", **counts, **means)


class Picking:
    """The rewards of a teacher's answers, and those that they keep."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self._rewarding = Rewarding(teacher.rewards, teacher.weights, teacher.reward_timeout, WHERE)
        self.worth: dict[int, float] = {}
        """The rewards of the answers that are kept, by number."""

    def check(self, questions: Questions) -> None:
        """Raises SpecError for rewards that do not load, or read a column that a row has not."""
        problems = []
        for index, config in enumerate(self.teacher.rewards):
            for column in REWARDS.make(config).columns:
                rows = [(question.place, _row(question)) for question in questions.asked()]
                lacking = [(at, row) for at, row in rows if row.get(column) in (None, "")]
                if lacking:
                    at, row = lacking[0]
                    fields = {"reward": config.name, "column": repr(column), "count": len(lacking)}
                    fields |= {"of": len(rows), "row": at, "known": ", ".join(map(str, row))}
                    where = f"{WHERE}.{index}"
                    problems.append(Problem(where, say("rollout.no_column", **fields)))
        if problems:
            raise SpecError(problems)
        self._rewarding.check()

    def see(self, groups: Iterable[Group], events: Events) -> Picked:
        """Rewards every answer, then picks among those to each row; what failed is told."""
        rows: list[dict[int, str]] = []
        asked: list[Asked] = []
        for question, answers in groups:
            rows.append({number: answer.text for number, answer in answers})
            row = _row(question)
            turns = messages(question.chat.turns)
            said = question.place, str(row["question"])
            asked += [Asked(*said, text, row, turns) for text in rows[-1].values()]
        tables = [np.zeros((0, len(self._rewarding.names)))]
        faults = []
        for start in range(0, len(asked), AT_ONCE):
            rewarded = self._rewarding(asked[start : start + AT_ONCE])
            tables.append(rewarded.table_nR)
            faults += rewarded.faults
        self._rewarding.close()
        for line in faults_told(faults):
            events.tell(line)
        table_nR = np.concatenate(tables)
        self._rewarding.calibrate(table_nR)
        numbers = [number for row in rows for number in row]
        worth = dict(zip(numbers, self._rewarding.sums(table_nR).tolist(), strict=True))
        for row in rows:
            self.worth |= {number: worth[number] for number in self._best(row, worth)}
        worth_known = [value for value in worth.values() if value == value]
        return Picked(
            answers=len(worth),
            kept=len(self.worth),
            silent=len(worth) - len(worth_known),
            bare=sum(not any(number in self.worth for number in row) for row in rows),
            mean=float(np.mean(worth_known)) if worth_known else 0.0,
            mean_kept=float(np.mean([*self.worth.values()])) if self.worth else 0.0,
        )

    def _best(self, row: Mapping[int, str], worth: Mapping[int, float]) -> list[int]:
        """Returns the numbers of the answers to a row that are kept: the best, each text once, of
        equal ones the first.
        """
        least = -np.inf if self.teacher.least is None else self.teacher.least
        able = sorted((number for number in row if worth[number] >= least), key=lambda n: -worth[n])
        first = {row[number]: number for number in reversed(able)}
        return [number for number in able if first[row[number]] == number][: self.teacher.best]


def _row(question: Question) -> JsonObject:
    """Returns what rewards see of a row."""
    row: JsonObject = {"question": question_of(question.chat), **question.columns}
    return row | ({"answer": question.reference} if question.reference else {})
