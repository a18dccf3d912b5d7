"""Advantages against trl 1.16, from the rewards of two functions with weights, some of which
abstained.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.batches.rollout import Group, Sampled
from tunesmith.objectives import grpo
from tunesmith.rollout.rewarding import Rewarding
from tunesmith.settings.family import OBJECTIVES, REWARDS

pytestmark = pytest.mark.filterwarnings("ignore")
NONE = float("nan")
# Two prompts with four answers: one has no reward at all, one has only one of two, one group is
# equal but for that.
REWARDED = [[0.5, 1.0], [0.1, NONE], [NONE, NONE], [0.9, -2.0]]
REWARDED += [[0.2, 0.1], [0.2, 0.1], [0.2, 0.1], [0.7, 0.3]]
WEIGHTS = (1.0, 0.5)
LENGTHS = (2, 3, 1, 4, 2, 2, 3, 1)
PRICE = 0.4


@pytest.fixture
def logprobs() -> tuple[torch.Tensor, torch.Tensor]:
    """Of the policy and of the base, [B, T]."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(LENGTHS), max(LENGTHS))
    policy = torch.randn(shape, generator=generator, dtype=torch.float64) - 2
    return policy, policy + 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)


def theirs(
    module: Any, trainer: Any, generated: int, monkeypatch: pytest.MonkeyPatch, **how: Any
) -> list[float]:
    """The advantages that a trainer of trl computes, with its model and its rewards replaced."""
    for name in ("gather", "gather_object"):
        monkeypatch.setattr(module, name, lambda value: value)
    monkeypatch.setattr(module, "disable_gradient_checkpointing", lambda *_: nullcontext())
    monkeypatch.setattr(module, "use_adapter", lambda *_, **__: nullcontext(), raising=False)
    asked = [{"prompt": "q"} for _ in LENGTHS]
    ids = [[1] * length for length in LENGTHS]
    parts: list[Any] = [[[1, 2]] * len(LENGTHS), ids]
    parts += [["a"] * len(LENGTHS)] if generated == 3 else [None, ["a"] * len(LENGTHS)]
    parts += [None] * (generated - len(parts))
    one = SimpleNamespace(
        device=torch.device("cpu"),
        process_index=0,
        gather=lambda value: value,
        reduce=lambda value, reduction="sum": value,
    )
    settings = {"steps_per_generation": 1, "gradient_accumulation_steps": 1}
    settings |= {"per_device_train_batch_size": len(LENGTHS), "gradient_checkpointing_kwargs": None}
    policy, base = how.pop("logprobs", (None, None))
    me: Any = SimpleNamespace(
        accelerator=one,
        args=SimpleNamespace(**settings),
        model=SimpleNamespace(training=True),
        ref_model=SimpleNamespace(),
        environment_factories=None,
        environments=None,
        tools=None,
        _tokenizer=SimpleNamespace(pad_token_id=0),
        pad_to_multiple_of=None,
        mask_truncated_completions=False,
        num_iterations=1,
        use_vllm=False,
        vllm_importance_sampling_correction=False,
        num_generations=4,
        reward_weights=torch.tensor(WEIGHTS, dtype=torch.float64),
        reward_func_names=["one", "other"],
        reward_clip_range=None,
        normalize_advantages=False,
        multi_objective_aggregation="sum_then_normalize",
        _metrics=defaultdict(lambda: defaultdict(list)),
        _logs={name: defaultdict(list) if name == "rewards" else [] for name in LOGS},
        _pending_extra_logs={},
        _pending_metrics={},
        log_multimodal=False,
        _generate=lambda *_: tuple(parts),
        _calculate_rewards=lambda *_: torch.tensor(REWARDED, dtype=torch.float64),
        **{"beta": 0.0, "scale_rewards": "group", **how},
    )
    me._get_per_token_logps_and_entropies = lambda model, *_, **__: (
        base if model is me.ref_model else policy,
        None,
        None,
    )
    return trainer._generate_and_score_completions(me, asked)["advantages"].tolist()


LOGS = ("prompt", "completion", "rewards", "advantages", "extra")


def ours(kl: str, advantage: str, logprobs: Any, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The advantages of all answers, 0 where one is left out, as trl has it."""
    rewards = [REWARDS.config({"name": "length", "target": 3}), REWARDS.config("repetition")]
    sums = Rewarding(rewards, WEIGHTS, 1.0).sums(np.array(REWARDED))
    price = {"kl_weight": PRICE} if kl == "reward" else {}
    given = {"name": "grpo", "kl": kl, "advantage": advantage, **price}
    made: Any = OBJECTIVES.make(OBJECTIVES.config(given))
    made.sampled(SimpleNamespace(samples=4, temperature=1.0, max_new_tokens=4, passes=1))
    policy, base = (table.numpy() for table in logprobs)
    rows = [list(range(4)), list(range(4, 8))]
    groups, known = [], []
    for place, own in enumerate(rows):
        drawn = [policy[row, : LENGTHS[row]] for row in own]
        answers = [Sampled(np.arange(len(one)), one, one * 0, True) for one in drawn]
        groups.append(Group(f"row:{place}", np.arange(2), answers, sums[own]))
        known.append({"reference": [base[row, : LENGTHS[row]] for row in own]})
    monkeypatch.setattr(grpo, "looked_up", lambda *_, **__: known)
    found: list[float] = []
    taken = grpo.advantages

    def kept(rewards_G: Any, kind: Any) -> Any:
        told = taken(rewards_G, kind)
        found.extend(np.nan_to_num(np.concatenate(told)).tolist())
        return told

    monkeypatch.setattr(grpo, "advantages", kept)
    made.experience(groups, None, {})
    return np.array(found)


@pytest.mark.parametrize(
    ("advantage", "scale"), [("group_std", "group"), ("group", "none"), ("batch_std", "batch")]
)
def test_advantages_of_groups_are_trls(
    advantage: str, scale: str, logprobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl.trainer import grpo_trainer

    found = ours("none", advantage, logprobs, monkeypatch)
    how = {"scale_rewards": scale}
    wanted = theirs(grpo_trainer, grpo_trainer.GRPOTrainer, 8, monkeypatch, **how)
    # Its standard deviation counts in fp32.
    assert found == pytest.approx(wanted, abs=1e-12 if scale == "none" else 1e-7)
    assert found[2] == 0 and np.abs(found).max() > 0.1


@pytest.mark.parametrize("kl", ["none", "reward"])
def test_advantages_left_one_out_are_trls(
    kl: str, logprobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl.trainer import rloo_trainer

    found = ours(kl, "leave_one_out", logprobs, monkeypatch)
    how = {"logprobs": logprobs, "beta": PRICE if kl == "reward" else 0.0}
    wanted = theirs(rloo_trainer, rloo_trainer.RLOOTrainer, 3, monkeypatch, **how)
    assert found == pytest.approx(wanted, abs=1e-12)
    assert found[2] == 0 and np.abs(found).max() > 0.1
