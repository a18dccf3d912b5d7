"""The process that rewards run in: a line of JSON in for each answer, one out for each reward of
it. It may be killed at any time.
"""

from __future__ import annotations

import json
import math
import os
import sys
from numbers import Real
from typing import Any

from tunesmith.errors import FAULTS, SpecError
from tunesmith.rewards import REWARDS, AnswerReward

RAISED = (*FAULTS, OSError, AssertionError, MemoryError, StopIteration)
"""What a reward may raise; anything else ends this process, which is noticed too."""


def serve() -> None:
    """Answers until nobody asks any more."""
    # What a user's function prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    configs = json.loads(sys.stdin.readline())
    rewards: list[AnswerReward] = [REWARDS.make(REWARDS.config(config)) for config in configs]

    def tell(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    tell([loaded(reward) for reward in rewards])
    for line in sys.stdin:
        asked = json.loads(line)
        for place in asked["rewards"]:
            tell(value_of(rewards[place], asked["prompt"], asked["completion"], asked["row"]))


def loaded(reward: AnswerReward) -> str | None:
    """What is wrong with a reward before it is asked anything; None where nothing is."""
    try:
        reward.load()
    except SpecError as error:
        return str(error)
    except RAISED as error:
        return repr(error)
    return None


def value_of(reward: AnswerReward, prompt: str, completion: str, row: Any) -> dict[str, Any]:
    """``{"value": number or None}``, or ``{"fault": kind, "told": what was found}``."""
    try:
        value = reward.reward(prompt, completion, row)
    except KeyError as error:
        return {"fault": "column", "told": str(error)}
    except RAISED as error:
        return {"fault": "raised", "told": repr(error)}
    if value is None:
        return {"value": None}
    if not isinstance(value, Real):
        return {"fault": "type", "told": repr(value)[:80]}
    if not math.isfinite(value):
        return {"fault": "number", "told": str(value)}
    return {"value": float(value)}


if __name__ == "__main__":
    serve()
