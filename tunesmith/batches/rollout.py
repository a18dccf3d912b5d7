"""Answers that the policy sampled, as samplers give them and objectives take them. No torch here.

Suffixes: T tokens of an answer, G answers to one prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tunesmith.batches.batch import Batch, Tokens


@dataclass(frozen=True)
class Sampled:
    """One answer, token by token as it was drawn: never decoded and tokenised again."""

    ids_T: np.ndarray
    """Its stop token included, where it has one."""
    logprobs_T: np.ndarray
    """Of each token (nats), under the distribution it was drawn from, temperature included."""
    entropies_T: np.ndarray
    """Of that distribution (nats)."""
    stopped: bool
    """Whether it ended by itself; else the limit cut it."""


@dataclass
class Group:
    """The answers to one prompt, and what they are worth."""

    id: str
    prompt_T: np.ndarray
    answers: list[Sampled]
    rewards_G: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """The weighted sum of all rewards; nan where none had an opinion."""

    @property
    def teaches(self) -> bool:
        """Whether its answers have different rewards. Compared by largest and smallest: the
        standard deviation of eight times 0.1 is 8e-9 in fp32, not 0.
        """
        rewards = self.rewards_G[~np.isnan(self.rewards_G)]
        return len(rewards) > 1 and rewards.max() > rewards.min()


def answered(prompt_T: np.ndarray, answer: Sampled, **columns_T: np.ndarray) -> Tokens:
    """Joins a prompt and one of its answers, in which every token is scored; each of ``columns_T``
    holds a value for every token of the answer.
    """
    before = len(prompt_T)
    ids_T = np.concatenate([prompt_T, answer.ids_T]).astype(np.int32)

    def whole(values_T: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros(before), values_T]).astype(np.float32)

    columns = {f"{name}_T": whole(values) for name, values in columns_T.items()}
    return Tokens(ids_T, whole(np.ones(len(answer.ids_T))), columns)


def by_sequence(values_N: np.ndarray, batch: Batch) -> list[np.ndarray]:
    """Splits the values at the scored tokens by sequence of the batch."""
    counts = [tokens.scored for example in batch.sequences for tokens in example]
    return np.split(values_N, np.cumsum(counts)[:-1])
