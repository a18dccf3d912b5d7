"""Runs a function in processes joined by gloo, forked from this one, and compares two runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from material import runs
from tunesmith.data.prepare import Prepared
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train

PLAINLY: dict[str, Any] = {
    "train.optimizer": "sgd",
    "train.learning_rate": 0.05,
    "train.micro_tokens": 64,
    "train.keep.evaluate": 4,
    "train.keep.save": 2,
    "train.keep.final": "best",
    "generate.max_new_tokens": 2,
}
"""Settings of runs that are compared. Plain descent: AdamW would blow rounding up where a gradient
is next to nothing.
"""
NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def in_two(work: Callable[[int], object]) -> list[int]:
    """Calls ``work`` with its rank in each of two processes; their exit codes."""
    return in_several(2, work)


def in_several(count: int, work: Callable[[int], object]) -> list[int]:
    """Calls ``work`` with its rank in each of ``count`` processes; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def rank(number: int) -> int:
        values = (str(number), str(number), str(count), "127.0.0.1", str(port))
        os.environ.update(zip(NAMES, values, strict=True))
        return runs.in_child(lambda: work(number))

    others = []
    for number in range(1, count):
        others.append(os.fork())
        if others[-1] == 0:
            os._exit(rank(number) & 0xFF)
    try:
        code = rank(0)
    finally:
        for name in NAMES:
            os.environ.pop(name, None)
    return [code, *(os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in others)]


def two_ranks(
    out: Path, model: Path, prepared: Prepared, *, resume: bool = False, **overrides: Any
) -> list[int]:
    """Trains in two processes; their exit codes."""
    return in_two(lambda _: train(runs.resolved(out, model, **overrides), prepared, resume=resume))


def same_runs(one: RunFolder, two: RunFolder) -> None:
    """Asserts that two runs recorded the same steps, evaluations and answers, and left the same
    weights.
    """
    first, second = runs.record(one), runs.record(two)
    for alone, joined in zip(first, second, strict=True):
        assert alone.keys() == joined.keys()
        for name, value in alone.items():
            if isinstance(value, float | dict):
                # A reward is the difference of two sums of log-probabilities in fp32.
                near = 1e-7 if name in ("loss", "grad_norm") else 1e-5
                assert joined[name] == pytest.approx(value, rel=1e-6, abs=near), name
            else:
                assert joined[name] == value, name
    for folder in ("model", "best"):
        if (one.path / folder).is_dir() or (two.path / folder).is_dir():
            (file,) = (one.path / folder).glob("*.safetensors")
            ours, theirs = load_file(file), load_file(two.path / folder / file.name)
            assert ours.keys() == theirs.keys()
            for key in ours:
                assert float((ours[key] - theirs[key]).abs().max()) < 1e-6, key
