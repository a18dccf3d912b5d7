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


def settle_sampling(translation: Translation) -> None:
    """Moves and drops what means something else where answers are sampled; refuses one without a
    reward, whose default here would be another training.
    """
    objective = str(translation.pairs.get("objective", "sft"))
    if objective not in OBJECTIVES.names() or not OBJECTIVES.get(objective).samples:
        if translation.pairs.pop("source.rewards", None) is not None:
            translation.refuse("reward_model", say("peers.nothing_rewards"))
        for path in [path for path in translation.pairs if path.startswith("source.")]:
            del translation.pairs[path]
            translation.left[path] = say("peers.no_setting", name=path)
        return
    for path in BENT:
        if translation.pairs.pop(path, None) is not None:
            translation.left[path] = say("rollout.bends", name=path.partition(".")[2])
    for path, here in MOVED.items():
        if path in translation.pairs:
            translation.pairs.setdefault(here, translation.pairs.pop(path))
    price = translation.pairs.pop("objective.beta", None)
    if price and objective == "grpo":
        translation.pairs |= {"objective.kl": "loss", "objective.kl_weight": price}
    elif price:
        translation.pairs["objective.kl_weight"] = price
    if "source.rewards" not in translation.pairs and not translation.other:
        translation.refuse("objective", say("peers.no_reward", objective=objective))
