"""A general probe of 200 questions in English and Chinese: facts, arithmetic, instructions, format,
refusal.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.suites import SUITES, Question, Suite
from tunesmith.suites._built_in import built_in


@SUITES.register
class Probe(Suite):
    """200 questions, English and Chinese: facts, arithmetic, instructions, format, refusal."""

    tokens = 48

    def questions(self) -> Sequence[Question]:
        """Returns all of them."""
        return built_in("probe")
