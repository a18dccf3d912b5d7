"""What a tuned model may have forgotten: suites of questions that have nothing to do with its task,
one a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from pydantic import ValidationError

from tunesmith.data.reading import examples
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Chat, Text
from tunesmith.metrics._grades import Store
from tunesmith.plain import JsonObject
from tunesmith.settings.family import SUITES
from tunesmith.settings.problems import problems_of
from tunesmith.settings.prove import Prove
from tunesmith.settings.run import Data, Run
from tunesmith.settings.spec import Spec
from tunesmith.settings.yaml_file import read_yaml
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded

__all__ = ["SUITES", "Question", "Rule", "Suite"]

Row = TypeVar("Row")
Rule = Literal[
    "option",
    "likelihood",
    "contains",
    "number",
    "same",
    "pattern",
    "json",
    "refuses",
    "complies",
    "lm_eval",
]


_PARTS = frozenset({"train", "dev", "val", "valid", "validation", "test"})
"""Names of a benchmark's parts, which say nothing of the benchmark."""


@dataclass(frozen=True)
class Question:
    """One item of a suite. ``example`` is a conversation with its right answer, or a text."""

    id: str
    kind: str
    """What a loss would be named by: a kind of question, a subject."""
    example: Chat | Text
    rule: Rule
    """How an answer is judged: ``suites/_rules.py``; ``option`` takes the likeliest of
    ``options``, ``likelihood`` scores the text itself.
    """
    options: tuple[str, ...] = ()


class Suite:
    """Base of the suites."""

    name: ClassVar[str]
    tokens: ClassVar[int] = 64
    """Longest answer (tokens)."""
    margin: ClassVar[float] = 0.05
    """A loss below this is none that matters: kept is said where the interval excludes more."""
    unit: ClassVar[Literal["share", "nats"]] = "share"
    """What a score is: right or wrong, or the log-likelihood of a token."""
    asks_itself: ClassVar[bool] = False
    """Whether it asks a model in its own way, ``through``, and judges too."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def title(self) -> str:
        """Its name in the proof."""
        return self.name

    def questions(self) -> Sequence[Question]:
        """Returns the items; raises DataError where a file has none."""
        raise AssertionError(f"suite {self.name} has no questions")

    @property
    def judge(self) -> str | None:
        """The model that says which answers refuse; None where the rules say it."""
        return None

    def judged(
        self,
        asked: Sequence[tuple[str, str]],
        kept: Store,
        progress: Callable[[int, int], None],
    ) -> list[tuple[bool | None, str]]:
        """Returns of each question and its answer whether the judge calls it a refusal, or None and
        why it decides nothing.
        """
        raise AssertionError(f"suite {self.name} has no judge")

    @property
    def content(self) -> str:
        """What the answers of a suite that asks itself follow from, beside the model."""
        return ""

    def through(
        self, loaded: Loaded, stop_ids: Sequence[int], progress: Callable[[int, int], None]
    ) -> list[JsonObject]:
        """Asks one model; returns what it said and its score, in the order of the questions."""
        raise AssertionError(f"suite {self.name} does not ask itself")


def read_examples(name: str, config: Any, kind: type[Chat | Text]) -> Iterator[Any]:
    """Yields the rows of a suite's file, each with its place; raises DataError that says how a
    suite names columns where they are not recognised.
    """
    try:
        yield from examples(Data(path=config.path, columns=config.columns), kind)
    except DataError as error:
        beside = columns_beside(name, config.path)
        raise DataError(
            [
                replace(problem, text=f"{problem.text}\n{beside}")
                if "data.columns" in str(problem)
                else problem
                for problem in error.problems
            ]
        ) from None


def columns_beside(name: str, path: str) -> str:
    """Returns a line that says how a suite names the columns of its file."""
    return say("suite.columns_beside", name=name, path=path)


def title_of(path: str) -> str:
    """Names a file or folder: mmlu/test by both, so that it is told from cmmlu/test."""
    file = Path(path)
    whole = file.stem in _PARTS and file.parent.name
    return f"{file.parent.name}/{file.stem}" if whole else file.stem


def spread(rows: Sequence[Row], items: int) -> list[Row]:
    """Takes at most ``items`` rows, at even distances over all of them."""
    count = min(items, len(rows))
    return [rows[number * len(rows) // count] for number in range(count)]


def suites_of(given: Sequence[str | Mapping[str, object]], run: Run) -> list[Suite]:
    """Makes suites from names, ``NAME=FILE``, or mappings as in ``prove.suites``, which may be
    written as YAML; those of the run count where none is given. Raises SpecError with what is
    known.
    """
    asked: list[object] = [given] if isinstance(given, str | Mapping) else list(given)
    for index, suite in enumerate(asked):
        if isinstance(suite, str) and suite.startswith("{"):
            asked[index] = read_yaml(suite, "--suite")
        elif isinstance(suite, str) and "=" in suite:
            name, _, path = suite.partition("=")
            asked[index] = {"name": name, "path": path} if path else {"name": name}
    try:
        prove = Prove.model_validate({"suites": asked}) if asked else run.prove
    except ValidationError as error:
        raise SpecError(problems_of(error, Prove, ("prove",))) from None
    return [SUITES.make(config) for config in prove.suites]
