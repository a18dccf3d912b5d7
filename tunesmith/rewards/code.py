"""Whether code that the answer holds passes the row's tests, which run it: in a process of its own
with limits, an empty folder and an empty environment, and on Linux apart from network, other
processes and files.

What the code prints or how it exits says nothing; the process has to repeat a word that the code is
not given.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated

from annotated_types import Gt

from tunesmith.errors import Problem, SpecError
from tunesmith.examples import final
from tunesmith.plain import JsonObject
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec, Word
from tunesmith.words import say

RUNNER = Path(__file__).with_name("_run_code.py")
_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


@REWARDS.register
class Code(AnswerReward):
    """The share of a row's tests that the answer's Python code passes."""

    class Config(Spec):
        """Which tests, and what the code may use."""

        run_code: bool = False
        """Must be true: code that a model wrote is then run on this machine."""
        apart: bool = True
        """Run it without a network, other processes or files but Python's, and refuse where the
        system does not let a process leave these; false leaves limits and an empty environment,
        which keep accidents away, not an attacker.
        """
        column: Word = "tests"
        """The column with the tests: a list of Python statements (``assert add(1, 2) == 3``), or
        one text of them, which counts as a whole.
        """
        seconds: Annotated[int, Gt(0)] = 3
        """CPU seconds for an answer and its tests; twice as many on the clock, for code that waits,
        which should be less than ``source.timeout``.
        """
        mebibytes: Annotated[int, Gt(0)] = 512
        """Memory of the process (MiB)."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the tests."""
        return (self.config.column,)

    def load(self) -> None:
        """Raises SpecError where nobody has said that code may run."""
        if not self.config.run_code:
            raise SpecError(Problem("run_code", say("rewards.run_code")))
        why = refused_apart() if self.config.apart else None
        if why is not None:
            raise SpecError(Problem("apart", say("rewards.not_apart", why=why)))

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns the share of the tests that pass, 0 where the answer holds no code that ends in
        time; None where the row has no tests.
        """
        self.load()
        tests = tests_of(row[self.config.column])
        if not tests:
            return None
        blocks = _FENCED.findall(final(completion))
        code = "\n\n".join(blocks) if blocks else final(completion)
        passed = self._passed(code, tests)
        return sum(passed) / len(tests)

    def _passed(self, code: str, tests: Sequence[str]) -> list[bool]:
        limits = self.config.values("seconds", "mebibytes", "apart")
        report = _run({"code": code, "tests": tests, **limits})
        if "refused" in report:
            raise OSError(report["refused"])
        return [result is True for result in report.get("passed", [])]


@cache
def refused_apart() -> str | None:
    """Returns why this system does not let code run apart from it; None where it does."""
    report = _run({"code": "", "tests": [], "seconds": 10, "mebibytes": 512, "apart": True})
    return None if "passed" in report else str(report.get("refused", sys.platform))


def _run(asked: JsonObject) -> JsonObject:
    """Returns what the process said, nothing where it said nothing in time."""
    word = secrets.token_hex(16)
    request = json.dumps(asked | {"word": word}).encode()
    with (
        tempfile.TemporaryDirectory(prefix="tunesmith-code-") as folder,
        # A file and not a pipe: what the code writes counts as the size of a file.
        tempfile.TemporaryFile() as said,
    ):
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(RUNNER)],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
        )
        with suppress(subprocess.TimeoutExpired):
            process.communicate(request, 2 * asked["seconds"])
        _end_all(process)
        said.seek(0)
        lines = said.read().splitlines()
    try:
        report = json.loads(lines[-1])
    except (ValueError, IndexError):
        return {}
    return report if isinstance(report, dict) and report.get("word") == word else {}


def _end_all(process: subprocess.Popen[bytes]) -> None:
    """Ends the process with all that it began."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tests_of(value: object) -> list[str]:
    """Returns the tests of a cell: a list, a list written as JSON, or one text."""
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return [str(value)]
    if isinstance(value, str):
        return [value] if value.strip() else []
    return [str(line) for line in value] if isinstance(value, list | tuple) else []
