"""What a loss is given: the policy and the models beside it, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from tunesmith.batches.batch import Batch
    from tunesmith.models.calling.views import Seen


class RoleModel(Protocol):
    """A model beside the policy, such as a teacher."""

    def see(self, batch: Batch) -> Seen:
        """Runs one forward over ``batch``, which may be laid out for the policy."""
        ...


class ValueModel(Protocol):
    """What says how much is to be expected from a token on."""

    def of(self, seen: Seen, batch: Batch) -> torch.Tensor:
        """Computes the values ``[N]`` of the scored tokens; ``seen`` is the policy's forward."""
        ...

    def modules(self) -> list[torch.nn.Module]:
        """Returns the models whose dropout is to be off."""
        ...


LossModel = torch.nn.Module | RoleModel
Models = Mapping[str, LossModel]
"""``policy`` is the model that is trained; the roles of an objective stand beside it."""


def policy_of(models: Models) -> torch.nn.Module:
    """Returns the trained model as a torch module."""
    policy = models["policy"]
    assert isinstance(policy, torch.nn.Module), "a policy is called by the views"
    return policy


def value_of(models: Models) -> ValueModel:
    """Returns what says how much a token is worth."""
    value: Any = models["value"]
    return value
