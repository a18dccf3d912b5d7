"""The memory of tensors (bytes) that one process holds at most, counted by torch's allocator."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch.autograd.profiler import profile

from tunesmith.models.structure.divided import own_part


def held(tensors: Iterable[torch.Tensor]) -> int:
    """The bytes of this process's parts of tensors; storage that several share counts once."""
    storages = {}
    for tensor in tensors:
        part = own_part(tensor.detach())
        storages[part.untyped_storage().data_ptr()] = part.untyped_storage().nbytes()
    return sum(storages.values())


def most_above(work: Callable[[], object]) -> int:
    """The most bytes that are allocated while ``work`` runs, above those at its beginning."""
    with profile(profile_memory=True) as watched:
        work()
    assert watched.kineto_results is not None
    events = [one for one in watched.kineto_results.events() if one.name() == "[memory]"]
    level = most = 0
    for event in sorted(events, key=lambda one: one.start_ns()):
        level += event.nbytes()
        most = max(most, level)
    return most
