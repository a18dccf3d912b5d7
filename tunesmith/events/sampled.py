"""What happens in a run on sampled answers: the signs that it goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.events.stream import Event
from tunesmith.plain import JsonObject


@dataclass(frozen=True)
class FarFromBase(Event):
    """The model is further from the base than text of some sense is (nats a token)."""

    recorded_as = "far_from_base"
    said_as = "health.far_from_base"

    step: int
    distance: float
    most: float


@dataclass(frozen=True)
class AnswersGrow(Event):
    """Sampled answers become longer (tokens) and end less often."""

    recorded_as = "answers_grow"
    said_as = "health.answers_grow"

    step: int
    before: float
    now: float
    ending: int
    """Per cent of them."""


@dataclass(frozen=True)
class AnswersAlike(Event):
    """Sampled answers no longer differ (entropy, nats a token), and nothing was gained."""

    recorded_as = "answers_alike"
    said_as = "health.answers_alike"

    step: int
    before: float
    now: float


@dataclass(frozen=True)
class RewardForLength(Event):
    """Of what the reward rose by, nearly all is what longer answers (tokens) are worth."""

    recorded_as = "reward_for_length"
    said_as = "health.reward_for_length"

    step: int
    gained: float
    worth: float
    before: float
    now: float


@dataclass(frozen=True)
class UnseenRewardStays(Event):
    """Over the watched prompts the trained reward rose by ``gained``, and the reward that nothing
    is trained on changed by ``unseen``, which is no rise.
    """

    recorded_as = "unseen_reward_stays"
    said_as = "health.unseen_reward_stays"

    step: int
    gained: float
    unseen: float


@dataclass(frozen=True)
class WatchedAnswers(Event):
    """What the model answered to some watched prompts: id, prompt, answer, and rewards by name."""

    recorded_as = "watched_answers"

    step: int
    answers: Sequence[JsonObject]
