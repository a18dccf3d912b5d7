"""PPO: verl's numbers on fixed tensors, GAE by hand and by closed forms, what the distance costs, and
a value head that learns what is to be expected.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.batches.batch import Batch, Loss
from tunesmith.batches.rollout import Group, Sampled
from tunesmith.errors import SpecError
from tunesmith.models.roles.value import ValueHead
from tunesmith.objectives import ppo
from tunesmith.objectives._advantages import gae, whitened
from tunesmith.settings.family import OBJECTIVES

ANYHOW: Any = None
LENGTHS = (3, 5, 1, 4)
# Made with verl 0.9.1: compute_gae_advantage_return, compute_value_loss and
# compute_policy_loss_vanilla of trainer/ppo/core_algos.py in fp64, over four answers of these lengths.
REWARDS = [
    *(-2.3104, -0.3733, -1.0608, 0.2103, 0.1772, -0.8305, 0.2387, 0.7335, -1.3219),
    *(-0.891, 0.6749, 1.0469, 0.1543),
]
VALUES = [
    *(-1.2655, -1.1195, 1.1665, 0.9736, -0.0744, 0.8654, 0.9946, 0.1149, 0.1447),
    *(-1.0017, 0.8351, -0.2929, -0.5787),
]
ADVANTAGES = {
    (1.0, 0.95): [
        *(-1.7034935793650072, -0.06442824157237839, -1.6044504665696544, -0.25613511379785997),
        *(0.3965514033263162, -0.4819316742632345, 0.04962789379788708, 0.5608699406898691),
        *(-1.0256672226741137, 1.483106391347216, 0.7989246986653217, 1.1991140896865486),
        0.6479118798270451,
    ],
    (0.9, 0.8): [
        *(-1.4848049989488132, 0.3162642090308686, -1.7527640934322584, -0.3448274998528039),
        *(0.4480824229307184, -0.6604616511566551, -0.02533280885965771, 0.6807037938211767),
        *(-1.1023058827313594, 1.2251251159178709, 0.6184845202222227, 1.3033120979590043),
        0.7785247735821635,
    ],
}
RETURNS = {
    (1.0, 0.95): [
        *(-3.62297325, -1.322735, -1.0608, 0.51840294125, 0.328234675, 0.1134365, 0.94127),
        *(0.7335, -1.3219, 0.829003625, 1.7665775, 1.16455, 0.1543),
    ],
    (0.9, 0.8): [
        *(-3.17942632, -0.927106, -1.0608, 0.392858301696, 0.2721531968, -0.08447056, 0.787502),
        *(0.7335, -1.3219, 0.253591632, 1.3809356, 1.05383, 0.1543),
    ],
}
MOVED = [
    *(-1.2, -1.7982, 1.1123, 1.1114, -0.4181, 0.5778, 0.6987, 0.4247, -0.5989, -1.1201),
    *(0.9387, -0.3515, -0.5874),
]
TARGETS = [
    *(-3.1794, -0.9271, -1.0608, 0.3929, 0.2722, -0.0845, 0.7875, 0.7335, -1.3219, 0.2536),
    *(1.3809, 1.0538, 0.1543),
]
VALUE_LOSS, VALUE_CLIPPED = 0.6672798461538462, 3 / 13
OLD = [
    *(-4.0245, -2.683, -1.5687, -1.9866, -3.5406, -2.4819, -1.2377, -1.7832, -2.4789, -2.1399),
    *(-1.214, -4.0569, -2.6711),
]
NEW = [
    *(-3.9497, -3.202, -2.112, -0.8775, -5.9779, -2.9605, -1.2686, -2.0138, -2.69, -2.4774),
    *(-1.0534, -4.9668, -2.9286),
]
BETTER = [
    *(-0.2069, 1.1507, -0.5612, -0.3602, 0.3173, 0.5236, 1.2436, -0.344, -0.2698, 1.8028),
    *(-0.1242, 1.5748, 0.968),
]
POLICY_LOSS = -0.22150102683739176
SLOPES = [
    *(0.017151510187065684, -0.05267686550117668, 0.0, 0.0, -0.002133146972257963),
    *(-0.02495760727619498, -0.09275079943753951, 0.0, 0.016804245894814822),
    *(-0.09895319230776023, 0.011218271265195845, -0.04876604159173476, -0.057557401097803995),
]
CLIPPED = 3 / 13


def cut(values: list[float]) -> list[np.ndarray]:
    return np.split(np.array(values), np.cumsum(LENGTHS)[:-1])


def objective(*, passes: int = 2, most: int = 6, **settings: Any) -> Any:
    made = OBJECTIVES.make(OBJECTIVES.config({"name": "ppo", **settings}))
    made.sampled(SimpleNamespace(samples=1, temperature=1.0, max_new_tokens=most, passes=passes))
    return made


def answer(length: int, *, stopped: bool = True, logprob: float = -1.0) -> Sampled:
    values_T = np.full(length, logprob, np.float32)
    return Sampled(np.arange(5, 5 + length), values_T, values_T * 0, stopped)


def group(rewards: list[float], answers: list[Sampled]) -> Group:
    return Group("rows:1", np.arange(4), answers, np.array(rewards, float))


@pytest.mark.parametrize("how", list(ADVANTAGES), ids=str)
def test_advantages_and_returns_are_verls(how: tuple[float, float]) -> None:
    pairs = list(zip(cut(REWARDS), cut(VALUES), strict=True))
    found = [gae(*pair, discount=how[0], trace=how[1]) for pair in pairs]
    returns = [one + values for one, (_, values) in zip(found, pairs, strict=True)]
    assert np.concatenate(returns) == pytest.approx(RETURNS[how], abs=1e-12)
    assert np.concatenate(whitened(found)) == pytest.approx(ADVANTAGES[how], abs=1e-7)


def test_advantages_by_hand() -> None:
    rewards, values = np.array([0.0, 0.5, 1.0]), np.array([0.2, 0.1, 0.4])
    # Surprises: 0 + 0.9 * 0.1 - 0.2 = -0.11; 0.5 + 0.9 * 0.4 - 0.1 = 0.76; 1 - 0.4 = 0.6.
    wanted = [-0.11 + 0.45 * (0.76 + 0.45 * 0.6), 0.76 + 0.45 * 0.6, 0.6]
    assert gae(rewards, values, discount=0.9, trace=0.5) == pytest.approx(wanted)


def test_advantages_by_closed_forms() -> None:
    generator = np.random.default_rng(1)
    rewards, values = generator.normal(size=7), generator.normal(size=7)
    later = np.cumsum(rewards[::-1])[::-1]
    assert gae(rewards, values, discount=1, trace=1) == pytest.approx(later - values)
    ahead = np.append(values[1:], 0)
    assert gae(rewards, values, discount=0.9, trace=0) == pytest.approx(
        rewards + 0.9 * ahead - values
    )
    last = np.array([0.0] * 6 + [1.0])
    wanted = [0.95 ** (6 - t) for t in range(7)]
    assert gae(last, values * 0, discount=1, trace=0.95) == pytest.approx(wanted)
    one = gae(np.array([0.3]), np.zeros(1), discount=0.5, trace=0.2)
    assert one == pytest.approx([0.3]), "one token has nothing to look ahead to"


def test_whitened_has_mean_0_and_variance_1() -> None:
    parts = whitened(cut(REWARDS))
    values = np.concatenate(parts)
    assert values.mean() == pytest.approx(0, abs=1e-12) and values.std(ddof=1) == pytest.approx(1)
    assert [len(one) for one in parts] == list(LENGTHS)
    for equal in (np.array([2.0]), np.full(3, 0.1)):
        assert whitened([equal])[0] == pytest.approx(0, abs=1e-9)
    assert whitened([]) == []


def seen(monkeypatch: pytest.MonkeyPatch, new: torch.Tensor, values: torch.Tensor) -> Any:
    """Models whose policy says ``new`` and whose values are ``values``."""
    seen_of_policy = SimpleNamespace(logprobs_N=new)
    monkeypatch.setattr("tunesmith.models.calling.views.see", lambda *_: seen_of_policy)
    return {"policy": ANYHOW, "value": SimpleNamespace(of=lambda *_: values)}


def loss_of(monkeypatch: pytest.MonkeyPatch, made: Any) -> tuple[Loss, torch.Tensor, torch.Tensor]:
    new = torch.tensor(NEW, dtype=torch.float64, requires_grad=True)
    values = torch.tensor(MOVED, dtype=torch.float64, requires_grad=True)
    names = {"advantage": BETTER, "target": TARGETS, "value": VALUES, "old": OLD, "sampled": OLD}
    four = group([0.0] * 4, [answer(length) for length in LENGTHS])
    columns = [
        dict(zip(names, parts, strict=True))
        for parts in zip(*map(cut, names.values()), strict=True)
    ]
    example = [
        ppo.answered(four.prompt_T, one, **own)
        for one, own in zip(four.answers, columns, strict=True)
    ]
    batch = Batch.grow([example], unit=made.unit)
    exact = {"dtype": torch.float64}
    batch.columns |= {f"{name}_N": torch.tensor(one, **exact) for name, one in names.items()}
    loss = made.loss(seen(monkeypatch, new, values), batch)
    (loss.total / batch.units).backward()
    return loss, new, values


def test_losses_and_gradients_are_verls(monkeypatch: pytest.MonkeyPatch) -> None:
    made = objective(high=0.3, cap=2.0, value_weight=0.5, kl_weight=0)
    loss, new, values = loss_of(monkeypatch, made)
    metrics = {name: ratio.value for name, ratio in loss.metrics.items()}
    assert metrics["value_loss"] == pytest.approx(VALUE_LOSS, abs=1e-12)
    assert metrics["loss"] == pytest.approx(POLICY_LOSS + 0.5 * VALUE_LOSS, abs=1e-12)
    assert metrics["value_clipped"] == pytest.approx(VALUE_CLIPPED)
    assert metrics["clipped"] == pytest.approx(CLIPPED)
    assert new.grad is not None and values.grad is not None
    assert new.grad.tolist() == pytest.approx(SLOPES, abs=1e-12)
    # Where the value may move no further it has no gradient; elsewhere half of (V - R) / N.
    held = np.abs(np.array(MOVED) - VALUES) > 0.2
    near = np.clip(np.array(MOVED) - VALUES, -0.2, 0.2) + VALUES - TARGETS
    plain = np.array(MOVED) - TARGETS
    stopped = held & (near**2 >= plain**2)
    wanted = np.where(stopped, 0, 0.5 * plain / 13)
    assert stopped.sum() == 3 and values.grad.tolist() == pytest.approx(wanted, abs=1e-12)


def test_a_value_without_limit_has_the_squared_error(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, _, _ = loss_of(monkeypatch, objective(value_clip=None, kl_weight=0))
    wanted = float(np.mean((np.array(MOVED) - TARGETS) ** 2) / 2)
    assert loss.metrics["value_loss"].value == pytest.approx(wanted, abs=1e-12)


def test_without_a_cap_what_did_worse_is_pushed_all_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, new, _ = loss_of(monkeypatch, objective(kl_weight=0))
    rose = int(np.argmax(np.exp(np.array(NEW) - OLD)))  # 3.03, with an advantage of -0.36
    assert new.grad is not None and SLOPES[rose] == 0
    assert float(new.grad[rose]) == pytest.approx(0.3602 * np.exp(NEW[rose] - OLD[rose]) / 13)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[np.ndarray]]:
    """What is looked up of two answers of 2 and 3 tokens."""
    known = {
        "old": [np.full(2, -1.0), np.full(3, -1.0)],
        "reference": [np.full(2, -1.5), np.full(3, -0.8)],
        "value": [np.array([0.1, 0.2]), np.array([0.0, 0.3, -0.1])],
    }

    def looked_up(*_: Any, wanted: Any) -> list[dict[str, list[np.ndarray]]]:
        return [{name: known[name] for name in wanted}]

    monkeypatch.setattr(ppo, "looked_up", looked_up)
    return known


def test_the_score_comes_last_and_the_distance_at_each_token(looked: dict[str, Any]) -> None:
    made = objective(kl_weight=0.5, trace=0, whiten=False)
    (example,), numbers = made.experience([group([1.0, -1.0], [answer(2), answer(3)])], ANYHOW, {})
    # Rewards: -0.25, 1 - 0.25 and 0.1, 0.1, -1 + 0.1; each and the next value, less the own.
    wanted = [[-0.25 + 0.2 - 0.1, 0.75 - 0.2], [0.1 + 0.3, 0.1 - 0.1 - 0.3, -0.9 + 0.1]]
    for tokens, own in zip(example, wanted, strict=True):
        assert tokens.columns["advantage_T"][4:].tolist() == pytest.approx(own, abs=1e-6)
    assert numbers["kl_sampled"] == pytest.approx((1.0 - 0.6) / 2)
    targets = np.concatenate([t.columns["target_T"][4:] for t in example])
    values = np.concatenate(looked["value"])
    assert numbers["explained_variance"] == pytest.approx(
        1 - np.var(targets - values) / np.var(targets), abs=1e-6
    )


def test_answers_that_count_nothing_change_nothing(looked: dict[str, Any]) -> None:
    made = objective(overlong="masked")
    alone = [group([1.0], [answer(2)])]
    more = [group([1.0, 5.0], [answer(2), answer(3, stopped=False)])]
    (found,), numbers = made.experience(more, ANYHOW, {})
    (wanted,), told = made.experience(alone, ANYHOW, {})
    assert len(found) == 1 and numbers == told
    for name, values in wanted[0].columns.items():
        assert np.array_equal(found[0].columns[name], values)
    silent = [group([np.nan, np.nan], [answer(2), answer(3)])]
    assert made.experience(silent, ANYHOW, {}) == ([], {}), "nothing teaches"


@pytest.mark.parametrize(("distance", "error"), [(12.0, 0.2), (6.6, 0.1), (6.0, 0.0), (0.0, -0.2)])
def test_the_price_follows_the_distance(distance: float, error: float) -> None:
    made = objective(kl_weight=0.15, kl_target=6.0, kl_horizon=100)
    numbers = made._price([distance - 1, distance + 1])
    assert numbers == {"kl_sampled": pytest.approx(distance), "kl_weight": 0.15}
    assert made.kl_weight == pytest.approx(0.15 * (1 + error * 2 / 100))
    other = objective(kl_weight=0.15, kl_target=6.0, kl_horizon=100)
    other.load_state(made.state())
    assert other.kl_weight == made.kl_weight
    fixed = objective(kl_weight=0.15)
    assert fixed._price([distance]) == {"kl_sampled": distance} and fixed.kl_weight == 0.15


def test_a_value_head_begins_at_nothing_and_learns_in_fp32() -> None:
    head = ValueHead(8)
    hidden_ND = torch.randn(5, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values_N = head(hidden_ND)
    assert values_N.shape == (5,) and values_N.dtype == torch.float32 and not values_N.any()


@pytest.mark.parametrize(
    "settings",
    [
        {"kl_target": 6.0, "kl_weight": 0},
        {"kl_horizon": 5},
        {"margin": 4},
    ],
)
def test_a_setting_without_effect_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="has no effect without"):
        objective(**settings)


def test_without_a_price_there_is_no_base() -> None:
    assert objective(kl_weight=0).roles == {"value"}
    assert objective().roles == {"value", "base"}
