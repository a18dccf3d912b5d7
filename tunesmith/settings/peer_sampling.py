"""Peers' settings of a training on sampled answers: what they keep among those of generation, or
call after a trainer, is the source's here.
"""

from __future__ import annotations

from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.peer_translation import Translation
from tunesmith.words import say

MOVED = {
    "generate.max_new_tokens": "source.max_new_tokens",
    "generate.temperature": "source.temperature",
}
BENT = ("generate.top_p", "generate.repetition_penalty", "generate.stop")


def settle_sampling(found: Translation) -> None:
    """Moves and drops what means something else where answers are sampled; refuses one without a
    reward, whose default here would be another training.
    """
    objective = str(found.pairs.get("objective", "sft"))
    if objective not in OBJECTIVES.names() or not OBJECTIVES.get(objective).samples:
        if found.pairs.pop("source.rewards", None) is not None:
            found.refuse("reward_model", say("peers.nothing_rewards"))
        for path in [path for path in found.pairs if path.startswith("source.")]:
            del found.pairs[path]
            found.left[path] = say("peers.no_setting", name=path)
        return
    for path in BENT:
        if found.pairs.pop(path, None) is not None:
            found.left[path] = say("rollout.bends", name=path.partition(".")[2])
    for path, here in MOVED.items():
        if path in found.pairs:
            found.pairs.setdefault(here, found.pairs.pop(path))
    price = found.pairs.pop("objective.beta", None)
    if price and objective == "grpo":
        found.pairs |= {"objective.kl": "loss", "objective.kl_weight": price}
    elif price:
        found.pairs["objective.kl_weight"] = price
    if "source.rewards" not in found.pairs and not found.other:
        found.refuse("objective", say("peers.no_reward", objective=objective))
