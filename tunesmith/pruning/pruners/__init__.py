"""What is taken out of a model, one way a file: how its parts are ranked on training rows, and
which go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tunesmith.errors import Problem
from tunesmith.settings.family import PRUNERS
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.batches.batch import Tokens
    from tunesmith.models.loading.load import Loaded

__all__ = ["PRUNERS", "Pattern", "Pruner", "refused_blocks"]

Pattern = Literal["2:4"]


class Pruner:
    """Base of the ways to prune. All change the model that they are given."""

    name: ClassVar[str]
    share: ClassVar[float] = 0.5
    """What goes where nothing is said."""
    structured: ClassVar[bool] = False
    """Whether tensors shrink; otherwise weights become zero, which makes nothing smaller or faster
    by itself.
    """

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def tokens(self) -> int:
        """Tokens of training rows that it looks at, at most; 0 where it looks at none."""
        return 0

    def refused(self, model: Any, share: float) -> list[Problem]:
        """Returns what keeps a model, which has no weights yet, from this way."""
        return []

    def prune(self, loaded: Loaded, rows: list[Tokens], share: float) -> list[str]:
        """Takes ``share`` of its parts out of the model in fp32, ranked on ``rows``; returns what
        went, in words.
        """
        raise AssertionError(f"pruner {self.name} takes nothing out")


def refused_blocks(model: Any) -> list[Problem]:
    """Returns a problem where the blocks are not one list."""
    from tunesmith.export.rounding.walk import block_list

    if block_list(model) is not None:
        return []
    return [Problem("prune.how", say("prune.no_blocks", kind=model.config.model_type))]
