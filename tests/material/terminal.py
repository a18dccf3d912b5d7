"""Runs verbs as processes, forked from one that has the heavy imports done: a fresh one costs eight
seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARM = """
import json, os, sys
import torch, transformers, peft  # nothing is computed here, so that forks are safe
from tunesmith.cli.main import main

for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(os.path.join(job["folder"], name), flags, 0o600), number)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
        os.chdir(job["cwd"])
        os.environ.update(job["environment"])
        code = 99
        try:
            code = main(job["words"])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(json.dumps({"pid": child}), flush=True)
    _, status = os.waitpid(child, 0)
    print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
"""


@dataclass
class Done:
    """What a verb left behind."""

    code: int
    out: str
    error: str

    def json(self) -> Any:
        """Standard output, which is one JSON object and nothing else."""
        return json.loads(self.out)


class Terminal:
    """Runs verbs in a folder."""

    def __init__(self, server: subprocess.Popen[str], cwd: Path) -> None:
        self.server, self.cwd = server, cwd
        self.count = 0

    def start(self, *words: str, stdin: str = "", **environment: str) -> tuple[int, Path]:
        """Starts a verb; its process id, and the folder that its output goes to."""
        self.count += 1
        place = self.cwd / f".process{self.count}"
        place.mkdir()
        (place / "stdin").write_text(stdin, encoding="utf-8")
        assert self.server.stdin is not None
        job = {
            "folder": str(place),
            "cwd": str(self.cwd),
            "words": list(words),
            "environment": environment,
        }
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return self._answer()["pid"], place

    def wait(self, place: Path) -> Done:
        """What the verb that was started last did."""
        code = self._answer()["code"]
        out, error = ((place / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return Done(code, out, error)

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> Done:
        _, place = self.start(*words, stdin=stdin, **environment)
        return self.wait(place)

    def _answer(self) -> Any:
        assert self.server.stdout is not None
        return json.loads(self.server.stdout.readline())


def warm() -> subprocess.Popen[str]:
    """Starts the process that verbs are forked from."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "LC_ALL": "C.UTF-8",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return subprocess.Popen(
        [sys.executable, "-c", WARM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def rows(count: int = 120) -> list[dict[str, str]]:
    return [
        {
            "instruction": f"what is the name of {n}",
            "input": "",
            "output": f"the name is {n * 7 % 13}",
        }
        for n in range(count)
    ]
