"""The preference objectives against trl 1.16, on the same tiny model and rows: loss and
gradient.
"""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from material.pairs import batch_of, judged, models, pairs, referred, stepped
from tunesmith.batches.batch import Tokens
from tunesmith.machine.parallel import Processes
from tunesmith.objectives.dpo import LOSSES
from tunesmith.settings.family import OBJECTIVES

pytestmark = pytest.mark.filterwarnings("ignore")
ONE_RANK = SimpleNamespace(
    device=torch.device("cpu"), gather_for_metrics=lambda value: value, gather=lambda value: value
)


@pytest.fixture(scope="module")
def both() -> tuple[Any, Any]:
    """Policy and reference, with the head that trl's trainers ask for."""
    from trl.trainer.utils import add_fused_lm_head

    policy, reference = models()
    outputs = ("log_probs", "entropy", "mean_logits", "is_top1")
    add_fused_lm_head(policy, outputs=outputs)
    add_fused_lm_head(reference, outputs=outputs)
    return policy, reference


def trainer(cls: Any, **settings: Any) -> Any:
    """A trainer of trl with what its loss reads, and no more."""
    made = object.__new__(cls)
    common: dict[str, Any] = {
        "accelerator": ONE_RANK,
        "aux_loss_enabled": False,
        "precompute_ref_logps": False,
        "use_weighting": False,
        "ld_alpha": None,
        "f_divergence_type": "reverse_kl",
        "_metrics": {"train": defaultdict(list), "eval": defaultdict(list)},
        "_total_train_tokens": 0,
        "_tp_size": 1,
        "is_encoder_decoder": False,
        "pad_token_id": 0,
        "padding_value": 0,
        "args": SimpleNamespace(discopop_tau=0.05, gradient_checkpointing_kwargs=None),
    }
    vars(made).update(common | settings)
    return made


def parts(tokens: Tokens) -> tuple[list[int], list[int]]:
    first = int(np.argmax(tokens.weights_T != 0))
    return tokens.ids_T[:first].tolist(), tokens.ids_T[first:].tolist()


def same(ours: tuple[float, torch.Tensor], loss: torch.Tensor, policy: Any) -> None:
    policy.zero_grad()
    loss.backward()
    theirs = torch.cat(
        [weight.grad.flatten() for weight in policy.parameters() if weight.grad is not None]
    )
    assert ours[0] == pytest.approx(float(loss), rel=1e-5, abs=1e-6)
    assert float((ours[1] - theirs).norm() / theirs.norm()) < 1e-4 and float(theirs.norm()) > 0


DPO: list[dict[str, Any]] = [
    {"loss": name}
    for name in (
        "sigmoid",
        "hinge",
        "ipo",
        "nca_pair",
        "bco_pair",
        "sppo_hard",
        "apo_zero",
        "apo_down",
        "discopop",
    )
]
DPO += [{"loss": name, "label_smoothing": 0.2} for name in ("robust", "exo_pair")]
assert {case["loss"] for case in DPO} == set(LOSSES), "every loss of dpo has its oracle"
DPO += [
    {"loss": "sigmoid", "length_normalized": True, "beta": 2.0},
    {"loss": "sigmoid", "beta": 0.5},
]


@pytest.mark.parametrize("settings", DPO, ids=str)
def test_dpo_and_its_losses(settings: dict[str, Any], both: tuple[Any, Any]) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

    policy, reference = both
    objective = OBJECTIVES.make(OBJECTIVES.config({"name": "dpo", **settings}))
    rows = pairs()
    ours = stepped(objective, policy, [batch_of(referred(reference, rows))])
    examples = []
    for chosen, rejected in rows:
        prompt, answer = parts(chosen)
        examples.append(
            {"prompt_ids": prompt, "chosen_ids": answer, "rejected_ids": parts(rejected)[1]}
        )
    name = "sigmoid_norm" if settings.get("length_normalized") else settings["loss"]
    theirs = trainer(
        DPOTrainer,
        model=policy,
        ref_model=reference,
        loss_types=[name],
        loss_weights=[1.0],
        beta=settings.get("beta", 0.1),
        label_smoothing=settings.get("label_smoothing", 0.0),
    )
    same(
        ours,
        theirs._compute_loss(policy, DataCollatorForPreference(pad_token_id=0)(examples), False),
        policy,
    )
    metrics = objective.loss({"policy": policy}, batch_of(referred(reference, rows))).metrics
    names = {
        "rewards/chosen": "rewards/chosen",
        "rewards/rejected": "rewards/rejected",
        "margin": "rewards/margins",
    }
    for our_name, their_name in (names | {"accuracy": "rewards/accuracies"}).items():
        logged = theirs._metrics["eval"][their_name][0]
        assert metrics[our_name].value == pytest.approx(logged, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["kto", "apo_zero_unpaired"])
