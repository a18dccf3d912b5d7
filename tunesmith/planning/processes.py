"""What ``processes`` asks of the machine and of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

from tunesmith.batches.order import USUAL_BATCH
from tunesmith.errors import Problem, SpecError, TunesmithError
from tunesmith.machine.ranks import machines, started_by_another
from tunesmith.settings.run import Run
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.machine.device import Device


def refuse_several(run: Run) -> None:
    """Raises SpecError for a run that asks for several processes where only one trains."""
    if run.processes > 1:
        raise SpecError(Problem("processes", say("train.processes_from_python")))


def unfit(run: Run, device: Device) -> Iterator[Problem]:
    """Refuses more processes than there are GPUs, where they want one each, and weights that are to
    be divided among one process.
    """
    if run.train.machine.shard != "none" and max(run.processes, device.processes.world) == 1:
        yield Problem("train.machine.shard", say("plan.nothing_to_divide"))
    elif run.train.machine.shard == "tensor":
        yield from _no_plan(run, max(run.processes, device.processes.world))
    if device.place.type == "cuda" and run.processes > device.count:
        text = say("plan.more_processes_than_gpus", processes=run.processes, gpus=device.count)
        yield Problem("processes", text)


def _no_plan(run: Run, processes: int) -> Iterator[Problem]:
    """Refuses to divide a model that transformers has no plan for, or whose heads do not go into
    so many parts.
    """
    from tunesmith.models.finding.hub import folder_of
    from tunesmith.models.structure.kinds import heads_of_plan, load_config

    where = "train.machine.shard"
    if tuple(map(int, version("transformers").split(".")[:2])) < (5, 17):
        yield Problem(where, say("plan.parts_version", version=version("transformers")))
        return
    with suppress(TunesmithError):  # a model that is not there is told where it is read
        folder = folder_of(run.model)
        config = load_config(folder, trust_remote_code=run.model.trust_remote_code)
        heads = heads_of_plan(config)
        if heads is None:
            yield Problem(where, say("plan.parts_model", kind=config.model_type))
        elif heads % processes:
            yield Problem(where, say("plan.parts_heads", heads=heads, processes=processes))


def too_few_rows(run: Run, batch: int, processes: int) -> Iterator[Problem]:
    """Refuses more ``processes``, over all machines, than a step has rows: some would have nothing
    to do.
    """
    if processes > batch and run.train.machine.shard != "tensor":
        text = say("plan.more_processes_than_rows", processes=processes, rows=batch)
        yield Problem("processes", text)


def too_many(run: Run, machines: int) -> list[Problem]:
    """Returns what is said, before they are started, to more processes on so many machines than any
    step of the run has rows.
    """
    count = machines * run.processes
    return list(too_few_rows(run, run.train.batch or USUAL_BATCH, count))


def refuse_too_many(run: Run) -> None:
    """Raises SpecError for what ``too_many`` says of the machines that train it together: each
    process takes memory and seconds until it has read the rows.
    """
    problems = too_many(run, machines())
    if problems:
        raise SpecError(problems)


def free_in_each(run: Run, device: Device) -> float:
    """Returns the memory (bytes) that the process with the least of it has: micro-batches are cut
    by it, and each process takes its own of the same cut.

    Processes that are still to be started will share this machine's; those that run already count
    themselves (``free_memory``).
    """
    from tunesmith.machine.memory import free_memory

    apart = device.place.type == "cuda" or started_by_another()
    free_here = free_memory(device.place) / (1 if apart else run.processes)
    return min(device.processes.everyones(free_here))


def most_rows(run: Run, world: int) -> int:
    """Counts the rows of a step that one of ``world`` processes runs at most: the dearest
    micro-batch costs as little as it can, and so never more than its share of the longest rows.
    With ``tensor`` each process computes a part of every row.
    """
    rows = run.train.batch or 16
    return rows if run.train.machine.shard == "tensor" else -(-rows // world)
