"""Code that an answer holds passes the row's tests, which run it (HumanEval: Chen et al. 2021)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt

from tunesmith.metrics import METRICS, Metric
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec


@METRICS.register
class Code(Metric):
    """The mean share of a row's tests that the answer's Python code passes, in a process with
    limits.
    """

    reads = "grade"

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
        """CPU seconds for an answer and its tests; twice as many on the clock."""
        mebibytes: Annotated[int, Gt(0)] = 512
        """Memory of the process (MiB)."""

    def reward(self) -> JsonObject:
        """Returns the reward that runs the code."""
        how = self.config.values("run_code", "column", "seconds", "mebibytes")
        return {"name": self.name, **how}
