"""The base, loaded once for the many trainings of a tournament or a search."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from tunesmith.data.prepare import Prepared
from tunesmith.machine import device as devices
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.loading.load import Loaded
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import Model, Run
from tunesmith.training.preparing import load_base
from tunesmith.trials.forked import can_fork


@dataclass(frozen=True)
class OneBase:
    """A base that stays as it was loaded."""

    loaded: Loaded
    form: Model
    """The settings that it was loaded with."""
    fork: bool
    """Whether each training is a forked process, with memory of its own."""

    def of(self, resolved: Resolved) -> Loaded | None:
        """Returns the base for one training, which may change it; None where that one needs it in
        another form and loads its own.
        """
        if resolved.run.model != self.form:
            return None
        if self.fork:
            return self.loaded
        return replace(self.loaded, model=copy.deepcopy(self.loaded.model))


@contextmanager
def one_base(run: Run, prepared: Prepared) -> Iterator[OneBase]:
    """Loads the base of ``run``, with one thread where it is to be forked: a pool of threads does
    not survive that.
    """
    threads = torch.get_num_threads()
    device = devices.choose(run.train.machine)
    fork = can_fork(device)
    if fork:
        torch.set_num_threads(1)
    objective = prepared.objective_of(run)
    try:
        yield OneBase(load_base(folder_of(run.model), run, device, objective), run.model, fork)
    finally:
        torch.set_num_threads(threads)
