"""Preference objectives by hand, before the first step, and however a step is cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from material.pairs import batch_of, judged, models, pairs, referred, stepped, tokens
from tunesmith.batches.batch import Batch
from tunesmith.errors import SpecError
from tunesmith.machine.parallel import Processes
from tunesmith.models.calling.views import see
from tunesmith.objectives._pairs import Pairs, answer_logprobs
from tunesmith.objectives.orpo import log1mexp
from tunesmith.settings.family import OBJECTIVES
from tunesmith.words import use

LN2 = math.log(2)
BETA = 0.5
# Log-probabilities of one pair: chosen -3 over 3 tokens, rejected -4 over 2; the reference gives -5
# and -3.
POLICY, REFERENCE, SIZES = (-3.0, -4.0), (-5.0, -3.0), (3.0, 2.0)
C, R = 2.0, -1.0  # the log-ratios


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def nls(x: float) -> float:
    return -math.log(sigma(x))


M = BETA * (C - R)  # 1.5
BY_HAND: list[tuple[dict[str, Any], float]] = [
    ({}, nls(M)),
    ({"label_smoothing": 0.1}, 0.9 * nls(M) + 0.1 * nls(-M)),
    ({"length_normalized": True}, nls(BETA * (C / 3 - R / 2))),
    ({"sft": 2.0}, nls(M) + 2.0 * 3 / 3),
    ({"loss": "hinge"}, 0.0),
    ({"loss": "hinge", "length_normalized": True}, 1 - BETA * (C / 3 - R / 2)),
    ({"loss": "ipo"}, (C / 3 - R / 2 - 1) ** 2),
    ({"loss": "robust", "label_smoothing": 0.1}, (0.9 * nls(M) - 0.1 * nls(-M)) / 0.8),
    (
        {"loss": "exo_pair", "label_smoothing": 0.1},
        sigma(M) * (-nls(M) - math.log(0.9)) + sigma(-M) * (-nls(-M) - math.log(0.1)),
    ),
    ({"loss": "nca_pair"}, nls(1.0) + 0.5 * nls(-1.0) + 0.5 * nls(0.5)),
    ({"loss": "bco_pair"}, nls(1.0) + nls(0.5)),
    ({"loss": "sppo_hard"}, (C - 1) ** 2 + (R + 1) ** 2),
    ({"loss": "apo_zero"}, 1 - sigma(1.0) + sigma(-0.5)),
    ({"loss": "apo_down"}, sigma(1.0) + 1 - sigma(M)),
    ({"loss": "discopop"}, nls(M) * (1 - sigma(M / 0.05)) + math.exp(-M) * sigma(M / 0.05)),
]


def by_hand(monkeypatch: pytest.MonkeyPatch, name: str, settings: dict[str, Any]) -> Any:
    """The loss of the pair above."""
    one = Pairs(torch.tensor([POLICY]), torch.tensor([SIZES]), torch.tensor([REFERENCE]), {})
    objective = OBJECTIVES.make(OBJECTIVES.config({"name": name, **settings}))
    monkeypatch.setattr(f"tunesmith.objectives.{name}.see_pairs", lambda models, batch: one)
    return objective.loss({}, None)


@pytest.mark.parametrize(("settings", "expected"), BY_HAND, ids=str)
def test_dpo_by_hand(
    settings: dict[str, Any], expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = by_hand(monkeypatch, "dpo", {"beta": BETA, **settings})
    assert float(loss.total) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert {name: ratio.value for name, ratio in loss.metrics.items() if name != "loss"} == {
        "rewards/chosen": 1.0,
        "rewards/rejected": -0.5,
        "margin": 1.5,
        "accuracy": 1.0,
        "length/chosen": 3,
        "length/rejected": 2,
    }


def test_the_losses_without_a_reference_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    odds = [math.log(math.exp(x) / (1 - math.exp(x))) for x in (-1.0, -2.0)]
    assert float(by_hand(monkeypatch, "orpo", {"beta": 0.3}).total) == pytest.approx(
        1 + 0.3 * nls(odds[0] - odds[1]), rel=1e-5
    )
    assert float(by_hand(monkeypatch, "simpo", {"beta": 2.0, "gamma": 0.5}).total) == pytest.approx(
        nls(1.5), rel=1e-5
    )
    assert float(by_hand(monkeypatch, "cpo", {"beta": 0.5}).total) == pytest.approx(
        nls(0.5) + 1, rel=1e-5
    )
    assert float(
        by_hand(monkeypatch, "cpo", {"loss": "ipo", "beta": 0.25, "sft": 0}).total
    ) == pytest.approx(1.0, rel=1e-5)


def test_the_odds_keep_their_digits_and_their_gradient() -> None:
    x = torch.tensor([-1e-5, -0.5, -5.0, -60.0], requires_grad=True)
    exact = [math.log(-math.expm1(value)) for value in x.tolist()]
    assert log1mexp(x).tolist() == pytest.approx(exact, rel=1e-5, abs=1e-25)
    log1mexp(torch.cat([x, torch.zeros(1)])).sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad is not None


def test_kto_by_hand() -> None:
    objective = OBJECTIVES.make(
        OBJECTIVES.config({"name": "kto", "beta": BETA, "undesirable_weight": 3.0})
    )
    policy, _ = models()
    rows = [
        [tokens(np.arange(9), np.arange(20, 24), desirable=label, reference=-7.0)]
        for label in (1, 0)
    ]
    batch = batch_of(rows)
    batch.columns["kl"] = 0.25
    with torch.no_grad():
        ratio = float(answer_logprobs(see(policy, batch))[0]) + 7.0
        loss = objective.loss({"policy": policy}, batch)
    expected = 1 - sigma(BETA * (ratio - 0.25)) + 3 * (1 - sigma(BETA * (0.25 - ratio)))
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)
    assert loss.metrics["rewards/chosen"].value == pytest.approx(BETA * ratio, rel=1e-5)
    assert loss.metrics["rewards/rejected"].count == loss.metrics["rewards/chosen"].count == 1


def test_before_the_first_step_policy_and_reference_are_one() -> None:
    policy, _ = models()
    rows = referred(policy, pairs())
    with torch.no_grad():
        loss = OBJECTIVES.make(OBJECTIVES.config("dpo")).loss({"policy": policy}, batch_of(rows))
    values = {name: ratio.value for name, ratio in loss.metrics.items()}
    assert values["loss"] == pytest.approx(LN2, abs=1e-5) and values["accuracy"] == 0.5
    assert (
        max(abs(values[name]) for name in ("rewards/chosen", "rewards/rejected", "margin")) < 1e-5
    )
    objective = OBJECTIVES.make(OBJECTIVES.config({"name": "kto", "desirable_weight": 1.5}))
    batch = batch_of(referred(policy, judged()))
    objective.prepare({"policy": policy}, [batch], Processes())
    good = int(batch.columns["desirable_B"].sum())
    with torch.no_grad():
        total = float(objective.loss({"policy": policy}, batch).total)
    # Equation 8 with r = z0 = 0: half of each answer's weight.
    assert total == pytest.approx(0.75 * good + 0.5 * (len(batch.sequences) - good), abs=1e-4)
    assert batch.columns["kl"] == pytest.approx(0, abs=1e-5)


CASES = [
    {"name": "dpo"},
    {"name": "dpo", "loss": "ipo", "sft": 0.5},
    {"name": "orpo"},
    {"name": "simpo"},
    {"name": "cpo"},
]
CASES += [{"name": "kto", "desirable_weight": 1.4}]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_gradient_however_a_step_is_cut_and_laid_out(case: dict[str, Any]) -> None:
    policy, reference = models()
    objective = OBJECTIVES.make(OBJECTIVES.config(case))
    rows = referred(reference, judged() if case["name"] == "kto" else pairs())
    whole = stepped(objective, policy, [batch_of(rows)])
    assert float(whole[1].norm()) > 1e-3
    ways: dict[str, list[Batch]] = {
        "8×1": [batch_of([row]) for row in rows],
        "2×4": [batch_of(rows[:4]), batch_of(rows[4:])],
        "flat": [Batch.grow(rows, share=False, unit="example")],
        "padded": [batch_of(rows).padded()],
        "padded 2×4": [batch_of(rows[:4]).padded(), batch_of(rows[4:]).padded()],
    }
    for name, batches in ways.items():
        loss, gradient = stepped(objective, policy, batches)
        assert loss == pytest.approx(whole[0], rel=1e-5), name
        assert float((gradient - whole[1]).norm() / whole[1].norm()) < 1e-4, name


def test_the_prompt_stands_once_and_the_head_sees_answers_alone() -> None:
    prompt = np.arange(30)
    rows = [
        [tokens(prompt + 40 * n, np.arange(200, 209 + side), side=side) for side in (0, 1)]
        for n in range(3)
    ]
    batch = batch_of(rows)
    assert batch.layout.length == 3 * (30 + 10) and len(batch.scored_N) == 3 * (9 + 10)


def test_the_divergence_is_that_of_the_whole_distribution() -> None:
    policy, reference = models()
    from tunesmith.models.roles import FrozenModel

    batch = batch_of(referred(reference, pairs()[:3]))
    with torch.no_grad():
        found = OBJECTIVES.make(OBJECTIVES.config("dpo")).loss(
            {"policy": policy, "reference": FrozenModel(reference, "forest")}, batch
        )
        total, count = 0.0, 0
        for row in pairs()[:3]:
            for one in row:
                ids = torch.from_numpy(one.ids_T.astype(np.int64))[None]
                ours, theirs = (
                    m(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(-1)
                    for m in (policy, reference)
                )
                at = torch.from_numpy(one.weights_T[1:] > 0)
                total += float((ours.exp() * (ours - theirs)).sum(-1)[at].sum())
                count += one.scored
    assert (
        found.metrics["kl"].value == pytest.approx(total / count, rel=1e-4) and total / count > 0.01
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"name": "dpo", "loss": "hinge", "label_smoothing": 0.1},
            "has no effect with the loss hinge; it is used by sigmoid",
        ),
        ({"name": "dpo", "loss": "exo_pair"}, "exo_pair needs a share above 0"),
        ({"name": "cpo", "loss": "ipo", "label_smoothing": 0.1}, "has no effect with the loss ipo"),
    ],
)
def test_a_setting_without_effect_is_refused(settings: dict[str, Any], text: str) -> None:
    told = []
    for language in ("zh", "en"):
        use(language)
        with pytest.raises(SpecError) as caught:
            OBJECTIVES.make(OBJECTIVES.config(settings))
        assert caught.value.problems[0].where == "objective.label_smoothing"
        told.append(caught.value.problems[0].text)
    assert told[1].startswith(text) and told[0] != told[1]
