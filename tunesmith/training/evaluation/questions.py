"""Own questions, answered by the base before step 1, at each evaluation and at the end, side by
side in questions.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.asked_rows import AskedRows, read_questions, shown
from tunesmith.data.prepare import Prepared
from tunesmith.errors import Alike, DataError
from tunesmith.events.stream import Line
from tunesmith.examples import Example
from tunesmith.models.calling.forwards import BrokenOff
from tunesmith.objectives import Objective
from tunesmith.predicting.fitting import Fitting
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import write_whole
from tunesmith.words import say


@dataclass
class Questions:
    """The questions of one run, as its template asks them."""

    asked: list[Example]
    objective: Objective
    """Its kind of output says how the model replies."""
    fitting: Fitting

    @classmethod
    def of(cls, run: Run, prepared: Prepared, limit: int | None) -> Questions:
        """Reads them with the readers of the run's rows; DataError with those that cannot be
        asked. ``limit`` is the longest row that the model takes (tokens).
        """
        fitting = Fitting(limit, prepared.render, run)
        rows = AskedRows(prepared.render.data, prepared.ledger.files, prepared.objective)
        asked: list[Example] = []
        problems = Alike()
        for number, question in read_questions(run).items():
            try:
                asked.append(rows.asks(question))
                prepared.objective.output.refuse_unasked(asked[-1], fitting)
            except DataError as error:
                for problem in error.problems:
                    problems.add(number, problem)
        if problems.kinds:
            raise DataError(problems.told())
        return cls(asked, prepared.objective_of(run), fitting)

    @property
    def texts(self) -> list[str]:
        """What a person reads above the answers."""
        return [shown(question) for question in self.asked]

    def answers(self, model: Any, stopped: Callable[[], bool]) -> list[str] | None:
        """Asks the model now; None when ``stopped`` returned true on the way."""
        try:
            return self.objective.output.reply(model, self.asked, self.fitting, stopped)
        except BrokenOff:
            return None


def page(texts: list[str], lines: list[Line], last: int) -> str:
    """Writes questions.md from the record's events: a heading for each question, and below it one
    for each time it was answered.
    """
    rounds = [line for line in lines if line.get("event") == "answers"]
    # The tuned model's answers come last, whichever step it is of.
    rounds.sort(key=lambda line: line["step"] == last)
    parts = [f"# {say('train.questions')}\n"]
    for index, text in enumerate(texts):
        parts.append(f"## {' '.join(text.split())}\n")
        for line in rounds:
            when = say("train.base") if line["step"] == 0 else say("train.step", step=line["step"])
            when = say("train.final", step=last) if line["step"] == last else when
            parts.append(f"### {when}\n\n{_quiet(line['answers'][index])}\n")
    return "\n".join(parts)


def _quiet(answer: str) -> str:
    """Escapes an answer's own headings, which would divide the page."""
    return "\n".join(
        "\\" + line if line.startswith("#") else line for line in answer.strip().splitlines()
    )


def write_page(path: Path, texts: list[str], lines: list[Line], last: int) -> None:
    """Writes questions.md, whole."""
    write_whole(path, page(texts, lines, last))
