"""The contrastive losses on the vectors of a whole step, and what is watched beside them.

Suffixes: S texts, P pairs (a text and its partner), C candidates (all partners and all negatives),
    D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cosine_similarity, normalize, pairwise_distance

from tunesmith.batches.batch import Batch, Ratio
from tunesmith.batches.sending import sent_together

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.objectives.embed import Embed

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Facts:
    """What is known of the texts: part in their pair (0 the text, 1 its partner, 2 a negative),
    similarity, and a key.

    Texts of one key are the same text. A pair begins with its text. They stay on the CPU: which
    rows of the vectors are meant is found without waiting for the device.
    """

    values_SF: torch.Tensor

    @classmethod
    def of(cls, batch: Batch) -> Facts:
        """Reads the facts of the texts of one batch."""
        names = ("role", "similarity", "key")
        values = [
            [tokens.columns[name] for name in names] for row in batch.sequences for tokens in row
        ]
        return cls(torch.tensor(values, dtype=torch.float64))

    def of_role(self, vectors_SD: torch.Tensor, role: int) -> torch.Tensor:
        """Returns the vectors of the texts with this role in their pair."""
        return vectors_SD.index_select(0, there(self._places(role), vectors_SD))

    def pair_of_negatives(self, like: torch.Tensor) -> torch.Tensor:
        """Returns the pair of each negative, on the device of ``like``."""
        return there(self.pair_S[self._places(2)], like)

    def _places(self, role: int) -> torch.Tensor:
        return (self.role_S == role).nonzero()[:, 0]

    @property
    def role_S(self) -> torch.Tensor:
        """The role of each text in its pair: 0, 1 or 2."""
        return self.values_SF[:, 0]

    @property
    def similarity_P(self) -> torch.Tensor:
        """The similarity of each pair."""
        return self.values_SF[self.role_S == 0, 1]

    @property
    def key_S(self) -> torch.Tensor:
        """The key of each text."""
        return self.values_SF[:, 2]

    @property
    def pair_S(self) -> torch.Tensor:
        """The pair that each text belongs to."""
        return (self.role_S == 0).cumsum(0) - 1


@dataclass(frozen=True)
class Terms:
    """The loss of each pair, and the numbers watched: a value a pair, not a number where there is
    none.
    """

    losses_P: torch.Tensor
    watched: dict[str, torch.Tensor] = field(default_factory=dict)

    def metrics(self, part: slice) -> dict[str, Ratio]:
        """Averages the metrics over some of the pairs."""
        averages: dict[str, Ratio] = {}
        for name, values_P in {"loss": self.losses_P.detach(), **self.watched}.items():
            values = values_P[part]
            averages[name] = Ratio(values.nansum(), (~values.isnan()).sum())
        return averages


def infonce(vectors_SD: torch.Tensor, facts: Facts, config: Embed.Config) -> Terms:
    """Computes -log softmax of the partner's cosine among all candidates' (van den Oord et al.
    2018, eq. 4; in-batch: Henderson et al. 2017, section 4.4); symmetric, the mean of this and of
    the partner's choice among the texts.
    """
    cosines_PC = cosines(vectors_SD, facts)
    same_PC = there(no_negatives(facts), vectors_SD)
    logits_PC = (cosines_PC / config.temperature).masked_fill(same_PC, -math.inf)
    partner_P = logits_PC.diagonal()
    losses_P = logits_PC.logsumexp(1) - partner_P
    if config.symmetric:
        # The partners alone: a negative is nobody's partner, and has no text to find.
        losses_P = (losses_P + logits_PC[:, : len(logits_PC)].logsumexp(0) - partner_P) / 2
    return Terms(losses_P, ranked(cosines_PC.detach(), same_PC))


def triplet(vectors_SD: torch.Tensor, facts: Facts, config: Embed.Config) -> Terms:
    """Computes max(0, d(text, partner) - d(text, negative) + margin) (Schroff et al. 2015, eq. 1),
    averaged over a pair's negatives.
    """
    distance: Distance = (
        pairwise_distance
        if config.distance == "euclidean"
        else lambda x, y: 1 - cosine_similarity(x, y)
    )
    texts_PD = facts.of_role(vectors_SD, 0)
    partners_PD = facts.of_role(vectors_SD, 1)
    pair_N = facts.pair_of_negatives(vectors_SD)
    nearer_N = distance(texts_PD, partners_PD).index_select(0, pair_N) - distance(
        texts_PD.index_select(0, pair_N), facts.of_role(vectors_SD, 2)
    )
    terms_N = (nearer_N + config.margin).relu()
    none_P = vectors_SD.new_zeros(len(texts_PD))
    losses_P = none_P.index_add(0, pair_N, terms_N) / none_P.index_add(
        0, pair_N, torch.ones_like(terms_N)
    ).clamp(min=1)
    return Terms(
        losses_P,
        ranked(cosines(vectors_SD.detach(), facts), there(no_negatives(facts), vectors_SD)),
    )


def cosent(vectors_SD: torch.Tensor, facts: Facts, config: Embed.Config) -> Terms:
    """Computes log(1 + sum of exp((cos_i - cos_j) / temperature) over all i graded below j) (Su
    2022; Huang et al. 2024).

    It belongs to the step, not to its pairs, so each pair carries it whole, and the division by the
    pairs gives it back.
    """
    cosines_P = cosine_similarity(facts.of_role(vectors_SD, 0), facts.of_role(vectors_SD, 1))
    grades_P = facts.similarity_P
    right_PP = there(grades_P[:, None] >= grades_P, vectors_SD)
    wrong_PP = (cosines_P[:, None] - cosines_P) / config.temperature
    wrong_PP = wrong_PP.masked_fill(right_PP, -math.inf)
    # The zero is the 1 in the logarithm; pairs in their right order are exp(-inf).
    loss = torch.cat([wrong_PP.new_zeros(1), wrong_PP.flatten()]).logsumexp(0)
    rho = spearman(cosines_P.detach().cpu().numpy(), grades_P.numpy())
    return Terms(loss.expand(len(grades_P)), {"spearman": torch.full_like(cosines_P.detach(), rho)})


TERMS: dict[str, Callable[[torch.Tensor, Facts, Embed.Config], Terms]] = {
    "infonce": infonce,
    "triplet": triplet,
    "cosent": cosent,
}


def cosines(vectors_SD: torch.Tensor, facts: Facts) -> torch.Tensor:
    """Computes the cosines [P, C] of texts with candidates: the partners, then the negatives."""
    texts, partners, negatives = (
        facts.of_role(normalize(vectors_SD, dim=-1), role) for role in range(3)
    )
    return texts @ torch.cat([partners, negatives]).T


def there(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Moves a tensor from the CPU to the device of ``like``."""
    return sent_together([tensor], like.device)[0]


