"""The reference: the base as it was, whatever is trained; asked once, kept on disk, and
recognised.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from material import runs
from material.adapted import CASES, called
from material.fast import slow_but
from material.written_rows import judged, pairs
from tunesmith.batches.batch import Batch
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.errors import CheckpointError
from tunesmith.events.run import StepMade
from tunesmith.models.calling.views import see
from tunesmith.models.loading.load import load_model
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.roles import base_at_hand
from tunesmith.report.build import build
from tunesmith.settings.family import METHODS
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import validate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.health import Falling
from tunesmith.training.reference import Reference
from tunesmith.training.start import train


def resolved(out: Path, model: Path, **overrides: Any) -> Resolved:
    rows = judged() if overrides.get("objective") == "kto" else pairs()
    data = out.parent / "rows.json"
    data.write_text(json.dumps(rows), encoding="utf-8")
    settings: dict[str, Any] = {
        "model": str(model),
        "data": {"path": str(data), "held_out": 0},
        "out": str(out),
        "objective": "dpo",
        "method": {"name": "lora", "rank": 4, "dropout": 0.1},
        "train": {
            "steps": 8,
            "batch": 8,
            "learning_rate": 1e-2,
            "micro_tokens": 512,
            "seed": 3,
            "machine": {"threads": 1},
            "keep": {"evaluate": 2, "save": 2},
        },
    }
    return runs.settled(validate(with_overrides(settings, overrides)))


def data_of(one: Resolved) -> Prepared:
    """28 rows to train on, 8 to watch."""
    prepared = prepare(one.run, load_tokenizer(Path(one.run.model.path)))
    prepared.watch, prepared.train = prepared.train[-8:], prepared.train[:-8]
    return prepared


def trained(out: Path, model: Path, **overrides: Any) -> RunFolder:
    one = resolved(out, model, **overrides)
    assert runs.in_child(lambda: train(one, data_of(one))) == 0
    return RunFolder(out)


def told_by_base(model: Path, prepared: Prepared, quantize: str | None) -> np.ndarray:
    """Log-probabilities of all sequences by a freshly loaded base, each alone, in a plain call of
    the model.
    """
    base = load_model(model, dtype=torch.float32, device="cpu", quantize=quantize).model
    found = []
    for one in (one for item in [*prepared.train, *prepared.watch] for one in item.tokens):
        ids = torch.from_numpy(one.ids_T.astype(np.int64))[None]
        with torch.no_grad():
            logprobs = (
                base(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
            )
        found.append(float((logprobs * torch.from_numpy(one.weights_T[1:])).sum()))
    return np.array(found)


APART = ("full", "lora", "bottleneck", "prefix", "qlora", "adalora")
"""Methods that differ in where they change the model: its own weights, weights beside them, the
features between layers, the prompt. The others are slow tests; runs of all took 34 s.
"""


@pytest.mark.parametrize("case", slow_but(["lora", "prefix"], CASES, called))
def test_the_reference_does_not_drift_in_20_steps(
    case: dict[str, Any], tiny_llama: Path, tmp_path: Path
) -> None:
    overrides = {
        "method": case,
        "train.steps": 20,
        "train.keep.evaluate": 20,
        "train.keep.save": 0,
        "train.learning_rate": 3e-3,
    }
    folder = trained(tmp_path / "run", tiny_llama, **overrides)
    values, rows = (
        load_file(folder.reference)["logprobs"],
        data_of(resolved(tmp_path / "run", tiny_llama)),
    )
    assert values == pytest.approx(
        told_by_base(tiny_llama, rows, folder.resolved().run.model.quantize), rel=1e-4
    )
    first = next(line["evaluation"] for line in folder.steps() if "evaluation" in line)
    method = METHODS.make(METHODS.config(case))
    if method.starts_as_base:
        assert first["loss"] == pytest.approx(math.log(2), abs=2e-5) and abs(first["margin"]) < 1e-3
    # Where the base is at hand it is still, to the bit, what it was.
    assert ("kl" in first) == (method.adapter and not method.rewrites_base)
    if "kl" in first and method.starts_as_base:
        assert first["kl"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("case", slow_but(APART, CASES, called))
def test_the_base_behind_a_trained_adapter_is_the_base_to_the_bit(
    case: dict[str, Any], tiny_llama: Path
) -> None:
    loaded = load_model(tiny_llama, dtype=torch.float32, device="cpu")
    rows = [item.tokens for item in data_of_rows(tiny_llama)]
    batch = loaded.lay(Batch.grow(rows))
    with torch.no_grad():
        before = see(loaded.model, batch).logprobs_N
    torch.manual_seed(0)
    method = METHODS.make(METHODS.config(case))
    model = method.apply(loaded.model)
    reference = base_at_hand(model, loaded.layout, method)
    if reference is None:
        assert method.rewrites_base or not method.adapter
        return
    wanted = {name for name, weight in model.named_parameters() if weight.requires_grad}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in wanted:
                weight.add_(torch.randn_like(weight) * 0.3)
    model.train()
    seen = reference.see(batch)
    assert torch.equal(seen.logprobs_N, before) and not seen.logprobs_N.requires_grad
    assert seen.head.logits(seen.features("scored")).shape[0] == len(batch.scored_N)
    assert (
        model.training
        and {name for name, weight in model.named_parameters() if weight.requires_grad} == wanted
    )
    with torch.no_grad():
        assert not torch.allclose(see(model.eval(), batch).logprobs_N, before, atol=1e-4)


def data_of_rows(model: Path) -> list[Any]:
    return runs.data_of(runs.resolved(model / "unused", model)).train[:6]


@pytest.mark.parametrize("objective", slow_but(["dpo"], ["dpo", "kto"]))
@pytest.mark.slow  # 7 s
def test_a_stopped_run_goes_on_to_the_same_bits_without_asking_again(
    objective: str, tiny_llama: Path, tmp_path: Path
) -> None:
    straight = trained(tmp_path / "straight", tiny_llama, objective=objective)
    one = resolved(tmp_path / "cut", tiny_llama, objective=objective)

    def stop_at_4() -> None:
        def on_step(line: dict[str, Any]) -> None:
            if line["step"] == 5:
                runs.kill_now()

        train(one, data_of(one), events=runs.on_step(on_step))

    assert runs.in_child(stop_at_4) == -9
    cut = RunFolder(tmp_path / "cut")
    told: list[str] = []

    def go_on() -> None:
        train(one, data_of(one), resume=True, events=runs.said(told))
        assert sum("were read from" in text for text in told) == 1

    before = cut.reference.read_bytes()
    assert runs.in_child(go_on) == 0
    assert cut.reference.read_bytes() == before
    assert runs.weights(cut.model) == runs.weights(straight.model)
    assert runs.record(cut) == runs.record(straight)


@pytest.mark.slow  # 3 s
def test_another_key_or_a_damaged_file_is_told_and_computed_again(
    tiny_llama: Path, tmp_path: Path
) -> None:
    folder = trained(tmp_path / "run", tiny_llama)
    one = resolved(tmp_path / "run", tiny_llama)
    whole = folder.reference.read_bytes()
    values = load_file(folder.reference)["logprobs"]
    for content, text in (
        (whole.replace(b'\\"base\\": \\"', b'\\"base\\": \\"x', 1)[: len(whole)], "damaged"),
        (
            whole.replace(b'\\"precision\\": \\"fp32', (b'\\"precision\\": \\"bf16')),
            "has changed (precision)",
        ),
    ):
        assert content != whole
        folder.reference.write_bytes(content)
        told: list[str] = []

        def again(told: list[str] = told, text: str = text) -> None:
            train(one, data_of(one), resume=True, events=runs.said(told))
            assert any(text in line for line in told), told

        assert runs.in_child(again) == 0
        assert np.array_equal(load_file(folder.reference)["logprobs"], values)


def test_a_checkpoint_knows_the_values_that_it_was_trained_with() -> None:
    one, other = (Reference(np.array([value]), {}) for value in (1.0, 2.0))
    one.load_state(one.state())
    with pytest.raises(CheckpointError, match=r"reference.safetensors"):
        one.load_state(other.state())


@pytest.mark.slow  # 2 s
def test_the_best_is_chosen_by_pairs_told_right(tiny_llama: Path, tmp_path: Path) -> None:
    folder = trained(tmp_path / "run", tiny_llama, **{"train.keep.best_by": "accuracy"})
    seen = {
        line["step"]: line["evaluation"]["accuracy"]
        for line in folder.steps()
        if "evaluation" in line and line["step"]
    }
    best = max(seen, key=lambda step: (seen[step], -step))
    assert (
        json.loads((folder.best / "tunesmith.json").read_text())["step"] == best
        and seen[best] > 0.5
    )


def made(numbers: dict[str, float]) -> StepMade:
    return StepMade(1, 60, 1, numbers)


def test_a_falling_reward_of_the_chosen_answer_is_pointed_out_once() -> None:
    rule, events = Falling(), []
    for step in range(60):
        again = Falling()
        again.load_state(json.loads(json.dumps(rule.state())))
        rule = again
        events.append(rule.see(made({"rewards/chosen": -0.02 * step + 0.01 * (step % 3)})))
    assert [event.recorded_as for event in events if event] == ["chosen_reward_falls"]
    steady = Falling()
    assert not any(
        steady.see(made({"rewards/chosen": 0.3 * ((step * 7) % 5)})) for step in range(60)
    )
    assert not any(Falling().see(made({"loss": 1.0})) for _ in range(60))


@pytest.mark.slow  # 2 s
def test_a_run_whose_chosen_answers_get_less_likely_says_so(
    tiny_llama: Path, tmp_path: Path
) -> None:
    # A loss that takes the chosen answers to be worse than what the model says by itself.
    objective = {"name": "dpo", "loss": "apo_down", "beta": 1.0}
    settings = {
        "objective": objective,
        "train.steps": 24,
        "train.schedule": "constant",
        "train.keep.evaluate": 0,
    }
    folder = trained(
        tmp_path / "run", tiny_llama, **settings, **{"train.keep.save": 0, "method.dropout": 0}
    )
    fallen = [line for line in folder.steps() if line.get("event") == "chosen_reward_falls"]
    assert len(fallen) == 1 and fallen[0]["now"] < fallen[0]["before"] and fallen[0]["step"] >= 20
    page = build(folder, lang="en").read_text(encoding="utf-8")
    assert "the reward of the chosen answers falls" in page
    drawn = (
        "Reward of the answers",
        "Length of the answers",
        "Margin of the rewards",
        "Pair accuracy",
    )
    assert [name for name in drawn if name not in page] == []
