"""GRPO and its relatives: TRL's losses on the same tensors, advantages by closed forms, and the
expected update by counting all groups of answers.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.batches.batch import Batch, Loss
from tunesmith.batches.rollout import Group, Sampled, answered
from tunesmith.errors import SpecError
from tunesmith.objectives import grpo
from tunesmith.objectives._advantages import advantages
from tunesmith.objectives._sampled import weigh_overlong
from tunesmith.settings.family import OBJECTIVES

LENGTHS = (3, 5, 1, 4)
MOST = 6
ANYHOW: Any = None


def objective(*, passes: int = 2, most: int = MOST, **settings: Any) -> Any:
    made = OBJECTIVES.make(OBJECTIVES.config({"name": "grpo", **settings}))
    made.sampled(SimpleNamespace(samples=2, temperature=1.0, max_new_tokens=most, passes=passes))
    return made


def answer(length: int, *, stopped: bool = True, logprob: float = -1.0) -> Sampled:
    values_T = np.full(length, logprob, np.float32)
    return Sampled(np.arange(5, 5 + length), values_T, values_T * 0, stopped)


def group(rewards: list[float], answers: list[Sampled], prompt: int = 4) -> Group:
    return Group("rows:1", np.arange(prompt), answers, np.array(rewards, float))


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    """Padded [B, T] in fp64: new, old and reference log-probabilities, advantages and a mask."""
    generator = torch.Generator().manual_seed(3)

    def drawn(scale: float) -> torch.Tensor:
        return scale * torch.randn(4, max(LENGTHS), generator=generator, dtype=torch.float64)

    old = drawn(1.0) - 2
    mask = torch.tensor([[n < length for n in range(max(LENGTHS))] for length in LENGTHS])
    advantages_B = torch.tensor([1.3, -0.7, -2.0, 0.4], dtype=torch.float64)
    return {
        "old": old,
        "new": old + drawn(0.4),
        "reference": old + drawn(0.3),
        "advantages": advantages_B,
        "mask": mask,
    }


def ours(
    made: Any, tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> tuple[torch.Tensor, torch.Tensor, Loss]:
    """Loss a unit, its gradient in the new log-probabilities [B, T], and all of the loss."""
    mask = tensors["mask"]
    groups = group(tensors["advantages"].tolist(), [answer(length) for length in LENGTHS])
    example = made._example(groups, tensors["advantages"].numpy(), {})
    batch = Batch.grow([example], unit=made.unit)
    new = tensors["new"].clone().requires_grad_()
    flat = {name: tensors[name][mask] for name in ("old", "reference")}
    spread = tensors["advantages"][:, None].expand(mask.shape)[mask]
    batch.columns |= {"old_N": flat["old"], "advantage_N": spread}
    batch.columns["share_N"] = shares(made)[mask]
    if made.roles:
        batch.columns["reference_N"] = flat["reference"]
    monkeypatch.setattr(grpo, "see_at", lambda *_: new[mask])
    loss = made.loss({"policy": ANYHOW}, batch)
    value = loss.total / batch.units
    value.backward()
    assert new.grad is not None
    return value.detach(), new.grad, loss


def shares(made: Any) -> torch.Tensor:
    """[B, T] in fp64, where the batch's own are fp32."""
    of = {"token": [1.0] * 4, "constant": [1 / MOST] * 4}
    each = of.get(made.config.aggregation, [1 / length for length in LENGTHS])
    return torch.tensor(each, dtype=torch.float64)[:, None].expand(4, max(LENGTHS))


class One:
    """An accelerator of one process."""

    num_processes, process_index, device, sync_gradients = 1, 0, torch.device("cpu"), True
    gather = gather_for_metrics = staticmethod(lambda value: value)
    reduce = staticmethod(lambda value, reduction="sum": value)


