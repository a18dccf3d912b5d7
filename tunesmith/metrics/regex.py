"""Answers have a form that is written as a regular expression."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt

from tunesmith.metrics import METRICS, Metric
from tunesmith.plain import JsonObject
from tunesmith.settings.pattern import Pattern
from tunesmith.settings.spec import Spec


@METRICS.register
class Regex(Metric):
    """The share of answers that match a regular expression as a whole."""

    reads, right_or_wrong = "grade", True

    class Config(Spec):
        """The form."""

        pattern: Pattern
        """Regular expression for the whole answer, white space around it aside; a dot takes line
        ends too: ``\\d{4}-\\d{2}-\\d{2}``.
        """
        seconds: Annotated[float, Gt(0)] = 3
        """The longest that one answer may take: some expressions never end on some texts."""

    def reward(self) -> JsonObject:
        """Returns the reward that matches."""
        return {"name": "format", "pattern": self.config.pattern}
