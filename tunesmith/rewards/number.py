"""The right number, however it is written: the last one of the answer, as GSM8K is scored (Cobbe et
al. 2021).
"""

from __future__ import annotations

import math
import re
from typing import Annotated

from annotated_types import Ge

from tunesmith.examples import final
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec

_BOXED = re.compile(r"\\boxed\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+(?:\.\d+)?)?(?:[eE][-+]?\d+)?\s*%?"
)
_WIDE = str.maketrans("０１２３４５６７８９．，－＋％／−", "0123456789.,-+%/-")


@REWARDS.register
class Number(AnswerReward):
    """1 where the last number of the answer is the right one, else 0."""

    class Config(Spec):
        """Which number is right, and how nearly."""

        column: str = "answer"
        """The column whose last number is the right one (``… #### 72``)."""
        tolerance: Annotated[float, Ge(0)] = 1e-6
        """Largest difference, as a share of the right number."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The right answer's."""
        return (self.config.column,)

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """1 or 0; None where the row itself holds no number."""
        wanted, written = number_in(str(row[self.config.column])), number_in(final(completion))
        if wanted is None:
            return None
        near = self.config.tolerance
        return float(
            written is not None and math.isclose(written, wanted, rel_tol=near, abs_tol=1e-9)
        )


def number_in(text: str) -> float | None:
    """The last number of a text, one in ``\\boxed{}`` before others; 1,000 and 3/4 and 50% are one
    number each.
    """
    text = text.translate(_WIDE)
    boxed = _BOXED.findall(text)
    text = _FRACTION.sub(r"\1/\2", boxed[-1] if boxed else text)
    found = _NUMBER.findall(text)
    if not found:
        return None
    whole = found[-1].replace(",", "").replace(" ", "")
    share = 0.01 if whole.endswith("%") else 1.0
    above, slash, below = whole.removesuffix("%").partition("/")
    if slash and float(below) == 0:
        return None
    return share * float(above) / (float(below) if slash else 1.0)
