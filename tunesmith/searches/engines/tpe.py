"""The tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna computes it.

The folders of the trials are all that is kept: each trial is asked of a new study that is told the
trials before. So a search that was killed proposes the same settings again, and no file of Optuna's
can be torn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le

from tunesmith.errors import Problem, SpecError
from tunesmith.searches.engines import ENGINES, Asked, Done, Engine, Trial, left_over
from tunesmith.searches.engines._space import Space
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@ENGINES.register
class Tpe(Engine):
    """Settings near the good ones of the trials before, and far from the bad ones."""

    may_change = frozenset({"search.trials"})

    class Config(Spec):
        """How long a trial is, and how many are drawn at random."""

        share: Annotated[float, Gt(0), Le(1)] = 0.3
        """Share of the whole training that each trial takes."""
        random: Annotated[int, Ge(0)] = 5
        """Trials that are drawn at random before the others are proposed."""

    def check(self) -> None:
        """Raises SpecError where Optuna is not installed."""
        _optuna()

    def batch(self, asked: Asked, done: Sequence[Done]) -> list[Trial]:
        """Asks Optuna for as many trials as are trained at a time; it takes those that it has
        proposed and knows no score of for bad ones (the constant liar of Ginsbourger et al. 2010),
        so that they differ.
        """
        first = [Trial({}, self.config.share)] if not done and asked.trials else []
        count = min(asked.workers, asked.trials - len(done)) - len(first)
        if count < 1:
            return first
        optuna = _optuna()
        number = len(done) + len(first)
        sampler = optuna.samplers.TPESampler(
            seed=asked.seed + number, n_startup_trials=self.config.random, multivariate=True
        )
        study = optuna.create_study(sampler=sampler)
        distributions = {path: _distribution(space) for path, space in asked.spaces.items()}
        # The first has the run's own values, which may lie outside the spaces.
        for told_before in done[1:]:
            finite = math.isfinite(told_before.score)
            study.add_trial(
                optuna.trial.create_trial(
                    params=dict(_indexed(asked.spaces, told_before.trial.values)),
                    distributions=distributions,
                    value=told_before.score if finite else None,
                    state=optuna.trial.TrialState[("COMPLETE" if finite else "FAIL")],
                )
            )
        taken = [tried.trial.values for tried in done]
        for _ in range(count):
            values = _values(study.ask(distributions).params, asked)
            if values in taken and (left := left_over(asked.spaces, taken)):
                values = left[0]
            taken.append(values)
        return [*first, *(Trial(values, self.config.share) for values in taken[len(done) :])]

    def total(self, trials: int) -> list[float]:
        """Counts every trial once."""
        return [self.config.share] * trials


def _values(params: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    return {
        path: space.choices[params[path]] if space.choices else _rounded(params[path])
        for path, space in asked.spaces.items()
    }


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise SpecError(Problem("search.engine", say("search.needs_optuna"))) from None
    import warnings

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def _distribution(space: Space) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if space.choices:  # by number, because a choice may be a list or a mapping
        return CategoricalDistribution(range(len(space.choices)))
    if space.kind == "int":
        return IntDistribution(int(space.low), int(space.high))
    return FloatDistribution(space.low, space.high, log=space.kind == "log")


def _indexed(spaces: Mapping[str, Space], values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (path, spaces[path].choices.index(value) if spaces[path].choices else value)
        for path, value in values.items()
    ]


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.3g}")
