"""Which weights are trained: one method a file; peft inside where peft has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.spec import METHODS, Spec

if TYPE_CHECKING:
    import torch

    from tunesmith.batch import Batch

__all__ = ["METHODS", "Method"]


class Method:
    """Base of the methods. What one cannot do is stated as data."""

    name: ClassVar[str]
    learning_rate: ClassVar[float]
    """Its own default; a single one for all methods is badly wrong."""
    source: ClassVar[str] = ""
    """Where that learning rate comes from."""
    merges: ClassVar[bool] = True
    """Whether it folds into the base's weights."""
    layouts: ClassVar[frozenset[str]] = frozenset({"forest", "padded"})
    rewrites_base: ClassVar[bool] = False
    """Whether switching it off does not give the base back."""
    adapter: ClassVar[bool] = True
    """Whether it is saved as an adapter in peft's format beside its base; otherwise as a whole model."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model made trainable; frozen weights have ``requires_grad`` off, trainable ones are fp32."""
        raise AssertionError(f"method {self.name} has no apply")

    def after_step(self, step: int) -> None:
        """Once after each optimizer step."""

    def penalty(self, batch: Batch) -> Any:
        """A term added to the loss sum of ``batch``; 0 for most methods."""
        return 0.0

    def state(self) -> dict[str, torch.Tensor]:
        """Every tensor that the next step reads and the weights do not hold."""
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores ``state()``."""
