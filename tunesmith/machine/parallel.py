"""The processes of a run, one alone or several that torchrun started: what they add up, what the
first does for all, and how an error of one ends all. Nothing else knows how they reach each other.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from tunesmith.batches.batch import Ratio
from tunesmith.errors import Problem, SpecError, TrainingError, first_line
from tunesmith.machine.allocator import grow_segments
from tunesmith.words import say

T = TypeVar("T")

BUCKET_BYTES = 64 * 2**20
"""Gradients that are summed in one call. A call each would be 448 of them for LoRA on 32 layers;
all in one would hold every gradient twice.
"""
LONGEST_WAIT = timedelta(hours=2)
"""For a process that is alive but does not come; one that has ended is noticed at once."""
SAME_VERSIONS = ("torch", "transformers", "peft")
LOST = ("gloo/transport", "ncclRemoteError")
"""What gloo and NCCL say when another process does not answer."""
HEARD_WITHIN = 5.0
"""Seconds that a process with an error stays for the others to read it."""

_store: dist.Store | None = None
"""Where the processes of this run leave word for each other; none for one alone."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run as one of them sees them. Every method is entered by all of them, as
    often and in the same order.
    """

    rank: int = 0
    world: int = 1
    alike: bool = False
    """Whether all work on the same rows, each with its part of every weight: then what is counted
    and measured is the same in each, and is not added up.
    """

    @property
    def share(self) -> tuple[int, int]:
        """Which part of the rows is this process's, and of how many."""
        return (0, 1) if self.alike else (self.rank, self.world)

    @property
    def several(self) -> bool:
        """Whether there is more than one process."""
        return self.world > 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Adds up each value over the rows of all processes."""
        if self.share[1] == 1:
            return list(values)
        return self._sum(*values)

    def _sum(self, *values: float) -> list[float]:
        # fp32 holds whole numbers up to 2**24, and a step may have more tokens.
        total = torch.tensor(values, dtype=torch.float64)
        with reaching_all():
            dist.all_reduce(total)
        return total.tolist()

    def add_gradients(self, gradients: Sequence[torch.Tensor]) -> None:
        """Sums each gradient over the processes, in place."""
        for bucket in _buckets(gradients) if self.share[1] > 1 else ():
            joined = torch.cat([gradient.flatten() for gradient in bucket])
            with reaching_all():
                dist.all_reduce(joined)
            parts = joined.split([gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def merge(self, metrics: dict[str, Ratio]) -> dict[str, Ratio]:
        """Adds up metrics by name; not every process has each of them."""
        if self.alike:
            return metrics
        merged: dict[str, Ratio] = {}
        for part in self.everyones(metrics):
            for name, ratio in part.items():
                merged[name] = merged.get(name, Ratio(0.0, 0.0)) + ratio
        return merged

    def gather(self, rows: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Returns the rows ``[n, D]`` of all processes, and where those of this process begin; a
        process without rows need not know their width.
        """
        if self.share[1] == 1:
            return rows, 0
        shapes = self.stack(torch.tensor(rows.shape))
        counts = shapes[:, 0].tolist()
        width = int(shapes[:, 1].max())
        padded = rows.new_zeros(max(counts), width)
        padded[: len(rows), : rows.shape[1]] = rows
        stacked = self.stack(padded)
        joined = torch.cat([part[:count] for part, count in zip(stacked, counts, strict=True)])
        return joined, sum(counts[: self.rank])

    def stack(self, tensor: torch.Tensor) -> torch.Tensor:
        """Stacks the tensors of all processes, which have one shape, where they lie."""
        if not self.several:
            return tensor[None]
        parts = [torch.empty_like(tensor) for _ in range(self.world)]
        with reaching_all():
            dist.all_gather(parts, tensor.contiguous())
        return torch.stack(parts)

    def agreed(self, value: T | None) -> T | None:
        """Returns the value of the first process that has one, such as a signal that one of them
        received; None where none has.
        """
        if not self.several:
            return value
        if not self._sum(float(value is not None))[0]:
            return None
        return next(given for given in self.everyones(value) if given is not None)

    def on_first(self, work: Callable[[], T]) -> T:
        """Runs ``work`` in the first process; all get its result, or raise its error."""
        result: list[Any] = [None, None]
        if self.first:
            result = list(self._attempted(work))
        if self.several:
            with reaching_all():
                dist.broadcast_object_list(result, src=0)
        if result[1] is not None:
            raise pickle.loads(result[1])
        return result[0]

    def on_all(self, work: Callable[[], T]) -> list[T]:
        """Runs ``work`` in every process; all get the results of all, in their order, or raise the
        error of the first that has one.
        """
        attempts = self.everyones(self._attempted(work))
        for _, sent in attempts:
            if sent is not None:
                raise pickle.loads(sent)
        return [result for result, _ in attempts]

    def _attempted(self, work: Callable[[], T]) -> tuple[Any, bytes | None]:
        """Returns what ``work`` gives, or its error as it is sent to the others; one alone raises
        it.
        """
        try:
            return work(), None
        except Exception as error:
            if not self.several:
                raise
            return None, _as_sent(error)

    def everyones(self, value: T) -> list[T]:
        """Returns the values of all processes, in their order."""
        values = [value] * self.world
        if self.several:
            with reaching_all():
                dist.all_gather_object(values, value)
        return values


