"""What every method keeps, whatever it trains; a new file in the folder is covered the moment it is
there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from material import runs
from material.adapted import (
    CASES,
    applied,
    base,
    called,
    every,
    gradient,
    logits,
    same_gradient,
    stepped,
)
from material.architectures import tiny
from material.fast import slow_but
from material.sequences import sequences
from tunesmith.batches.batch import Batch
from tunesmith.data.prepare import Prepared
from tunesmith.errors import ModelError, SpecError
from tunesmith.export.make import export
from tunesmith.methods import Method
from tunesmith.models.adapters import beside_base
from tunesmith.models.adapters.attach import attach
from tunesmith.models.calling.views import token_loss
from tunesmith.models.saved import load_run
from tunesmith.settings.family import METHODS
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train
from tunesmith.words import use

EXPORTED = (
    "ia3",
    "boft",
    "adalora",
    "ln_tuning",
    "freeze",
    "lora-pissa",
    "experts",
    "combined-lora-bitfit",
    "combined-lora-ln_tuning",
)

KILLED = ("full", "adalora", "prefix")
"""Methods that differ in what they save: all weights, a state of their own, virtual tokens; tests/training/test_resume.py ends LoRA in every way. The others are killed in slow tests: all took 120 s.
"""


@every
def test_it_says_where_its_rate_comes_from_and_where_to_look_for_a_better_one(
    case: dict[str, Any],
) -> None:
    method = METHODS.make(METHODS.config(case))
    low, high = method.search
    assert 0 < low < method.learning_rate < high and method.source
    assert method.layouts and method.layouts <= {"forest", "padded"}
    assert method.kinds and method.kinds <= {"decoder", "encoder", "encoder-decoder"}


@every
def test_it_starts_as_the_base_and_moves_every_weight_that_it_trains_and_no_other(
    case: dict[str, Any],
) -> None:
    plain = logits(base())
    method, model = applied(case)
    assert bool((logits(model) - plain).abs().max() < 1e-4) == method.starts_as_base
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    assert all(
        weight.dtype == torch.float32 for weight in model.parameters() if weight.requires_grad
    )
    stepped(method, model)
    moved = {name for name, weight in model.named_parameters() if not weight.equal(before[name])}
    assert moved == {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert (logits(model) - plain).abs().max() > 1e-2


@every
def test_what_is_saved_answers_alike_in_a_fresh_model_in_plain_peft_and_merged(
    case: dict[str, Any], tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    method, model = applied(case)
    stepped(method, model)
    method.save(model, tmp_path)
    wanted = logits(model)
    if method.adapter:
        models = [attach(base(), tmp_path)]
        if not beside_base.is_own(tmp_path):
            models.append(PeftModel.from_pretrained(tiny("llama"), tmp_path))
        if not (method.rewrites_base and beside_base.is_own(tmp_path)):
            with models[0].disable_adapter():
                torch.testing.assert_close(logits(models[0]), logits(base()), rtol=1e-5, atol=1e-5)
    else:
        models = [AutoModelForCausalLM.from_pretrained(tmp_path)]
    for fresh in models:
        torch.testing.assert_close(
            logits(fresh), wanted, rtol=1e-5, atol=1e-4 if method.rewrites_base else 1e-5
        )
    if method.merges:
        torch.testing.assert_close(logits(beside_base.merge(model)), wanted, rtol=1e-4, atol=1e-4)


@every
def test_layout_and_checkpointing_do_not_change_its_gradient(case: dict[str, Any]) -> None:
    method, model = applied(case)
    stepped(method, model, steps=3)
    batch = Batch.grow(sequences(7))
    flat = gradient(method, model, batch)
    if method.layouts >= {"forest", "padded"}:
        same_gradient(flat, gradient(method, model, batch.padded()))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    same_gradient(flat, gradient(method, model, batch))


@every
def test_the_plan_counts_its_weights_without_memory_for_them(case: dict[str, Any]) -> None:
    _, model = applied(case)
    with torch.device("meta"):
        planned = METHODS.make(METHODS.config(case)).apply(
            tiny("llama").requires_grad_(False).to("meta")
        )
    counts = [
        sum(weight.numel() for weight in one.parameters() if weight.requires_grad)
        for one in (model, planned)
    ]
    assert counts[0] == counts[1] > 0


@pytest.fixture(scope="module")
def prepared(tiny_llama: Path) -> Prepared:
    torch.set_num_threads(1)  # children are forked
    return runs.data_of(runs.resolved(tiny_llama / "unused", tiny_llama), watch=8)


def loss_of(folder: RunFolder, prepared: Prepared) -> float:
    """The held-out loss of what the run saved."""
    loaded = load_run(folder)
    total = units = 0.0
    with torch.no_grad():
        for item in prepared.watch:
            batch = loaded.lay(Batch.grow([item.tokens]))
            total += float(token_loss(loaded.model, batch).total)
            units += batch.units
    return total / units


@pytest.mark.parametrize("case", slow_but(KILLED, CASES, called))
def test_a_run_that_was_killed_ends_alike_and_loads_as_it_was(
    case: dict[str, Any], tiny_llama: Path, prepared: Prepared, tmp_path: Path
) -> None:
    names = ("whole", "broken")
    whole, broken = (runs.resolved(tmp_path / name, tiny_llama, method=case) for name in names)

    def killed(at: int) -> Any:
        return lambda line: os._exit(9) if line["step"] == at and "loss" in line else None

    assert runs.in_child(lambda: train(whole, prepared)) == 0
    assert runs.in_child(lambda: train(broken, prepared, events=runs.on_step(killed(5)))) == 9
    if METHODS.get(case["name"]).state is not Method.state:  # which is killed once more
        again = runs.on_step(killed(7))
        assert runs.in_child(lambda: train(broken, prepared, resume=True, events=again)) == 9
    assert runs.in_child(lambda: train(broken, prepared, resume=True)) == 0
    straight, resumed = (RunFolder(tmp_path / name) for name in names)
    assert runs.weights(resumed.model) == runs.weights(straight.model)
    assert runs.weights(resumed.best) == runs.weights(straight.best)
    assert runs.record(resumed) == runs.record(straight)
    assert not (straight.model / "README.md").exists()  # peft's form to fill in
    seen = [line["evaluation"]["loss"] for line in straight.steps() if "evaluation" in line]
    assert loss_of(straight, prepared) == pytest.approx(seen[-1], rel=1e-5) and seen[-1] != seen[0]
    if case["name"] == "adalora":
        told = [line["ranks"] for line in straight.steps() if line.get("event") == "method"]
        assert [sum(ranks.values()) for ranks in told] == [8 * 14]
    if called(case) in EXPORTED:
        assert export(straight, tmp_path / "merged").saved.relative < 1e-4


def test_what_does_not_merge_is_told_how_to_serve(
    tiny_llama: Path, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = runs.resolved(tmp_path / "run", tiny_llama, **{"method": "ia3", "train.steps": 1})
    assert runs.in_child(lambda: train(one, prepared)) == 0
    monkeypatch.setattr(METHODS.get("ia3"), "merges", False)
    with pytest.raises(
        SpecError, match=r"ia3 cannot be merged into the base's weights.*PeftModel.from_pretrained"
    ):
        export(RunFolder(tmp_path / "run"), tmp_path / "merged")


WRONG = [
    (
        {"name": "vera", "targets": "q_porj"},
        "method.targets",
        "'q_porj' matches no linear layer (did you mean 'q_proj'?)",
    ),
    (
        {"name": "ln_tuning", "targets": "q_proj"},
        "method.targets",
        "'q_proj' matches no layer norm",
    ),
    ({"name": "ia3", "targets": "xyz"}, "method.targets", "'xyz' matches no linear layer"),
    (
        {"name": "freeze", "parts": "lm_haed"},
        "method.parts",
        "'lm_haed' matches no part (did you mean 'lm_head'?)",
    ),
    ({"name": "freeze", "last": 3}, "method.last", "3 is not between 1 and the 2 blocks"),
    ({"name": "freeze", "last": 0}, "method.last", "0 is not between 1 and the 2 blocks"),
    (
        {"name": "adalora", "rank": 30},
        "method.rank",
        "45 is larger than these layers: k_proj 32×64, v_proj 32×64",
    ),
    (
        {"name": "adalora", "initial_rank": 8},
        "method.initial_rank",
        "8 is not above the final rank, 8",
    ),
    (
        {"name": "adalora", "full_until": 0.8},
        "method.fixed_from",
        "0.7 does not come after full_until, 0.8",
    ),
    ({"name": "lokr", "rank": 64}, "method.rank", "64 is larger than these layers"),
    (
        {"name": "oft", "block": 48},
        "method.block",
        "48 does not divide the inputs of these layers: ",
    ),
    ({"name": "fourierft", "frequencies": 99999}, "method", "fourierft does not fit this model: "),
    (
        {"name": "bitfit", "parts": "biases"},
        "method.parts",
        "this model has no part named biases",
    ),
]


@pytest.mark.parametrize(("case", "where", "text"), WRONG, ids=lambda value: str(value)[:40])
def test_what_does_not_fit_is_one_clear_error_in_both_languages(
    case: dict[str, Any], where: str, text: str
) -> None:
    told = {}
    for language in ("en", "zh"):
        use(language)
        with pytest.raises(SpecError) as caught:
            METHODS.make(METHODS.config(case)).apply(base())
        assert [problem.where for problem in caught.value.problems] == [where]
        told[language] = caught.value.problems[0].text
    assert told["en"].startswith(text) and told["zh"] != told["en"]


@pytest.mark.parametrize(
    "case", [{"name": "loha"}, {"name": "lora", "init": "olora"}, {"name": "oft"}], ids=called
)
def test_a_method_that_the_model_cannot_take_is_refused_at_once(case: dict[str, Any]) -> None:
    with pytest.raises(
        SpecError,
        match=r"does not fit this model: .*Conv1D.*\. Choose another method, such as lora",
    ):
        METHODS.make(METHODS.config(case)).apply(base("gpt2"))


@pytest.mark.parametrize(
    "changes", [{"hidden_size": 32}, {"num_hidden_layers": 3}, {"num_hidden_layers": 1}], ids=str
)
def test_an_adapter_for_another_base_is_refused(changes: dict[str, int], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    method, model = applied({"name": "lora", "rank": 4})
    method.save(model, tmp_path)
    config = tiny("llama").config
    config.update(changes)
    for language, text in (
        ("en", "has an adapter that was made for another base"),
        ("zh", "为另一个原模型训练的"),
    ):
        use(language)
        with pytest.raises(ModelError, match=text):
            attach(AutoModelForCausalLM.from_config(config), tmp_path)
