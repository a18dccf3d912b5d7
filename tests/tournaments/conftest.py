"""A tiny tournament, played by the command in processes that may be killed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from material.proved import labelled

BROKEN = '''
"""Fails when it is really applied, not when it is planned."""
import os
from tunesmith.methods import METHODS, Method
from tunesmith.settings.spec import Spec

@METHODS.register
class Broken(Method):
    learning_rate, search = 1e-3, (1e-4, 1e-2)

    class Config(Spec):
        """None."""

    def apply(self, model):
        if not next(model.parameters()).is_meta:
            FAIL
        return model.requires_grad_(True)
'''


@dataclass
class Ended:
    """What a command left behind."""

    code: int
    out: str
    error: str


@dataclass
class Table:
    """A folder with rows, general text and a method that fails, and the settings of a tournament
    over them.
    """

    path: Path
    model: Path

    def words(self, out: str = "out", **changes: Any) -> list[str]:
        """The command line."""
        broken = [{"name": str(self.path / name)} for name in ("broken.py", "killed.py")]
        methods = [
            "lora",
            "ia3",
            {"name": "bitfit", "parts": "norms"},
            {"name": "oft", "block": 48},
            *broken,
        ]
        settings = {
            "model": str(self.model),
            "data": str(self.path / "rows.json"),
            "data.held_out": 100,
            "out": str(self.path / out),
            "train.steps": 12,
            "train.batch": 8,
            "train.machine.threads": 1,
            "train.keep.save": 4,
            "tournament.methods": methods,
            "tournament.rates": 3,
            "tournament.rungs": [0.2, 0.5],
            "tournament.places": 2,
            "tournament.seeds": 2,
            "tournament.general": str(self.path / "general.txt"),
            "tournament.general_rows": 12,
            "lang": "en",
        }
        return [
            "tournament",
            *(f"{key}={json.dumps(value)}" for key, value in (settings | changes).items()),
        ]

    def start(self, words: list[str]) -> int:
        """Runs a command in a forked process; its id."""
        pid = os.fork()
        if pid:
            return pid
        code = 99
        try:
            for number, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(
                    os.open(
                        self.path / f"{os.getpid()}.{name}",
                        os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                        0o600,
                    ),
                    number,
                )
            sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8") for number in (1, 2))
            from tunesmith.cli.main import main

            code = main(words)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def wait(self, pid: int) -> Ended:
        """What the command did."""
        _, status = os.waitpid(pid, 0)
        out, error = (
            (self.path / f"{pid}.{name}").read_text(encoding="utf-8")
            for name in ("stdout", "stderr")
        )
        return Ended(os.waitstatus_to_exitcode(status), out, error)

    def __call__(self, words: list[str]) -> Ended:
        """Runs a command to its end."""
        return self.wait(self.start(words))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Children are forked; a parent that has used OpenMP threads would leave them hanging."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def tables(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Table]:
    """Makes such folders."""

    def make() -> Table:
        folder = tmp_path_factory.mktemp("tournament")
        (folder / "rows.json").write_text(json.dumps(labelled(300)), encoding="utf-8")
        for name, fault in (
            ("broken", 'raise MemoryError("no room for 1 GiB")'),
            ("killed", "os.kill(os.getpid(), 9)"),
        ):
            (folder / f"{name}.py").write_text(BROKEN.replace("FAIL", fault), encoding="utf-8")
        lines = [
            f"a text about the question {n}, its answer and the name of a person" for n in range(20)
        ]
        (folder / "general.txt").write_text("\n".join(lines), encoding="utf-8")
        return Table(folder, tiny_llama)

    return make


@pytest.fixture(scope="package")
def played(tables: Callable[[], Table]) -> tuple[Table, Ended]:
    """A tournament that nothing interrupted."""
    table = tables()
    return table, table(table.words())