def join(*, alike: bool = False) -> Processes:
    """Joins the processes that torchrun's environment variables name; one alone needs none.
    ``alike`` are those that work on the same rows.

    Numbers and objects go over gloo, on the CPU: over NCCL each would be a wait for the GPU.
    """
    global _store
    rank = int(os.environ.get("RANK", 0))
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world > 1 and not dist.is_initialized():
        backend = "gloo"
        options: dict[str, Any] = {}
        if torch.cuda.is_available():
            start_cuda()
            card = torch.device("cuda", local_rank())
            torch.cuda.set_device(card)
            backend, options = "cpu:gloo,cuda:nccl", {"device_id": card}
        _store, rank, world = _met(rank, world)
        dist.init_process_group(
            backend, store=_store, rank=rank, world_size=world, timeout=LONGEST_WAIT, **options
        )
        _refuse_other_versions(Processes(rank, world))
    return Processes(rank, world, alike and world > 1)


def _met(rank: int, world: int) -> tuple[dist.Store, int, int]:
    """Finds the other processes; raises SpecError where the place they meet at is taken or not
    told.
    """
    try:
        return next(dist.rendezvous("env://", rank, world, timeout=LONGEST_WAIT))
    except (RuntimeError, ValueError, OSError) as error:
        at = f"{os.environ.get('MASTER_ADDR', '')}:{os.environ.get('MASTER_PORT', '')}"
        text = say("train.no_meeting", at=at, error=first_line(error))
        raise SpecError(Problem("processes", text)) from error


def _refuse_other_versions(processes: Processes) -> None:
    """Raises SpecError, in every process, where libraries that compute are not the same in all."""
    versions = {name: version(name) for name in SAME_VERSIONS}
    first, *others = processes.everyones(versions)
    unequal = [
        say("train.version_of", number=number, name=name, then=first[name], now=theirs[name])
        for number, theirs in enumerate(others, 1)
        for name in SAME_VERSIONS
        if theirs[name] != first[name]
    ]
    if unequal:
        text = say("train.unequal_versions", listed="; ".join(unequal))
        raise SpecError(Problem("processes", text))


def start_cuda() -> None:
    """Sets what CUDA reads once, at its first use."""
    torch_version = tuple(map(int, torch.__version__.split(".")[:2]))
    grow_segments(newer=torch_version >= (2, 9))


def local_rank() -> int:
    """Returns this process's number on its machine, which is also that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0))


@contextmanager
def told_by_all() -> Iterator[None]:
    """Lets an error of one process end all of them with the same error.

    The one that fails leaves its error in the store and closes its connections; the others, which
    would wait for it for ever, so fail too, and find in the store why.
    """
    try:
        with _named_where_lost():
            yield
    except Exception as error:
        if _store is None or not dist.is_initialized():
            raise
        first = _first_error(_store, error)
        if first is not None:
            raise first from error
        raise


def _first_error(store: dist.Store, own: Exception) -> Exception | None:
    """Returns the error that was left first, once all have read it; None where it is this process's
    own.
    """
    try:
        sent = _as_sent(own)
        # It sets the value only where there is none: so the process that failed is heard, not those
        # that lost it then.
        first = store.compare_set("error", "", sent.hex())
        if not torch.cuda.is_available():  # NCCL would wait here; its connections end with us
            dist.destroy_process_group()
        until = time.monotonic() + HEARD_WITHIN
        store.add("heard", 1)
        world = int(os.environ["WORLD_SIZE"])
        while store.add("heard", 0) < world and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)  # one of them keeps the store, and the others still count there
    except (dist.DistError, RuntimeError):
        return None  # the process that keeps the store has ended
    first_sent = bytes.fromhex(first.decode())
    return None if first_sent == sent else pickle.loads(first_sent)


def _as_sent(error: Exception) -> bytes:
    """Encodes the error for other processes; only its text where it cannot be pickled."""
    with suppress(Exception):
        sent = pickle.dumps(error)
        pickle.loads(sent)
        return sent
    return pickle.dumps(TrainingError(f"{type(error).__name__}: {error}"))


@contextmanager
def reaching_all() -> Iterator[None]:
    """Raises TrainingError where the processes cannot be reached."""
    try:
        yield
    except RuntimeError as error:
        raise _lost(error) from error


@contextmanager
def _named_where_lost() -> Iterator[None]:
    """Raises TrainingError where torch could not reach the others for itself, as it does in every
    block of a divided model.
    """
    try:
        yield
    except RuntimeError as error:
        if any(mark in str(error) for mark in LOST):
            raise _lost(error) from error
        raise


def _lost(error: RuntimeError) -> TrainingError:
    # gloo goes on with advice and a picture of a beach.
    reason = first_line(error).partition(" This is typically")[0]
    return TrainingError(say("train.process_lost", error=reason))


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Groups tensors of one type into buckets of at most ``BUCKET_BYTES``."""
    by_type: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
    for tensor in tensors:
        by_type.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for alike in by_type.values():
        bucket: list[torch.Tensor] = []
        size = 0
        for tensor in alike:
            if bucket and size + tensor.nbytes > BUCKET_BYTES:
                yield bucket
                bucket, size = [], 0
            bucket.append(tensor)
            size += tensor.nbytes
        yield bucket
