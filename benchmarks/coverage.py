"""How often the interval of a proof holds the truth, over draws whose truth is known.

    python benchmarks/coverage.py            # about 25 minutes on one core
    python benchmarks/coverage.py --only "right or wrong, equal, grouped" --items 1000 --seed 1
    python benchmarks/coverage.py --trainings          # of ``prove --seeds``; seconds

Two contenders answer the same items. Scores are right or wrong, or positive and skewed like a
loss; items stand alone, or those of a group share a part, five in each or 1 to 17; or hardly an
answer differs. ``equal`` is the case in which a false "improved" can happen: both contenders are
drawn alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tunesmith.proving import statistics
from tunesmith.proving.trainings import crossed

DRAWS = {20: 10_000, 100: 10_000, 1000: 2_000}
"""Draws by items or groups; a share of 2.5 % is known to 0.16 and 0.35 points (standard error)."""
SIZES = {"": (1,), ", grouped": (5,), ", unequal groups": (1, 1, 2, 4, 17)}
"""Items of one group, each number as likely as the others."""
GAIN = 0.3
"""True difference over several trainings."""
Draw = Callable[[np.random.Generator, int, int], np.ndarray]


@dataclass(frozen=True)
class Case:
    """Scores of two contenders: ``draw(generator, groups, size)`` gives [2, groups, size]."""

    name: str
    draw: Draw
    truth: float
    sizes: str = ""

    def __str__(self) -> str:
        return self.name + self.sizes


@dataclass(frozen=True)
class Row:
    """Shares of the draws: the truth inside, the interval wholly above it, and wholly below."""

    covered: float
    above: float
    below: float


def right_or_wrong(first: float, second: float) -> Draw:
    """Right with these chances; items of one group share half the variance behind the answer."""
    from scipy.special import ndtri

    def draw(generator: np.random.Generator, groups: int, size: int) -> np.ndarray:
        shared = generator.normal(size=(2, groups, 1))
        own = generator.normal(size=(2, groups, size))
        share = 0.5 if size > 1 else 0.0
        behind = np.sqrt(share) * shared + np.sqrt(1 - share) * own
        return (behind < ndtri(np.array([first, second]))[:, None, None]).astype(float)

    return draw


def skewed(factor: float) -> Draw:
    """Like a loss: a difficulty that both contenders share times a noise of their own, both
    log-normal with mean 1; the first contender's are ``factor`` times as high.
    """

    def draw(generator: np.random.Generator, groups: int, size: int) -> np.ndarray:
        hard = _around_one(generator, 0.8, (1, groups, 1)) * _around_one(
            generator, 0.3, (1, groups, size)
        )
        noise = _around_one(generator, 0.3, (2, groups, 1)) * _around_one(
            generator, 0.3, (2, groups, size)
        )
        return hard * noise * np.array([factor, 1.0])[:, None, None]

    return draw


def few_differ(gained: float, lost: float) -> Draw:
    """Half of the base's answers are right, and those of the tuned model, the first of the two, are
    the same but for these shares.
    """

    def draw(generator: np.random.Generator, groups: int, size: int) -> np.ndarray:
        place = generator.random((groups, size))
        base = (place < 0.5).astype(float)
        tuned = np.where(place >= 1 - gained, 1.0, np.where(place < lost, 0.0, base))
        return np.stack([tuned, base])

    return draw


def _around_one(generator: np.random.Generator, spread: float, shape: tuple) -> np.ndarray:
    return generator.lognormal(-(spread**2) / 2, spread, shape)


CASES = [
    Case(name, draw, truth, sizes)
    for name, draw, truth in (
        ("right or wrong, equal", right_or_wrong(0.7, 0.7), 0.0),
        ("right or wrong, 70 % and 60 %", right_or_wrong(0.7, 0.6), 0.1),
        ("skewed, equal", skewed(1.0), 0.0),
        ("skewed, a fifth lower", skewed(0.8), -0.2),
    )
    for sizes in SIZES
]
FEW_DIFFER = [
    Case("right or wrong, 5 % gained", few_differ(0.05, 0.0), 0.05),
    Case("right or wrong, 8 % gained, 2 % lost", few_differ(0.08, 0.02), 0.06),
]
ALL = [*CASES, *FEW_DIFFER]


def measure(case: Case, *, units: int, draws: int, resamples: int, seed: int) -> Row:
    """The shares over ``draws`` draws of ``units`` items, or of so many groups."""
    generator = np.random.default_rng(seed)
    sizes = SIZES[case.sizes]
    above = below = 0
    for number in range(draws):
        scores_2US = case.draw(generator, units, max(sizes))
        size_U = generator.choice(sizes, units) if len(sizes) > 1 else np.full(units, *sizes)
        there_US = np.arange(max(sizes)) < size_U[:, None]
        tables = [np.stack([(side * there_US).sum(1), size_U], 1) for side in scores_2US]
        found = statistics.paired(
            *tables, lambda sums: sums[..., 0] / sums[..., 1], seed=number, resamples=resamples
        )
        above += found.low > case.truth
        below += found.high < case.truth
    return Row(1 - (above + below) / draws, above / draws, below / draws)


def drawn_trainings(
    generator: np.random.Generator, trainings: int, units: int, spread: tuple[float, float, float]
) -> np.ndarray:
    """Differences [trainings, units] round ``GAIN``; ``spread`` is that of trainings, of units, and
    of what is left.
    """
    training, unit, rest = spread
    own = generator.standard_normal((trainings, 1)), generator.standard_normal((1, units))
    left = generator.standard_normal((trainings, units))
    return GAIN + training * own[0] + unit * own[1] + rest * left


def trainings_hold(trainings: int, spread: tuple[float, float, float], *, draws: int) -> float:
    """The share of ``draws`` draws of 60 units in which the interval over several trainings holds
    the truth.
    """
    generator, inside = np.random.default_rng(0), 0
    for _ in range(draws):
        found = crossed(drawn_trainings(generator, trainings, 60, spread)).interval
        inside += found.low <= GAIN <= found.high
    return inside / draws


def print_trainings(draws: int) -> None:
    """Prints the table of ``prove --seeds``: by standard deviation between trainings."""
    numbers = (2, 3, 5)
    heads = ["between trainings", *(f"{number} trainings" for number in numbers)]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for spread in (0.0, 0.1, 0.3, 1.0):
        shares = [trainings_hold(number, (spread, 1.0, 1.0), draws=draws) for number in numbers]
        print(f"| {spread:g} | {' | '.join(f'{100 * one:.1f} %' for one in shares)} |")


def main() -> None:
    """Prints the table, or the lines of one case, or of one number of items or groups; or that of
    several trainings.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--only", choices=[str(case) for case in ALL])
    parser.add_argument("--items", type=int, choices=[*DRAWS])
    parser.add_argument("--draws", type=int, help="instead of 10 000, or 2 000 of 1000 items")
    parser.add_argument("--seed", type=int, default=0, help="other draws for the same line")
    parser.add_argument("--trainings", action="store_true", help="the table of prove --seeds")
    asked = parser.parse_args()
    if asked.trainings:
        print_trainings(asked.draws or 10_000)
        return
    print("| scores | items or groups | holds the truth | wholly above | wholly below |")
    print("|---|---|---|---|---|")
    for case in ALL:
        for units, draws in DRAWS.items():
            if asked.only not in (None, str(case)) or asked.items not in (None, units):
                continue
            how = {"draws": asked.draws or draws, "resamples": asked.resamples, "seed": asked.seed}
            row = measure(case, units=units, **how)
            shares = (row.covered, row.above, row.below)
            told = " | ".join(f"{100 * share:.1f} %" for share in shares)
            print(f"| {case} | {units} | {told} |", flush=True)


if __name__ == "__main__":
    main()
