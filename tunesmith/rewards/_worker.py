"""The process that rewards run in: a line of JSON in with answers and the reward that is asked, one
out with what it said of each. It may be killed at any time.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Sequence
from numbers import Real

from tunesmith.errors import FAULTS, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.rewards import REWARDS, AnswerReward, Asked

RAISED = (*FAULTS, OSError, AssertionError, MemoryError, StopIteration)
"""What a reward may raise; anything else ends this process, which is noticed too."""


def serve() -> None:
    """Serves answers until nobody asks any more."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # What a user's function prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Loading a reward model, it warns of a kernel for CPUs that we do not use.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    begun = json.loads(sys.stdin.readline())
    configs = [REWARDS.config(config) for config in begun["configs"]]
    rewards: list[AnswerReward] = [REWARDS.make(config) for config in configs]

    def tell(value: object) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    tell([ready(reward, load=begun["load"]) for reward in rewards])
    for line in sys.stdin:
        asked = json.loads(line)
        tell(said(rewards[asked["reward"]], [Asked(**answer) for answer in asked["answers"]]))


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent: a killed run cannot end a reward that hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def ready(reward: AnswerReward, *, load: bool) -> str | None:
    """Returns what is wrong with a reward before it is asked anything; None where nothing is."""
    try:
        reward.load() if load else reward.check()
    except TunesmithError as error:
        return str(error)
    except RAISED as error:
        return repr(error)
    return None


def said(reward: AnswerReward, answers: Sequence[Asked]) -> list[JsonObject]:
    """Returns for each answer ``{"value": number or None}``, or ``{"fault": kind, "told": what was
    found}``.
    """
    try:
        return [_value(reward_given) for reward_given in reward.rewards(answers)]
    except KeyError as error:
        fault = {"fault": "column", "told": str(error)}
    except (*RAISED, TunesmithError) as error:
        fault = {"fault": "raised", "told": repr(error)}
    return [fault] * len(answers)


def _value(value: object) -> JsonObject:
    if value is None:
        return {"value": None}
    if not isinstance(value, Real):
        return {"fault": "type", "told": repr(value)[:80]}
    if not math.isfinite(value):
        return {"fault": "number", "told": str(value)}
    return {"value": float(value)}


if __name__ == "__main__":
    serve()
