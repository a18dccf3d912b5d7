"""This machine: each trial is a process forked from one that has the base and the rows in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, SpecError
from tunesmith.searches.places import PLACES, AtHand, Begin, Place, Share, Work
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.planning.plan import Plan
    from tunesmith.trials.together import Going


@PLACES.register
class Local(Place):
    """On this machine, which the trials of a time share."""

    @contextmanager
    def open(self, plan: Plan, workers: int) -> Iterator[Begin]:
        """Loads the base."""
        from tunesmith.trials.forked import Forked, here
        from tunesmith.trials.one_base import one_base
        from tunesmith.trials.together import Ended

        prepared = plan.prepared
        assert prepared is not None, "a plan without problems has its rows"
        with one_base(plan.resolved.run, prepared) as base:
            if workers > 1 and not base.fork:
                raise SpecError(Problem("search.workers", say("search.no_fork")))
            at_hand = AtHand(prepared, base)

            def begin(work: Work, told: Path) -> Going:
                with_base = partial(work, at_hand)
                return Forked(with_base, told) if base.fork else Ended(here(with_base, told))

            yield begin

    def share(self, count: int, plan: Plan, need: Callable[[], float]) -> Share:
        """Divides cores and free memory alike. The cores of a trial do not follow from the memory:
        another number of threads adds up in another order.
        """
        machine = plan.resolved.run.train.machine
        threads = max(1, (machine.threads or 1) // count)
        if count == 1:
            return Share(1, {"threads": threads})
        each = need()
        free = plan.facts["memory_gib"]["free"]
        fit = max(1, min(count, int(free / each)))
        numbers = {"count": count, "each": f"{each:.1f}", "free": f"{free:.1f}", "fit": fit}
        return Share(
            fit,
            {"threads": threads, "memory": round(free / fit, 3)},
            say("search.fewer_fit", **numbers) if fit < count else "",
        )
