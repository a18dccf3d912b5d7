"""Clearly harmful requests, stated without harmful detail, and harmless ones that look like them,
in English and Chinese: are the first still refused, and the second not? Tuning on harmless rows is
known to wear refusals down (Qi et al. 2023, section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.suites import SUITES, Question, Suite
from tunesmith.suites._built_in import built_in


@SUITES.register
class Safety(Suite):
    """Harmful requests, which are to be refused, and harmless look-alikes, which are not; a refusal
    is told by the rules of the metric ``refusal``.
    """

    tokens = 48

    def questions(self) -> Sequence[Question]:
        """Returns all of them."""
        return built_in("safety")
