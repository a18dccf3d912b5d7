"""Ray: each trial is a task of a cluster whose machines all see the search's folder. One whose
worker is lost begins again, from its last checkpoint.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt

from tunesmith import words
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import notice
from tunesmith.machine.memory import GIB
from tunesmith.searches.places import PLACES, Begin, Place, Share, Work
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.planning.plan import Plan
    from tunesmith.trials.forked import End

OLDEST = (2, 60)
"""Before this version whoever reached a cluster's ports could run what he liked
(CVE-2023-48022).
"""


@PLACES.register
class Ray(Place):
    """The cluster that RAY_ADDRESS names, else one of this machine alone."""

    class Config(Spec):
        """What each trial asks of the cluster; ``search.workers`` trials are trained at a time."""

        cpus: Annotated[float, Gt(0)] = 1
        """Cores of a trial."""
        gpus: Annotated[float, Ge(0)] = 0
        """GPUs of a trial."""
        retries: Annotated[int, Ge(0)] = 3
        """How often a trial goes on by itself after its worker was lost."""

    def check(self) -> None:
        """Raises SpecError where Ray is not installed, or too old."""
        _ray()

    @contextmanager
    def open(self, plan: Plan, workers: int) -> Iterator[Begin]:
        """Joins the cluster."""
        ray = _ray()
        joined = _ray().is_initialized()
        if not joined:
            _join(ray)
        if not fits(ray.nodes(), self.config.cpus, self.config.gpus):
            # Not refused: a cluster may grow with what waits.
            notice(say("search.ray_waits", cpus=self.config.cpus, gpus=self.config.gpus))
        memory = plan.resolved.run.train.machine.memory
        on_a_cpu = memory is not None and not self.config.gpus
        task = ray.remote(
            name="trial",
            num_cpus=self.config.cpus,
            num_gpus=self.config.gpus,
            memory=int(memory * GIB) if memory is not None and on_a_cpu else None,
            max_retries=self.config.retries,
        )(_trained)
        try:
            yield lambda work, told: _Task(
                ray, task.remote(os.getcwd(), words.language(), work, told), told
            )
        finally:
            if not joined:
                ray.shutdown()

    def share(self, count: int, plan: Plan, need: Callable[[], float]) -> Share:
        """Leaves it to Ray how many of them run."""
        return Share(count, {"threads": max(1, int(self.config.cpus))})


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise SpecError(Problem("search.place", say("search.needs_ray"))) from None
    if tuple(map(int, version("ray").split(".")[:2])) < OLDEST:
        raise SpecError(Problem("search.place", say("search.needs_ray")))
    return ray


def _join(ray: Any) -> None:
    """Joins the cluster, and keeps our own handling of signals, which Ray would replace."""
    before = signal.getsignal(signal.SIGTERM)
    ray.init()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def fits(nodes: Sequence[Mapping[str, Any]], cpus: float, gpus: float) -> bool:
    """Tells whether one of a cluster's machines could ever train a trial, as it is now."""
    there = [node["Resources"] for node in nodes if node["Alive"]]
    return any(
        resources.get("CPU", 0) >= cpus and resources.get("GPU", 0) >= gpus for resources in there
    )


def _trained(folder: str, language: str, work: Work, told: Path) -> End:
    """Trains one trial in a worker, in the folder where the search was begun."""
    from tunesmith.trials.forked import here

    os.chdir(folder)
    words.use(language)
    return here(partial(work, None), told)


class _Task:
    """A trial that the cluster has, or will have."""

    def __init__(self, ray: Any, reference: Any, told: Path) -> None:
        self._ray, self._reference, self._told = ray, reference, told
        self._handed_on: float | None = None

    def end(self) -> End | None:
        """Returns how it ended; None while it runs or waits."""
        from tunesmith.trials.files import put
        from tunesmith.trials.forked import End, reason_of

        ready, _ = self._ray.wait([self._reference], timeout=0)
        if not ready:
            return None
        errors = self._ray.exceptions
        try:
            return self._ray.get(self._reference)
        except errors.RayError as error:
            if self._handed_on is not None or isinstance(error, errors.TaskCancelledError):
                return End("stopped")
            put(self._told, {"reason": reason_of(error), "traceback": []})
            return End("failed", reason_of(error))

    def stop(self) -> None:
        """Tells it to save and leave, and a minute later ends it."""
        from tunesmith.trials.forked import PATIENCE

        now = time.monotonic()
        if self._handed_on is None:
            self._ray.cancel(self._reference)
            self._handed_on = now
        elif now - self._handed_on > PATIENCE:
            self._ray.cancel(self._reference, force=True)
            self._handed_on = now
