"""How often the interval of a proof holds the truth, over draws whose truth is known.

    python benchmarks/coverage.py            # about 25 minutes on one core
    python benchmarks/coverage.py --only "right or wrong, equal, grouped" --items 1000 --seed 1

Two contenders answer the same items. Scores are right or wrong, or positive and skewed like a
loss; items stand alone, or five of a group share a part; or hardly an answer differs. ``equal`` is
the case in which a false "improved" can happen: both contenders are drawn alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tunesmith.proving import statistics

DRAWS = {20: 10_000, 100: 10_000, 1000: 2_000}
"""Draws by items or groups; a share of 2.5 % is known to 0.16 and 0.35 points (standard error)."""
GROUP = 5
"""Items of one group."""
Draw = Callable[[np.random.Generator, int, int], np.ndarray]


@dataclass(frozen=True)
class Case:
    """Scores of two contenders: ``draw(generator, groups, size)`` gives [2, groups, size]."""

    name: str
    draw: Draw
    truth: float
    grouped: bool

    def __str__(self) -> str:
        return f"{self.name}, grouped" if self.grouped else self.name


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
    Case(name, draw, truth, grouped)
    for name, draw, truth in (
        ("right or wrong, equal", right_or_wrong(0.7, 0.7), 0.0),
        ("right or wrong, 70 % and 60 %", right_or_wrong(0.7, 0.6), 0.1),
        ("skewed, equal", skewed(1.0), 0.0),
        ("skewed, a fifth lower", skewed(0.8), -0.2),
    )
    for grouped in (False, True)
]
FEW_DIFFER = [
    Case("right or wrong, 5 % gained", few_differ(0.05, 0.0), 0.05, grouped=False),
    Case("right or wrong, 8 % gained, 2 % lost", few_differ(0.08, 0.02), 0.06, grouped=False),
]
"""Of 20 such items the interval does not hold what it says; a verdict waits for 6 changes."""
ALL = [*CASES, *FEW_DIFFER]


def measure(case: Case, *, units: int, draws: int, resamples: int, seed: int) -> Row:
    """The shares over ``draws`` draws of ``units`` items, or of so many groups."""
    generator = np.random.default_rng(seed)
    size = GROUP if case.grouped else 1
    above = below = 0
    for number in range(draws):
        first, second = case.draw(generator, units, size)
        tables = [np.stack([side.sum(1), np.full(units, size)], 1) for side in (first, second)]
        found = statistics.paired(
            *tables, lambda sums: sums[..., 0] / sums[..., 1], seed=number, resamples=resamples
        )
        above += found.low > case.truth
        below += found.high < case.truth
    return Row(1 - (above + below) / draws, above / draws, below / draws)


def main() -> None:
    """Prints the table, or the lines of one case, or of one number of items or groups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--only", choices=[str(case) for case in ALL])
    parser.add_argument("--items", type=int, choices=[*DRAWS])
    parser.add_argument("--seed", type=int, default=0, help="other draws for the same line")
    asked = parser.parse_args()
    print("| scores | items or groups | holds the truth | wholly above | wholly below |")
    print("|---|---|---|---|---|")
    for case in ALL:
        for units, draws in DRAWS.items():
            if asked.only not in (None, str(case)) or asked.items not in (None, units):
                continue
            row = measure(
                case, units=units, draws=draws, resamples=asked.resamples, seed=asked.seed
            )
            shares = (row.covered, row.above, row.below)
            told = " | ".join(f"{100 * share:.1f} %" for share in shares)
            print(f"| {case} | {units} | {told} |", flush=True)


if __name__ == "__main__":
    main()
