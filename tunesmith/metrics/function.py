"""A metric of the user's own, written as a Python function."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from annotated_types import Gt
from pydantic import BeforeValidator

from tunesmith.metrics import METRICS, Metric
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec


def _whole(path: object) -> str:
    """Writes the place as a whole path, so that it is found from anywhere."""
    file, colon, name = str(path).rpartition(":")
    return f"{os.path.abspath(file)}:{name}" if colon else str(path)


@METRICS.register
class OwnFunction(Metric):
    """The mean of what a function of yours gives: ``def polite(prediction, reference, row): return
    1.0``.
    """

    reads = "grade"

    class Config(Spec):
        """Where it stands."""

        path: Annotated[str, BeforeValidator(_whole)]
        """File and function, ``./metric.py:polite``; it gets prediction and reference as texts and
        the row as a dict, and returns a number of which more is better, or None where it has no
        opinion.
        """
        seconds: Annotated[float, Gt(0)] = 60
        """The longest that one answer may take."""

    @property
    def key(self) -> str:
        """File and function, without the folder."""
        return Path(self.config.path).name

    def reward(self) -> JsonObject:
        """Returns the reward that calls the function."""
        path = self.config.path
        return {"name": "function", "path": path, "gets": "prediction, reference, row"}
