"""Own questions, answered by the base before step 1, at each evaluation and at the end, side by
side in questions.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.rendering.render import Render
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Line
from tunesmith.models.calling.forwards import BrokenOff
from tunesmith.objectives import Objective
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import write_whole
from tunesmith.words import say


def read_questions(run: Run) -> list[str]:
    """Reads the questions of a run: its list, or the lines of its file that are not empty."""
    if not isinstance(run.questions, str):
        return list(run.questions)
    path = Path(run.questions)
    if not path.is_file():
        raise SpecError(Problem("questions", say("train.no_questions_file", path=path)))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise SpecError(Problem("questions", say("train.questions_not_utf8", path=path))) from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise SpecError(Problem("questions", say("train.questions_empty", path=path)))
    return found


@dataclass
class Questions:
    """The questions of one run."""

    texts: list[str]
    render: Render
    run: Run
    objective: Objective
    """Its kind of output says how the model replies."""

    def answers(self, model: Any, stopped: Callable[[], bool]) -> list[str] | None:
        """Asks the model now; None when ``stopped`` returned true on the way."""
        try:
            return self.objective.output.reply(model, self.render, self.texts, self.run, stopped)
        except BrokenOff:
            return None


def page(texts: list[str], lines: list[Line], last: int) -> str:
    """Writes questions.md from the record's events: a heading for each question, and below it one
    for each time it was answered.
    """
    rounds = [line for line in lines if line.get("event") == "answers"]
    rounds.sort(
        key=lambda line: line["step"] == last
    )  # the tuned model's are the last, whichever step it is of
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