def theirs(
    kind: str, tensors: dict[str, torch.Tensor], *, reference: bool = False, **settings: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """TRL's loss and gradient."""
    from trl.trainer.grpo_trainer import GRPOTrainer

    new, mask = tensors["new"].clone().requires_grad_(), tensors["mask"].long()
    args = {"delta": None, "use_bias_correction_kl": True, "steps_per_generation": 1}
    args |= {"sapo_temperature_pos": 1.0, "sapo_temperature_neg": 1.05}
    eps = settings.pop("eps", (0.2, 0.2))
    me: Any = SimpleNamespace(
        args=SimpleNamespace(**args | settings.pop("args", {})),
        accelerator=One,
        model=SimpleNamespace(training=True),
        _metrics={"train": defaultdict(list)},
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level=settings.pop("level", "token"),
        beta=settings.pop("beta", 0.0),
        epsilon_low=eps[0],
        epsilon_high=eps[1],
        loss_type=kind,
        use_vllm=False,
        vllm_importance_sampling_correction=False,
        current_gradient_accumulation_steps=1,
        max_completion_length=MOST,
        _entropy_bonus_enabled=False,
    )
    me._get_per_token_logps_and_entropies = lambda *_, **__: (new, torch.zeros_like(new), None)
    batch = prompts(mask) | {
        "advantages": tensors["advantages"],
        "num_items_in_batch": mask.sum(),
        "old_per_token_logps": tensors["old"],
    }
    batch |= {"ref_per_token_logps": tensors["reference"]} if reference else {}
    loss = GRPOTrainer._compute_loss(me, ANYHOW, batch)
    loss.backward()
    assert new.grad is not None
    return loss.detach(), new.grad


def prompts(mask: torch.Tensor) -> dict[str, torch.Tensor]:
    nothing = torch.zeros(mask.shape, dtype=torch.long)
    named = {"prompt_ids": nothing[:, :1], "prompt_mask": nothing[:, :1] + 1}
    return named | {"completion_ids": nothing, "completion_mask": mask}


TRL: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"aggregation": "token", "high": 0.28}, {"kind": "dapo", "eps": (0.2, 0.28)}),
    ({"aggregation": "answer"}, {"kind": "grpo"}),
    ({"aggregation": "constant"}, {"kind": "dr_grpo"}),
    ({"clip": "cispo", "cap": 1.3}, {"kind": "cispo", "eps": (0.2, 1.3)}),
    ({"clip": "two_sided", "cap": 1.4}, {"kind": "dapo", "args": {"delta": 1.4}}),
    (
        {"ratio": "sequence", "aggregation": "answer", "low": 0.05},
        {"kind": "grpo", "level": "sequence", "eps": (0.05, 0.05)},
    ),
    ({"clip": "sapo", "aggregation": "answer"}, {"kind": "sapo"}),
    (
        {"kl": "loss", "kl_weight": 0.3, "aggregation": "answer"},
        {"kind": "grpo", "beta": 0.3, "reference": True},
    ),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("settings", "trl"), TRL, ids=lambda one: "-".join(map(str, one.values())))
