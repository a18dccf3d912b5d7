"""reward.py for another toolkit: our rewards of the run behind the function that each calls.

It imports tunesmith, which must be installed there, without its dependencies where they clash.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tunesmith.settings.run import Run

TEXT = '''"""What an answer is worth: the rewards of a tunesmith run, for verl (compute_score),
OpenRLHF (reward_func) and ms-swift (the plug-in "tunesmith").
It needs tunesmith: pip install --no-deps tunesmith
"""

import json
import math

CONFIGS = json.loads({configs!r})
WEIGHTS = {weights!r}
ENDS = {ends!r}
_made = []


def reward(prompt, completion, row, turns=()):
    """Returns the weighted sum of the rewards; None where all of them abstain."""
    from tunesmith.rewards import REWARDS, Asked

    if not _made:
        _made.extend(REWARDS.make(REWARDS.config(one)) for one in CONFIGS)
    for end in ENDS:
        completion = completion.removesuffix(end)
    asked = [Asked("row", prompt, completion, row, turns)]
    said = [(one.rewards(asked)[0], weight) for one, weight in zip(_made, WEIGHTS)]
    known = [value * weight for value, weight in said if value is not None]
    return math.fsum(known) if known else None


def _of(told, completion):
    told = json.loads(told)
    return reward(told["row"].get("question", ""), completion, told["row"], told["turns"])


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """verl's form; it has no abstaining, which counts 0 there."""
    found = _of(extra_info["tunesmith"], solution_str)
    return 0.0 if found is None else found


def reward_func(queries, prompts, labels, **kwargs):
    """OpenRLHF's form: queries hold prompt and answer; abstaining counts 0 there."""
    import torch

    found = [
        _of(label, query[len(prompt) :]) for query, prompt, label in zip(queries, prompts, labels)
    ]
    values = torch.tensor([0.0 if one is None else one for one in found])
    return {{"rewards": values, "scores": values, "extra_logs": {{}}}}


try:
    from swift.rewards import ORM, orms
except ImportError:
    try:
        from swift.plugin import ORM, orms  # before ms-swift 4
    except ImportError:
        ORM, orms = object, None


class Tunesmith(ORM):
    """ms-swift's form."""

    def __call__(self, completions, tunesmith, **kwargs):
        return [_of(told, text) for told, text in zip(tunesmith, completions)]


if orms is not None:
    orms["tunesmith"] = Tunesmith
'''


def reward_file(run: Run, ends: Sequence[str]) -> str:
    """Returns the text of reward.py; ``ends`` are texts of stop tokens that may end an answer."""
    source = run.source
    configs = [reward.model_dump(mode="json") for reward in source.rewards]
    weights = list(source.weights) or [1.0] * len(configs)
    plain = json.dumps(configs, ensure_ascii=False)
    return TEXT.format(configs=plain, weights=weights, ends=list(ends))