def no_negatives(facts: Facts) -> torch.Tensor:
    """Marks the candidates [P, C] that cannot count against a text: the same text as it or its
    partner, or a partner of the same text.
    """
    role_S, key_S = facts.role_S, facts.key_S
    key_P = key_S[role_S == 0]
    key_C = torch.cat([key_S[role_S == 1], key_S[role_S == 2]])
    number = len(key_P)
    same_PC = (key_C == key_C[:number, None]) | (key_C == key_P[:, None])
    same_PC[:, :number] |= key_P == key_P[:, None]
    # The diagonal is the partner itself, which is what is looked for.
    same_PC.fill_diagonal_(False)
    return same_PC


def ranked(cosines_PC: torch.Tensor, same_PC: torch.Tensor) -> dict[str, torch.Tensor]:
    """Tells whether each text's partner is the nearest candidate, or among the ten nearest."""
    rank_P = ranks(cosines_PC, same_PC)
    return {f"recall_at_{k}": (rank_P <= k).float() for k in (1, 10)}


def ranks(cosines_PC: torch.Tensor, same_PC: torch.Tensor) -> torch.Tensor:
    """Ranks each text's partner among the candidates, from 1; a tie counts half, so that equal
    vectors find nothing.
    """
    others_PC = cosines_PC.masked_fill(same_PC, -math.inf)
    own_P1 = cosines_PC.diagonal()[:, None]
    return 1 + (others_PC > own_P1).sum(1) + ((others_PC == own_P1).sum(1) - 1) / 2


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Computes the rank correlation; NaN where one of the two does not vary."""
    from scipy.stats import spearmanr

    if len(first) < 2 or (first == first[0]).all() or (second == second[0]).all():
        return math.nan
    return float(spearmanr(first, second).statistic)  # type: ignore[union-attr]


Drawn = tuple[torch.Tensor, torch.Tensor | None]


def random_state(device: torch.device) -> Drawn:
    """Returns the random state that the next draws of dropout on this device follow from."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(
        device
    ) if device.type == "cuda" else None


@contextmanager
def drawn_again(device: torch.device, state: Drawn) -> Iterator[None]:
    """Draws as they were when ``state`` was taken; afterwards they go on from where they stood."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_rng_state(state[0])
        if state[1] is not None:
            torch.cuda.set_rng_state(state[1], device)
        yield
