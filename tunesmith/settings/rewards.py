"""The field type for rewards: by name, with settings, or a function of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from tunesmith.settings.family import REWARDS, choice


def _listed(value: object) -> Any:
    """Turns one reward into a list, and ``./my_reward.py:function`` into the reward that
    calls it.
    """
    many = (value,) if isinstance(value, str | Mapping) else value
    if not isinstance(many, list | tuple):
        return many
    return tuple(
        {"name": "function", "path": reward}
        if isinstance(reward, str) and ".py:" in reward
        else reward
        for reward in many
    )


Rewards = Annotated[tuple[choice(REWARDS), ...], BeforeValidator(_listed)]  # type: ignore[valid-type]
"""Several rewards in their order: one or a list of them."""
