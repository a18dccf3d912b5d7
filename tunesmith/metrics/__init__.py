"""How good an answer is: one metric a file. A metric gives a number an item, and says how items
combine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tunesmith.data.columns.scripts import HAN, KANA
from tunesmith.metrics._grades import Grades, Written
from tunesmith.plain import JsonObject
from tunesmith.settings.family import METRICS
from tunesmith.settings.spec import Spec

__all__ = [
    "METRICS",
    "Grades",
    "Metric",
    "Written",
    "has_han",
    "has_kana",
    "in_a_row",
    "log_shares",
    "metric_class",
    "names_of",
    "words",
]

_WORD = re.compile(f"[{HAN}{KANA}]|[^\\W_{HAN}{KANA}]+")


class Metric:
    """Base of the metrics. A plain average needs only ``score``; others say what adds up and what
    is made of the sums.
    """

    name: ClassVar[str]
    reads: ClassVar[str] = "text"
    """What it looks at: the text a model wrote, the option it finds likeliest, its log-likelihood
    of the reference, the log-probability of every option, a number, or the rank of what was looked
    for. Of several labels, choice and reference are lists. Or the log-likelihood of the two answers
    of a pair; the gain of these over the base, or the gain of one judged answer; named parts of a
    text, each as [start, end, label]; what rewards say that an answer is worth; or a grade, which
    ``reward`` or ``grade`` gives once, and which stands in items.jsonl, None where there is none.
    """
    higher: ClassVar[bool] = True
    """Whether more is better."""
    right_or_wrong: ClassVar[bool] = False
    """Whether an item scores 0 or 1, so that McNemar's test applies."""
    adds_up: ClassVar[bool] = True
    """Whether it follows from sums over items, so that it can be resampled; another says what it is
    in ``over``.
    """
    redrawn: ClassVar[bool] = False
    """Whether one that does not add up can still be resampled, by ``over_draws``."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def key(self) -> str:
        """Its name in a proof."""
        return self.name

    def reward(self) -> JsonObject | None:
        """Returns the settings of the reward that gives the grades, in a process of its own; None
        where ``grade`` gives them.
        """
        return None

    @property
    def patience(self) -> float:
        """The longest that this reward may take over one answer (seconds)."""
        return self.config.seconds

    @property
    def asks(self) -> str | None:
        """The model that grades, as the address and the name of an endpoint; None where none
        does.
        """
        return None

    @property
    def facts(self) -> JsonObject:
        """What a proof tells of how a reward gave the grades."""
        return {}

    @classmethod
    def fits(cls, references: Sequence[str]) -> bool:
        """Tells whether these references have what it compares."""
        return True

    def check(self) -> None:
        """Raises SpecError where it could not grade, before anything is loaded."""

    def grade(self, written: Written) -> Grades:
        """Returns the grades of what was written; asked once a proof."""
        raise AssertionError(f"metric {self.name} gives no grades")

    def score(self, prediction: Any, reference: str) -> float:
        """Scores one item; one that reads a grade says what that is."""
        assert self.reads == "grade", f"metric {self.name} has no score"
        return float(prediction)

    def statistics(self, predictions: Sequence[Any], references: Sequence[str]) -> np.ndarray:
        """Returns one row of numbers an item, [n, S], whose sums over items are all that ``value``
        needs; zeros for an item without a grade.
        """
        pairs = zip(predictions, references, strict=True)
        return np.array(
            [
                [0.0, 0.0] if prediction is None else [self.score(prediction, reference), 1.0]
                for prediction, reference in pairs
            ],
            dtype=np.float64,
        )

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Computes the metric over the items whose statistics add up to ``sums`` [..., S]."""
        return sums[..., 0] / sums[..., 1]

    def over_draws(self, predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
        """Computes the metric over each row of drawn items [resamples, n]; called only for a metric
        that is ``redrawn``.
        """
        raise AssertionError(f"metric {self.name} has no over_draws")

    def over(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        """Computes the metric over all items."""
        return float(self.value(np.asarray(self.statistics(predictions, references)).sum(axis=0)))


def metric_class(key: str) -> type[Metric]:
    """Returns the class of a metric by its name in a proof; raises SpecError with a suggestion when
    there is none.
    """
    return METRICS.get("function" if ".py:" in key else key)


def names_of(choice: Any) -> Sequence[str]:
    """Returns a choice as names: one, or those of several labels."""
    return choice if isinstance(choice, list) else [choice]


def log_shares(options: Mapping[str, float]) -> dict[str, float]:
    """Turns log-probabilities of options into shares that sum to 1."""
    highest = max(options.values())
    powers = {name: math.exp(value - highest) for name, value in options.items()}
    return {name: power / sum(powers.values()) for name, power in powers.items()}


def has_han(text: str) -> bool:
    """Tells whether a text has a Chinese character."""
    return re.search(f"[{HAN}]", text) is not None


def has_kana(text: str) -> bool:
    """Tells whether a text has a Japanese syllable."""
    return re.search(f"[{KANA}]", text) is not None


def words(text: str) -> list[str]:
    """Splits a text into lower-case words, English as rouge_score splits it; of Han and kana,
    written without spaces, each character is a word.
    """
    return _WORD.findall(text.lower())


def in_a_row(run: Sequence[str], said: Sequence[str]) -> bool:
    """Tells whether the words of ``run`` follow each other somewhere in ``said``."""
    starts = range(len(said) - len(run) + 1)
    return any(said[start : start + len(run)] == run for start in starts)
