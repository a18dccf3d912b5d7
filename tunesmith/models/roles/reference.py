"""The reference of preference objectives: the base as it was.

In training it costs no memory: its log-probabilities are taken from the base before the method
touches it (``training/reference.py``). An evaluation has it where the adapter can be switched off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.models.loading.load import Loaded
from tunesmith.models.roles import ROLES, FrozenModel, Role, base_at_hand

if TYPE_CHECKING:
    from tunesmith.methods import Method


@ROLES.register
class Reference(Role):
    """The policy without its adapter."""

    only_watched = True

    def model(self, policy: Loaded, method: Method) -> FrozenModel | None:
        """Returns the base behind the adapter; None where it is not available so."""
        return base_at_hand(policy.model, policy.layout, method)