def test_loss_and_gradient_are_trls(
    settings: dict[str, Any],
    trl: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value, gradient, _ = ours(objective(**settings), tensors, monkeypatch)
    wanted, wanted_gradient = theirs(tensors=tensors, **trl)
    near = 1e-7 if settings.get("clip") == "sapo" else 1e-12  # TRL's temperatures are fp32
    torch.testing.assert_close(value, wanted, rtol=near, atol=near)
    torch.testing.assert_close(gradient, wanted_gradient, rtol=near, atol=near)
    assert wanted_gradient.norm() > 0.01


@pytest.mark.filterwarnings("ignore")
def test_product_over_answers_is_trls_rloo(
    tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl.trainer.rloo_trainer import RLOOTrainer

    made = objective(ratio="product", aggregation="answer")
    value, gradient, _ = ours(made, tensors, monkeypatch)
    new, mask = tensors["new"].clone().requires_grad_(), tensors["mask"].long()
    me: Any = SimpleNamespace(
        accelerator=One,
        model=SimpleNamespace(training=True),
        _metrics={"train": defaultdict(list)},
        aux_loss_enabled=False,
        epsilon_low=0.2,
        epsilon_high=0.2,
        _get_per_token_logps_and_entropies=lambda *_, **__: (new, torch.zeros_like(new), None),
    )
    old_B = (tensors["old"] * mask).sum(1)
    batch = prompts(mask) | {"advantages": tensors["advantages"], "old_logps": old_B}
    wanted = RLOOTrainer._compute_loss(me, ANYHOW, batch)
    wanted.backward()
    torch.testing.assert_close(value, wanted.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, new.grad, rtol=1e-12, atol=1e-12)


def test_one_update_needs_no_old_log_probabilities(
    tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient is then that of REINFORCE: minus the advantage, a token of all tokens."""
    tensors["old"] = tensors["new"].clone()
    _, gradient, loss = ours(objective(passes=1), tensors, monkeypatch)
    mask = tensors["mask"]
    wanted = -tensors["advantages"][:, None] * mask / mask.sum()
    torch.testing.assert_close(gradient, wanted, rtol=1e-12, atol=1e-15)
    assert "clipped" not in loss.metrics


@pytest.mark.parametrize(
    ("advantage", "ratio", "cap", "slope"),
    [(1, 1.5, None, 0), (1, 0.5, None, -0.5), (-1, 0.5, None, 0), (-1, 5, None, 5), (-1, 5, 3, 0)],
)
def test_where_the_clip_stops_a_gradient(
    advantage: float, ratio: float, cap: float | None, slope: float
) -> None:
    made = objective(**({"clip": "two_sided", "cap": cap} if cap else {}))
    moved = torch.tensor([ratio]).log().requires_grad_()
    losses = made._losses_N(moved.exp(), torch.tensor([float(advantage)]), moved)
    (found,) = torch.autograd.grad(losses.sum(), moved)
    assert float(found) == pytest.approx(slope)
    stopped = made._clipped_N(torch.tensor([ratio]), torch.tensor([float(advantage)]))
    assert bool(stopped) == (slope == 0)


def of(rewards: list[float], kind: Any) -> np.ndarray:
    return advantages([np.array(rewards, float)], kind)[0]


@pytest.mark.parametrize("right", [1, 3, 7])
def test_right_and_wrong_answers_have_the_advantages_of_the_formula(right: int) -> None:
    count = 8
    found = of([1.0] * right + [0.0] * (count - right), "group_std")
    share = (count - 1) / count
    assert found[0] == pytest.approx(np.sqrt((count - right) / right * share), rel=1e-3)
    assert found[-1] == pytest.approx(-np.sqrt(right / (count - right) * share), rel=1e-3)


def test_advantages_by_hand() -> None:
    rewards = [0.5, 0.1, 0.9, 0.3]
    others = [one - (sum(rewards) - one) / 3 for one in rewards]
    assert of(rewards, "leave_one_out") == pytest.approx(others)
    assert of(rewards, "group") == pytest.approx([one - 0.45 for one in rewards])
    assert of(rewards, "leave_one_out") == pytest.approx(of(rewards, "group") * 4 / 3)
    assert of([3.0, 1.0], "group_std") == pytest.approx([2**-0.5, -(2**-0.5)], rel=1e-3)
    both = [np.array(rewards), np.array([2.0, 0.0])]
    spread = np.std([*rewards, 2.0, 0.0], ddof=1) + 1e-4
    assert advantages(both, "batch_std")[1] == pytest.approx([1 / spread, -1 / spread])


@pytest.mark.parametrize("kind", ["group_std", "group", "leave_one_out", "batch_std"])
def test_what_changes_no_advantage(kind: Any) -> None:
    rewards = [0.5, 0.1, 0.9, 0.3]
    assert of([one + 7 for one in rewards], kind) == pytest.approx(of(rewards, kind))
    assert not of([0.1] * 8, kind).any(), "equal rewards teach exactly nothing"
    silent = of([np.nan, *rewards, np.nan], kind)
    assert silent[1:-1] == pytest.approx(of(rewards, kind)) and np.isnan(silent[[0, -1]]).all()
    assert not of([0.4, np.nan], kind)[0], "one answer is better than no other"
    if kind == "group_std":
        assert of([one * 5 for one in rewards], kind) == pytest.approx(of(rewards, kind), rel=1e-3)


@pytest.mark.parametrize(("kind", "factor"), [("leave_one_out", 1.0), ("group", 2 / 3)])
def test_the_expected_update_is_the_policy_gradient(kind: Any, factor: float) -> None:
    """All groups of three answers out of four, each as often as it is sampled."""
    logits = torch.tensor([0.3, -1.0, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    worth = np.array([0.2, 1.0, -0.4, 0.7])
    chance = logits.softmax(-1)
    (wanted,) = torch.autograd.grad((chance * torch.from_numpy(worth)).sum(), logits)
    found = torch.zeros(4, dtype=torch.float64)
    for answers in itertools.product(range(4), repeat=3):
        drawn = list(answers)
        better = torch.from_numpy(advantages([worth[drawn]], kind)[0])
        update = (logits.log_softmax(-1)[drawn] * better).mean()
        found += chance.detach()[drawn].prod() * torch.autograd.grad(update, logits)[0]
    torch.testing.assert_close(found, factor * wanted, rtol=1e-12, atol=1e-15)


def test_answers_near_the_limit_lose_reward() -> None:
    """Yu et al. 2025, eq. 13, with a limit of 100 and a margin of 20."""
    lengths = [answer(80), answer(85), answer(100), answer(100, stopped=False)]
    four = group([1.0] * 4, lengths)
    weigh_overlong([four], "punished", most=100, margin=20)
    assert four.rewards_G.tolist() == [1, 0.75, 0, 0]


def test_masked_answers_are_not_there() -> None:
    made = objective(overlong="masked", passes=1)
    whole = [answer(2), answer(3), answer(6, stopped=False), answer(4)]
    four = group([1.0, 0.0, 9.0, 0.5], whole)
    three = group([1.0, 0.0, 0.5], [whole[0], whole[1], whole[3]])
    (found,), _ = made.experience([four], ANYHOW, {})
    (wanted,), _ = made.experience([three], ANYHOW, {})
    assert len(found) == 3
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one.ids_T, other.ids_T)
        assert np.array_equal(one.columns["advantage_T"], other.columns["advantage_T"])


def test_a_step_without_differences_has_no_update() -> None:
    made = objective(passes=1)
    equal = group([1.0, 1.0], [answer(2), answer(3)])
    assert made.experience([equal], ANYHOW, {})[0] == []
    examples, _ = made.experience([equal, group([1.0, 0.0], [answer(2), answer(3)])], ANYHOW, {})
    assert len(examples) == 2, "an equal group counts in the mean, so that steps keep their size"


def test_the_distance_is_paid_from_the_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    made = objective(kl="reward", kl_weight=0.5, advantage="group", passes=1)
    reference = [np.full(2, -1.5, np.float32), np.full(3, -0.8, np.float32)]
    monkeypatch.setattr(grpo, "looked_up", lambda *_, **__: [{"reference": reference}])
    pair = group([0.0, 0.0], [answer(2), answer(3)])
    (example,), numbers = made.experience([pair], ANYHOW, {})
    paid = [0.5 * 2 * 0.5, 0.5 * 3 * -0.2]
    assert pair.rewards_G == pytest.approx([-one for one in paid], rel=1e-6)
    assert numbers["kl_sampled"] == pytest.approx((1.0 - 0.6) / 2, rel=1e-5)
    difference = (paid[1] - paid[0]) / 2
    assert example[0].columns["advantage_T"][-1] == pytest.approx(difference, rel=1e-5)


def test_an_answer_is_trained_as_it_was_sampled() -> None:
    tokens = answered(np.array([1, 2, 3]), answer(2), sampled=np.array([-1.0, -2.0]))
    assert tokens.ids_T.tolist() == [1, 2, 3, 5, 6]
    assert tokens.weights_T.tolist() == [0, 0, 0, 1, 1], "the stop token too"
    assert tokens.columns["sampled_T"].tolist() == [0, 0, 0, -1, -2]


@pytest.mark.parametrize("aggregation", ["token", "answer", "constant"])
def test_what_each_token_counts(aggregation: str) -> None:
    made = objective(aggregation=aggregation, passes=1)
    answers = [answer(length) for length in LENGTHS]
    (example,), _ = made.experience([group([1.0, 0.0, 0.5, 0.2], answers)], ANYHOW, {})
    found = [tokens.columns["share_T"][4:] for tokens in example]
    wanted = [row[: len(own)] for row, own in zip(shares(made).numpy(), found, strict=True)]
    assert np.concatenate(found) == pytest.approx(np.concatenate(wanted))
    units = Batch.grow([example], unit=made.unit).units
    assert units == (sum(LENGTHS) if aggregation == "token" else len(LENGTHS))


@pytest.mark.parametrize(
    "settings", [{"cap": 3.0}, {"kl_weight": 0.1}, {"margin": 4}, {"clip": "sapo", "low": 0.1}]
)
def test_a_setting_without_effect_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="has no effect without"):
        objective(**settings)


def test_one_answer_is_compared_with_nothing() -> None:
    made = OBJECTIVES.make(OBJECTIVES.config("grpo"))
    with pytest.raises(SpecError, match="two or more"):
        made.sampled(SimpleNamespace(samples=1))
