"""One line of items.jsonl: a held-out item, and what each contender made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from tunesmith.metrics import Metric
from tunesmith.plain import JsonObject
from tunesmith.proving.judge import item_scores
from tunesmith.words import say

OWN = (
    *("most_frequent", "tfidf", "embedded", "dictionary", "length", "tfidf_cosine"),
    *("base", "prompted", "few_shot", "tuned"),
)
"""Contenders that have a name in words; those from outside the run are called as they were typed.
"""


def called(contender: str, *, shots: int = 0, speak: Callable[..., str] = say) -> str:
    """Returns what people call a contender; ``shots`` is how many examples ``few_shot`` sees."""
    return speak(f"prove.{contender}", shots=shots) if contender in OWN else contender


@dataclass
class Record:
    """What is known of one held-out item; the mappings are by contender.

    ``reference`` is what is right: a text, a class or several, a number, or spans.
    """

    id: str
    prompt: str
    reference: object
    answers: list[str] = field(default_factory=list)
    """The given answers that the contenders judge, where they judge answers."""
    predictions: dict[str, str] = field(default_factory=dict)
    """What a contender says, as text."""
    thoughts: dict[str, str] = field(default_factory=dict)
    """The thinking before an answer."""
    choices: JsonObject = field(default_factory=dict)
    """What a contender names: an option, classes, a number, a rank or spans."""
    nll: dict[str, list[float]] = field(default_factory=dict)
    """Negative log-likelihood of the reference (nats) and its tokens."""
    options: dict[str, dict[str, float]] = field(default_factory=dict)
    """Log-probability (nats) of every option."""
    stopped: dict[str, bool] = field(default_factory=dict)
    """Whether an answer ended by itself."""
    pairs: dict[str, list[float]] = field(default_factory=dict)
    """How a contender rates the two answers of a pair, chosen first."""
    rewards: JsonObject = field(default_factory=dict)
    """What answers gained over the base (nats)."""
    worth: dict[str, float] = field(default_factory=dict)
    """What a contender's answer is worth by the run's rewards."""
    unseen: dict[str, float] = field(default_factory=dict)
    """What it is worth by the rewards that nothing was trained on."""
    grades: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """By metric: what a contender's answer was graded; None where it got no grade."""

    def line(self, metrics: Mapping[str, Metric]) -> JsonObject:
        """Returns the line, with the score of every contender by every metric."""
        plain = asdict(self)
        return plain | {"scores": item_scores(plain, metrics)}
