"""Code that an answer holds passes the row's tests, which run it (HumanEval: Chen et al. 2021)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt

from tunesmith.metrics import METRICS, Metric
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec, Word


@METRICS.register
class Code(Metric):
    """The mean share of a row's tests that the answer's Python code passes, in a process with
    limits.
    """

    reads = "grade"

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
        """CPU seconds for an answer and its tests; twice as many on the clock."""
        mebibytes: Annotated[int, Gt(0)] = 512
        """Memory of the process (MiB)."""

    @property
    def patience(self) -> float:
        """The seconds on the clock, and those that a process takes to begin and end: the code is
        ended within it.
        """
        return 2.0 * self.config.seconds + 10

    @property
    def facts(self) -> JsonObject:
        """Whether the code ran apart from the machine: where it could not, it did not run."""
        return {"apart": self.config.apart}

    def reward(self) -> JsonObject:
        """Returns the reward that runs the code."""
        settings = self.config.values("run_code", "apart", "column", "seconds", "mebibytes")
        return {"name": self.name, **settings}
