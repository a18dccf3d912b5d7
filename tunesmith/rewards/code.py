"""Whether code that the answer holds passes the row's tests, which run it: in a process of its own
with limits, an empty folder and an empty environment.

No sandbox for hostile code: it keeps accidents from the machine, not an attacker. What the code
prints or how it exits says nothing; the process has to repeat a word that the code is not given.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from annotated_types import Gt

from tunesmith.errors import Problem, SpecError
from tunesmith.examples import final
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec
from tunesmith.words import say

RUNNER = Path(__file__).with_name("_run_code.py")
_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


@REWARDS.register
class Code(AnswerReward):
    """The share of a row's tests that the answer's Python code passes."""

    class Config(Spec):
        """Which tests, and what the code may use."""

        run_code: bool = False
        """Must be true: code that a model wrote is then run on this machine. Limits and an empty
        environment keep accidents away; they are no sandbox.
        """
        column: str = "tests"
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

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns the share of the tests that pass, 0 where the answer holds no code that ends in
        time; None where the row has no tests.
        """
        self.load()
        tests = tests_of(row[self.config.column])
        if not tests:
            return None
        found = _FENCED.findall(final(completion))
        code = "\n\n".join(found) if found else final(completion)
        passed = self._passed(code, tests)
        return sum(passed) / len(tests)

    def _passed(self, code: str, tests: Sequence[str]) -> list[bool]:
        config, word = self.config, secrets.token_hex(16)
        asked = {
            "code": code,
            "tests": tests,
            "word": word,
            **config.values("seconds", "mebibytes"),
        }
        with tempfile.TemporaryDirectory(prefix="tunesmith-code-") as folder:
            try:
                done = subprocess.run(
                    [sys.executable, "-I", "-S", str(RUNNER)],
                    input=json.dumps(asked).encode(),
                    capture_output=True,
                    timeout=2 * config.seconds,
                    cwd=folder,
                    env={},
                    start_new_session=True,
                )
            except subprocess.TimeoutExpired:
                return []
        try:
            told = json.loads(done.stdout.splitlines()[-1])
        except (ValueError, IndexError):
            return []
        right = isinstance(told, dict) and told.get("word") == word
        return [one is True for one in told["passed"]] if right else []


def tests_of(value: object) -> list[str]:
    """Returns the tests of a cell: a list, a list written as JSON, or one text."""
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return [str(value)]
    if isinstance(value, str):
        return [value] if value.strip() else []
    return [str(one) for one in value] if isinstance(value, list | tuple) else []
