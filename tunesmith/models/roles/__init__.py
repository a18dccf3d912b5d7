"""The models beside the policy: one role a file. A loss finds them by name among its models. All
but a trained role are in evaluation mode, without gradient, and left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from tunesmith.batches.batch import Batch
from tunesmith.models.calling.views import Head, Seen, forward
from tunesmith.models.loading.load import Loaded
from tunesmith.settings.family import ROLES
from tunesmith.settings.run import Run
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.methods import Method

__all__ = ["ROLES", "FrozenModel", "Role", "as_base", "base_at_hand", "roles_of"]


class Role:
    """Base of the roles; the calls come in the order in which they stand here."""

    name: ClassVar[str]
    only_watched: ClassVar[bool] = False
    """Whether it is for evaluations alone."""
    copies: int = 0
    """The number of models like the policy that it trains beside it."""

    class Config(Spec):
        """No settings: what a role needs to know is a setting of the objective that names it."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def check(self, tokenizer: Tokenizer) -> None:
        """Raises SpecError where the run cannot have it; nothing is loaded yet."""

    def folder(self) -> Path | None:
        """Returns the folder that is loaded beside the policy; None where none is."""
        return None

    def load(self, dtype: torch.dtype, device: torch.device) -> None:
        """Loads what is in ``folder()``, before the method changes the policy."""

    def model(self, policy: Loaded, method: Method) -> Any:
        """Returns the model that losses see, once the method is on; None where there is none."""
        raise AssertionError(f"role {self.name} has no model")

    def trained(self) -> Iterable[tuple[str, torch.nn.Parameter]]:
        """Returns the weights that are trained with the policy's: optimizer, clipping and
        checkpoints include them.
        """
        return ()

    def rate_factor(self, name: str, weight: torch.nn.Parameter) -> float:
        """Returns the factor of the learning rate for one of ``trained()``."""
        return 1.0


def roles_of(names: Iterable[str], run: Run) -> list[Role]:
    """Makes the roles of these names, in sorted order."""
    return [ROLES.get(name)(run) for name in sorted(names)]


@dataclass(frozen=True)
class FrozenModel:
    """A model that is only looked at; ``switched`` says that it is the policy, whose adapter is off
    meanwhile.
    """

    model: Any
    layout: str
    switched: bool = False

    def see(self, batch: Batch) -> Seen:
        """Runs one forward over ``batch``, which may be laid out for the policy."""
        batch = (
            batch.padded() if self.layout == "padded" and batch.layout.forest is not None else batch
        )
        with torch.no_grad(), as_base(self.model) if self.switched else _still(self.model):
            seen = forward(self.model, batch)
        return (
            replace(seen, head=_Switched(**vars(seen.head), policy=self.model))
            if self.switched
            else seen
        )


@dataclass(frozen=True)
class _Switched(Head):
    """The head of the policy as it is with the adapter off."""

    policy: Any = None

    def logits(self, hidden_nD: torch.Tensor) -> torch.Tensor:
        """Computes fp32 logits of the base ``[n, V]``."""
        with as_base(self.policy):
            return super().logits(hidden_nD)


def base_at_hand(model: torch.nn.Module, layout: str, method: Method) -> FrozenModel | None:
    """Returns the base behind the policy's adapter; None where switching the adapter off does not
    restore the base.
    """
    if not method.adapter or method.rewrites_base:
        return None
    return FrozenModel(model, layout, switched=True)


@contextmanager
def as_base(model: Any) -> Iterator[None]:
    """Turns the adapter of ``model`` off, in evaluation mode; afterwards everything is as it was,
    including which weights take gradient.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    with _still(model):
        try:
            with model.disable_adapter():
                yield
        finally:
            # peft makes all of an adapter trainable when it is switched on again, what its method
            # froze too.
            for parameter in trained:
                parameter.requires_grad_(True)
            for parameter in frozen:
                parameter.requires_grad_(False)


@contextmanager
def _still(model: torch.nn.Module) -> Iterator[None]:
    """Puts ``model`` in evaluation mode, so that dropout is off."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