def test_kto(name: str, both: tuple[Any, Any]) -> None:
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference, KTOTrainer

    policy, reference = both
    weights = {"desirable_weight": 1.3, "undesirable_weight": 0.7}
    objective = OBJECTIVES.make(OBJECTIVES.config({"name": "kto", "loss": name, **weights}))
    rows = judged()
    ours = stepped(objective, policy, [batch_of(referred(reference, rows))])
    examples = []
    for (one,) in rows:
        prompt, answer = parts(one)
        mate = parts(one.columns["mismatched"])[1]
        label = bool(one.columns["desirable"])
        examples.append(
            {
                "prompt_ids": prompt,
                "completion_ids": answer,
                "KL_completion_ids": mate,
                "label": label,
            }
        )
    theirs = trainer(
        KTOTrainer,
        model=policy,
        ref_model=reference,
        loss_type=name,
        calculate_KL=name == "kto",
        beta=0.1,
        **weights,
    )
    same(
        ours,
        theirs._compute_loss(
            policy, DataCollatorForUnpairedPreference(pad_token_id=0)(examples), False
        ),
        policy,
    )
    if name == "kto":
        assert objective.loss({"policy": policy}, prepared(objective, policy, reference)).metrics[
            "kl"
        ].value == pytest.approx(theirs._metrics["eval"]["kl"][0], rel=1e-4)


def prepared(objective: Any, policy: Any, reference: Any) -> Any:
    batch = batch_of(referred(reference, judged()))
    objective.prepare({"policy": policy}, [batch], Processes())
    return batch


def concatenated(rows: list[tuple[Tokens, ...]]) -> dict[str, torch.Tensor]:
    """A batch as trl's older trainers pad it."""
    found: dict[str, torch.Tensor] = {}
    for side, name in enumerate(("chosen", "rejected")):
        longest = max(len(row[side]) for row in rows)
        columns: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "labels": []}
        for row in rows:
            prompt, answer = parts(row[side])
            pad = longest - len(row[side])
            columns["input_ids"].append([*prompt, *answer, *[0] * pad])
            columns["attention_mask"].append([*[1] * len(row[side]), *[0] * pad])
            columns["labels"].append([*[-100] * len(prompt), *answer, *[-100] * pad])
        found |= {f"{name}_{key}": torch.tensor(value) for key, value in columns.items()}
    return found


EVEN = [(6, 9), (6, 3), (6, 6), (6, 12)]
"""Chosen answers of one length, for which trl's average over all tokens is ours over answers."""


@pytest.mark.parametrize("name", ["sigmoid", "hinge", "ipo", "simpo", "simpo alone"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cpo_and_simpo(name: str, smoothing: float, both: tuple[Any, Any]) -> None:
    from trl.experimental.cpo.cpo_trainer import CPOTrainer

    policy, _ = both
    if name in ("hinge", "ipo"):
        smoothing = 0.0
    sft = 0.0 if name == "simpo alone" else 0.7
    simpo = name.startswith("simpo")
    own = (
        {"name": "simpo", "beta": 2.0, "gamma": 0.8}
        if simpo
        else {"name": "cpo", "loss": name, "beta": 0.3}
    )
    objective = OBJECTIVES.make(
        OBJECTIVES.config({**own, "sft": sft, "label_smoothing": smoothing})
    )
    rows = pairs(EVEN)
    theirs = trainer(
        CPOTrainer,
        loss_type="simpo" if simpo else name,
        alpha=0.0,
        beta=own["beta"],
        simpo_gamma=0.8,
        cpo_alpha=sft,
        label_smoothing=smoothing,
    )
    loss, metrics = theirs.get_batch_loss_metrics(policy, concatenated(rows))
    same(stepped(objective, policy, [batch_of(rows)]), loss, policy)
    found = objective.loss({"policy": policy}, batch_of(rows)).metrics
    assert found["rewards/chosen"].value == pytest.approx(metrics["rewards/chosen"], rel=1e-4)


def test_orpo_but_for_the_pooling_of_its_sft_term(both: tuple[Any, Any]) -> None:
    from trl.experimental.orpo.orpo_trainer import ORPOTrainer

    policy, _ = both
    rows, beta = pairs(EVEN), 0.4
    theirs = trainer(ORPOTrainer, beta=beta)
    chosen, rejected, *_ = theirs.concatenated_forward(policy, concatenated(rows))
    odds = theirs.odds_ratio_loss(chosen, rejected)[0]
    # Where all chosen answers are of one length, the average over answers is that over tokens.
    same(
        stepped(
            OBJECTIVES.make(OBJECTIVES.config({"name": "orpo", "beta": beta})),
            policy,
            [batch_of(rows)],
        ),
        -chosen.mean() - odds.mean(),
        policy,
    )
