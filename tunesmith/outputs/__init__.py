"""What a model gives for a row, one kind a file: how it is asked, watched, proved, and what is
refused where the kind has no use for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject, Row
from tunesmith.settings.family import OUTPUTS
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.data.rendering.render import Render
    from tunesmith.examples import Chat, Example
    from tunesmith.metrics import Metric
    from tunesmith.models.loading.load import Loaded
    from tunesmith.objectives import Objective
    from tunesmith.predicting.engine import Engine
    from tunesmith.predicting.fitting import Fitting
    from tunesmith.predicting.predictor import Predictor
    from tunesmith.proving.contest import Contest, Outcome, Wanted
    from tunesmith.proving.task import Task
    from tunesmith.settings.run import Generate, Run

__all__ = ["COLUMN", "OUTPUTS", "Output", "Watched"]

COLUMN = "prediction"
"""The column of an answer, beside a row's own."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Watched:
    """What an evaluation has for a metric: the model as it stands and the watched rows."""

    model: Loaded
    items: Sequence[Item]
    render: Render
    settings: Generate
    budget: int
    """Tokens of one forward."""
    task: Task | None
    """What ``Output.task`` made ready."""
    stopped: Callable[[], bool]


class Output:
    """Base of the outputs. ``objective`` is the one whose model gives them; where rows are needed
    (``score``, ``fit``, ``prove``), it has seen them.
    """

    name: ClassVar[str]
    writes: ClassVar[bool] = False
    """Whether it is text: then a model can chat, teach others, and go through further stages."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """Which of ``questions``, ``prompt`` (prove.prompt), ``shots`` (prove.shots), ``others``
    (contenders from outside the run) and ``metrics`` (more than the run has) have a meaning for it.
    """
    best_by: ClassVar[frozenset[str]] = frozenset()
    """What a metric may read (``Metric.reads``) to choose the best checkpoint; with none, only the
    objective's own measures choose it.
    """
    not_best_by: ClassVar[str] = "plan.best_by_own"
    """Words for another metric."""
    unused: ClassVar[tuple[str, ...]] = ()
    """Settings of ``data`` that have no meaning for it."""
    not_used: ClassVar[str] = "classes.no_text"
    """Words for one of ``unused``."""
    continues: ClassVar[bool] = False
    """Whether it is plain text that goes on: no row asks anything, and a long one may be split."""
    compares: ClassVar[bool] = False
    """Whether given answers are compared, so that only these are learned."""
    by_heart: ClassVar[bool] = False
    """Whether rows that are known by heart are answered right, at a loss of nearly 0."""
    names_rows: ClassVar[bool] = False
    """Whether it is the name of a whole row, which a cheap model can doubt."""
    judges: ClassVar[bool] = False
    """Whether a row that is asked needs its answers, for these are what is judged."""
    fits: ClassVar[bool] = False
    """Whether values are fitted to the watched rows with each model that is kept."""
    lacks: ClassVar[str]
    """Words for a row without anything to answer."""
    endpoints: ClassVar[frozenset[str]] = frozenset()
    """The routes below ``/v1`` at which a served model of this kind answers."""

    class Config(Spec):
        """No settings."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def refused(self, run: Run, wanted: Wanted | None = None) -> list[Problem]:
        """Returns a problem for each setting or option that is given but has no use for this kind
        of output.
        """
        fields, problems = {"objective": run.objective.name}, []
        prompt = run.prove.prompt if wanted is None else wanted.prompt or run.prove.prompt
        if prompt is not None and "prompt" not in self.takes:
            problems.append(Problem("prove.prompt", say("cloze.no_prompt", **fields)))
        if wanted is not None and wanted.shots and "shots" not in self.takes:
            problems.append(Problem("shots", say("cloze.no_shots", **fields)))
        if wanted is not None and wanted.others and "others" not in self.takes:
            problems.append(Problem("against", say("prove.no_others", **fields)))
        if wanted is not None and wanted.metrics and "metrics" not in self.takes:
            problems.append(Problem("metric", say("metrics.no_others", **fields)))
        suites = run.prove.suites if wanted is None else wanted.suites or run.prove.suites
        if suites and not self.writes:
            problems.append(Problem("prove.suites", say("suite.writes_nothing", **fields)))
        if wanted is None and run.questions and "questions" not in self.takes:
            problems.append(Problem("questions", say("reward.no_questions", **fields)))
        return problems

    def ask(self, predictor: Predictor, row: Any) -> Any:
        """Returns the model's input for one row; raises DataError where the row has nothing to
        answer.
        """
        raise AssertionError(f"output {self.name} has no ask")

    def answer(
        self, predictor: Predictor, asked: list[Any], progress: Progress | None
    ) -> list[JsonObject]:
        """Returns the new columns of each row for the inputs that ``ask`` gave."""
        raise AssertionError(f"output {self.name} has no answer")

    def converse(self, predictor: Predictor, chat: Chat) -> str:
        """Answers a conversation; raises SpecError where a model writes no text."""
        raise SpecError(say("classes.chat", folder=predictor.run.out))

    def question(self, text: str) -> Example:
        """Makes a plain text what the model is asked."""
        raise AssertionError(f"output {self.name} takes no questions")

    def refuse_unasked(self, asked: Example, fitting: Fitting) -> None:
        """Raises DataError for what cannot be asked: it lacks a column of the template, or is
        longer than the model reads.
        """

    def reply(
        self, model: Any, asked: Sequence[Example], fitting: Fitting, stopped: Callable[[], bool]
    ) -> list[str]:
        """Answers the user's own questions, as text for a person; raises BrokenOff when
        ``stopped``.
        """
        raise AssertionError(f"output {self.name} takes no questions")

    def task(self, run: Run, prepared: Prepared) -> Task | None:
        """Returns what the run's metric needs beside the watched rows; raises SpecError where they
        lack it.
        """
        return None

    def score(self, metric: Metric, watched: Watched) -> float:
        """Computes the metric over the watched rows; raises BrokenOff when ``watched.stopped``."""
        raise AssertionError(f"output {self.name} is watched by its objective alone")

    def fit(self, loaded: Loaded, items: Sequence[Item]) -> JsonObject:
        """Fits values to the watched rows after training, for tunesmith.json."""
        return {}

    def right(self, item: Row) -> str:
        """Returns the right answer for a line of items.jsonl, as text for a person."""
        reference = item["reference"]
        return ", ".join(map(str, reference)) if isinstance(reference, list) else str(reference)

    def measure(
        self,
        run: Run,
        prepared: Prepared,
        items: list[Item],
        engines: Mapping[str, Engine],
        fitted: Mapping[str, object],
    ) -> Outcome | None:
        """Scores what engines that should hold one model make of held-out rows, by the run's
        metrics; None where the kind is compared by its numbers alone. ``fitted`` is what ``fit``
        gave.
        """
        return None

    def prove(self, contest: Contest) -> Outcome:
        """Compares tuned, base and the cheap rivals on the proof rows."""
        raise AssertionError(f"output {self.name} has no prove")
