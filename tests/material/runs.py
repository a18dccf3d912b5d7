"""A tiny run, ready to train, and ways to train it in a child process that may be killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunesmith.data.lengths import default_limit
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.events.run import on_steps
from tunesmith.events.stream import Event, Events
from tunesmith.machine.device import choose
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.planning.make import from_machine
from tunesmith.settings.open_values import begun, fill
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import Run, validate, with_overrides
from tunesmith.storage.run_folder import RunFolder

CAPITALS = [
    "Paris",
    "Berlin",
    "Rome",
    "Madrid",
    "Vienna",
    "Prague",
    "Warsaw",
    "Athens",
    "Dublin",
    "Oslo",
    "Lisbon",
    "Cairo",
    "Lima",
    "Quito",
    "Tokyo",
    "Seoul",
]


def rows(count: int = 36) -> list[dict[str, str]]:
    """Questions of different length about different things."""
    return [
        {
            "instruction": f"How far is {CAPITALS[i % 16]} from {CAPITALS[i // 16 + 3]}?"
            + " Please." * (i % 4),
            "output": f"{i * 37 % 1000} km",
        }
        for i in range(count)
    ]


def asked(out: Path, model: Path, **overrides: Any) -> Run:
    """A run of 9 steps over 2 epochs with dropout, an evaluation every 3 steps and a checkpoint
    every 2.
    """
    data = model / "rows.json"
    if not data.is_file():
        data.write_text(json.dumps(rows()), encoding="utf-8")
    settings: dict[str, Any] = {
        "model": str(model),
        "data": {"path": str(data), "held_out": 0},
        "out": str(out),
        "method": {"name": "lora", "rank": 4, "dropout": 0.1},
        "train": {
            "epochs": 2,
            "batch": 8,
            "learning_rate": 1e-2,
            "micro_tokens": 512,
            "seed": 3,
            "machine": {"threads": 1},
            "keep": {"evaluate": 3, "save": 2},
        },
        "generate": {"max_new_tokens": 4},
    }
    return validate(with_overrides(settings, overrides))


def resolved(out: Path, model: Path, **overrides: Any) -> Resolved:
    """The same run, settled."""
    return settled(asked(out, model, **overrides))


def settled(run: Run) -> Resolved:
    """A run as a plan leaves it, without a look at its rows and its model."""
    resolved = fill(begun(run), from_machine(choose(run.train.machine)))
    values = {"data.max_length": default_limit(None), "train.batch": 8}
    values |= {"train.micro_tokens": 512, "train.machine.checkpointing": False}
    return fill(resolved, {path: (value, "by the tests") for path, value in values.items()})


def data_of(one: Resolved, watch: int = 0) -> Prepared:
    """The rows of a run; the last ``watch`` training rows are watched instead."""
    prepared = prepare(one.run, load_tokenizer(Path(one.run.model.path)))
    if watch:
        from dataclasses import replace

        from tunesmith.examples import Chat, Turn

        asked = Chat((Turn("user", "How far?"), Turn("assistant", "1 km")))
        prepared.watch = [replace(item, example=asked) for item in prepared.train[-watch:]]
        prepared.train = prepared.train[:-watch]
    return prepared


def on_step(hear: Callable[[dict[str, Any]], None] | None) -> Events:
    """Events of which ``hear`` gets the recorded line of every step, and nothing is shown."""
    return Events(on_steps(hear)) if hear is not None else Events()


def said(told: list[str]) -> Events:
    """Events of which ``told`` gets what a person is told."""

    def listener(event: Event) -> None:
        if (text := event.text()) is not None:
            told.append(text)

    return Events(listener)


def weights(folder: Path) -> bytes:
    """The bytes of a folder's weights."""
    return next(path for path in sorted(folder.glob("*.safetensors"))).read_bytes()


TIMINGS = ("seconds", "tokens_per_second", "memory_gib", "held_gib", "joules")


def record(folder: RunFolder) -> list[dict[str, Any]]:
    """The record without its timings."""
    return [
        {name: value for name, value in line.items() if name not in TIMINGS}
        for line in folder.steps()
    ]


def in_child(work: Callable[[], object]) -> int:
    """Runs ``work`` in a forked child and gives its exit code, or minus the signal that ended
    it.
    """
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            work()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        except BaseException as error:
            code = int(vars(type(error)).get("exit_code", 70))
            if code == 70:
                traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def kill_now() -> None:
    """What ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)
