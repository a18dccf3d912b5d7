"""Training beside a quantised base: what is refused, what bitsandbytes gets silently wrong on a
CPU, and the way back.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import byte_tokenizer, tiny_model
from material import runs
from material.adapted import logits, stepped
from material.architectures import tiny
from material.exported import in_type
from material.fast import slow_but
from material.headed import THREE, encoder
from material.sequences import sequences
from tunesmith.batches.batch import Batch
from tunesmith.data.prepare import Prepared
from tunesmith.errors import SpecError
from tunesmith.export.make import export
from tunesmith.models.adapters.attach import attach
from tunesmith.models.calling.views import token_loss
from tunesmith.models.finding.hub import find_model
from tunesmith.models.loading.load import load_model
from tunesmith.models.saved import load_run
from tunesmith.models.structure import quantize
from tunesmith.planning.make import make
from tunesmith.planning.plan import Plan
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import validate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train
from tunesmith.words import use

KINDS = ("nf4", "int8")
both = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose layers are wide enough for blocks of 64."""
    torch.set_num_threads(1)  # children are forked
    return tiny_model(tmp_path_factory.mktemp("quantised"), hidden_size=64, intermediate_size=128)


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Prepared:
    return runs.data_of(runs.resolved(folder / "unused", folder), watch=8)


def loaded(folder: Path, kind: str | None) -> Any:
    return load_model(folder, dtype=torch.float32, device="cpu", quantize=kind).model


def applied(folder: Path, kind: str, **settings: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    method = METHODS.make(METHODS.config({"name": "lora", "rank": 4, **settings}))
    return method, method.apply(loaded(folder, kind))


@both
def test_weights_are_rounded_as_much_as_is_published_and_no_more(kind: str, folder: Path) -> None:
    model, plain = loaded(folder, kind), loaded(folder, None)
    errors = []
    for name, layer in quantize.layers(model):
        weight = plain.get_submodule(name).weight
        errors.append(float((quantize.dequantised(layer) - weight).norm() / weight.norm()))
    # stack.md's measurements: 9.2 % for NF4, 0.75 % for int8.
    low, high = {"nf4": (0.07, 0.11), "int8": (0.003, 0.012)}[kind]
    assert len(errors) == 14 and low < min(errors) and max(errors) < high


@both
def test_training_and_evaluation_compute_the_model_of_the_rounded_weights(
    kind: str, folder: Path
) -> None:
    model = loaded(folder, kind)
    evaluated = logits(model)
    batch = Batch.grow(sequences())
    before = gradient_of_embeddings(model, batch)
    with torch.no_grad():
        trained = model.train()(input_ids=torch.arange(24)[None], use_cache=False).logits
    plain = quantize.make_plain(model.eval())
    wanted = logits(plain)
    torch.testing.assert_close(evaluated, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(trained, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(before, gradient_of_embeddings(plain, batch), rtol=1e-4, atol=1e-6)
    assert "quantization_config" not in plain.config.to_dict()


def gradient_of_embeddings(model: Any, batch: Batch) -> torch.Tensor:
    """Also after an evaluation, which is where bitsandbytes would lose it."""
    embeddings = model.get_input_embeddings().weight.requires_grad_(True)
    (gradient,) = torch.autograd.grad(token_loss(model, batch).total, embeddings)
    embeddings.requires_grad_(False)
    return gradient


BESIDE = [(kind, name) for name in METHODS.names() for kind in KINDS]
FAST = {
    *(f"nf4-{name}" for name in ("lora", "qlora", "adalora", "bottleneck", "prefix", "full")),
    *("int8-lora", "int8-boft", "int8-full"),
}
"""A method of each place where a rounded layer is met, and one that is refused. All 50 took 40 s;
the others are slow tests.
"""


@pytest.mark.parametrize(("kind", "name"), slow_but(FAST, BESIDE, "-".join))
def test_every_method_trains_beside_it_or_says_that_it_does_not(
    kind: str, name: str, folder: Path, tmp_path: Path
) -> None:
    several = [{"name": "lora", "rank": 4}, {"name": "bottleneck"}]
    small = {
        "vera": {"rank": 16},
        "fourierft": {"frequencies": 100},
        "combined": {"methods": several},
    }.get(name, {})
    method = METHODS.make(METHODS.config({"name": name, **small}))
    if kind not in method.bases:
        assert kind in refusal(folder, method=name, quantize=kind)
        return
    torch.manual_seed(0)
    plain = logits(loaded(folder, kind))
    model = method.apply(loaded(folder, kind))
    assert bool((logits(model) - plain).abs().max() < 1e-4) == method.starts_as_base
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    stepped(method, model)
    moved = {name for name, weight in model.named_parameters() if not weight.equal(before[name])}
    assert (
        moved
        == {name for name, weight in model.named_parameters() if weight.requires_grad}
        != set()
    )
    assert (logits(model) - plain).abs().max() > 1e-3
    method.save(model, tmp_path)
    same = attach(quantize.make_plain(loaded(folder, kind)), tmp_path)
    torch.testing.assert_close(logits(model), logits(same), rtol=1e-4, atol=1e-4)


def plan(folder: Path, out: Path, method: Any, **settings: Any) -> Plan:
    rows = out.parent / "rows.json"
    rows.write_text(json.dumps(runs.rows(40)), encoding="utf-8")
    return make(
        validate(
            {
                "model": {"path": str(folder), **settings},
                "data": str(rows),
                "out": str(out),
                "method": method,
            }
        )
    )


def refusal(folder: Path, *, method: Any, quantize: str | None) -> str:
    from tunesmith.planning.rules import base_fits

    model = {"path": str(folder)} | ({"quantize": quantize} if quantize else {})
    (problem,) = base_fits(validate({"model": model, "data": "x", "out": "y", "method": method}))
    assert problem.where == "model.quantize"
    return problem.text


def test_what_changes_the_base_is_refused_beside_rounded_weights_in_both_languages(
    folder: Path,
) -> None:
    assert "the method full cannot train on a base that is quantised to nf4" in refusal(
        folder, method="full", quantize="nf4"
    )
    pissa, loftq = {"name": "lora", "init": "pissa"}, {"name": "lora", "init": "loftq"}
    assert "trains on: plain" in refusal(folder, method=pissa, quantize="int8")
    assert "needs a quantised base (nf4); set model.quantize" in refusal(
        folder, method=loftq, quantize=None
    )
    use("zh")
    assert "不能在量化为 nf4 的原模型上训练" in refusal(folder, method="full", quantize="nf4")


def test_without_the_package_there_is_one_error_with_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        SpecError,
        match=(
            r"model.quantize: needs the package bitsandbytes.*pip install 'tunesmith\[quantize\]'"
        ),
    ):
        loaded(folder, "nf4")
    assert "pip install 'tunesmith[quantize]'" in refusal(folder, method="lora", quantize="int8")


def test_qlora_is_lora_with_what_the_run_leaves_open_filled(folder: Path, tmp_path: Path) -> None:
    made = plan(folder, tmp_path / "run", {"name": "qlora", "rank": 4})
    assert not made.problems
    run, origins = made.resolved.run, made.resolved.origins
    assert (run.method.name, run.method.rank, run.model.quantize) == ("qlora", 4, "nf4")
    assert run.train.optimizer.name == "paged_adamw_8bit" and run.train.learning_rate == 2e-4
    for path in ("model.quantize", "train.optimizer.beta1"):
        assert (origins[path].kind, origins[path].reason) == ("derived", "from the preset qlora")
    own = plan(folder, tmp_path / "other", "qlora", quantize="int8").resolved
    assert own.run.model.quantize == "int8" and own.origins["model.quantize"].kind == "given"
    assert own.run.train.optimizer.name == "paged_adamw_8bit"


def test_the_plan_knows_what_the_weights_take(folder: Path, tmp_path: Path) -> None:
    def weights(**settings: Any) -> float:
        name = str(settings.get("quantize"))
        return (
            plan(folder, tmp_path / name, {"name": "lora", "rank": 4}, **settings).facts[
                "memory_terms_gib"
            ]["weights"]
            * 2**30
        )

    plain, model = weights(), loaded(folder, None)
    rounded = sum(
        model.get_submodule(name).weight.numel()
        for name, _ in quantize.layers(loaded(folder, "nf4"))
    )
    for kind, each in (("nf4", 0.5159), ("int8", 1.0)):
        assert plain - weights(quantize=kind) == pytest.approx(
            rounded * (4 - each), abs=2e5
        )  # rounded to 1e-4 GiB
    held = sum(quantize.count(weight) for weight in loaded(folder, "nf4").parameters())
    assert held == sum(weight.numel() for weight in model.parameters())


LOFTQ = {"name": "qlora", "init": "loftq"}


WAYS = {
    "qlora": {"name": "qlora"},
    "int8": {"name": "lora", "kind": "int8"},
    "loftq": LOFTQ,
    "loftq of three": LOFTQ | {"alternations": 3},
}


# Each takes 7 s.
@pytest.mark.parametrize("way", slow_but(["loftq of three"], WAYS))
def test_a_run_that_was_killed_ends_alike_loads_in_plain_peft_and_exports(
    way: str, folder: Path, prepared: Prepared, tmp_path: Path
) -> None:
    case = {**WAYS[way]}
    kind = case.pop("kind", None)
    more = {"method": {"rank": 4, "dropout": 0.1, **case}} | (
        {"model.quantize": kind} if kind else {}
    )
    whole, broken = (runs.resolved(tmp_path / name, folder, **more) for name in ("whole", "broken"))

    def killed(at: int) -> Any:
        return lambda line: os._exit(9) if line["step"] == at and "loss" in line else None

    assert runs.in_child(lambda: train(whole, prepared)) == 0
    assert runs.in_child(lambda: train(broken, prepared, events=runs.on_step(killed(5)))) == 9
    stopped = RunFolder(tmp_path / "broken")
    assert runs.in_child(lambda: train(stopped.resolved(), prepared, resume=True)) == 0
    straight = RunFolder(tmp_path / "whole")
    assert runs.weights(stopped.model) == runs.weights(straight.model)
    assert runs.record(stopped) == runs.record(straight)
    run = straight.resolved().run
    assert (run.model.quantize, run.train.optimizer.name) == (
        kind or "nf4",
        "adamw" if kind else "paged_adamw_8bit",
    )

    tuned, base = load_run(straight), load_run(straight, tuned=False)
    wanted = logits(tuned.model)
    assert (wanted - logits(base.model)).abs().max() > 1e-3
    if (
        "alternations" not in case
    ):  # with several the base is another, and plain peft cannot make it
        with tuned.model.disable_adapter():
            torch.testing.assert_close(logits(tuned.model), logits(base.model))
        theirs = of_plain_peft(folder, straight.model, run.model.quantize)
        torch.testing.assert_close(logits(theirs), wanted, rtol=1e-5, atol=1e-5)

    done = export(straight, tmp_path / "merged", in_type("fp32"))
    assert done.merged.relative < 1e-5 and done.saved.relative < 1e-5
    assert done.warnings[0].startswith(
        f"the base was quantised to {run.model.quantize} in training"
    )
    again = loaded(tmp_path / "merged", None)
    torch.testing.assert_close(logits(again), wanted, rtol=1e-4, atol=1e-4)
    going_on = loaded(find_model(str(straight.path)), None)
    torch.testing.assert_close(logits(going_on), wanted, rtol=1e-4, atol=1e-4)


def of_plain_peft(folder: Path, adapter: Path, kind: str) -> Any:
    """The adapter as anybody loads it, without anything of ours but the arithmetic of the
    layers.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    config = quantize.settings(kind, torch.float32)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=config, device_map={"": "cpu"}
    )
    quantize.make_steady(model)
    return PeftModel.from_pretrained(model, adapter).eval()


def test_loftq_starts_nearer_to_the_unrounded_model_than_rounding_leaves_it(folder: Path) -> None:
    _, model = applied(folder, "nf4", init="loftq", rank=8, alpha=4)
    plain = loaded(folder, None)
    for name, layer in model.base_model.model.named_modules():
        if type(layer).__name__ == "Linear4bit" and "lora_A" in dict(layer.named_children()):
            lost = plain.get_submodule(name).weight - quantize.dequantised(layer.base_layer)
            change = (
                layer.lora_B["default"].weight
                @ layer.lora_A["default"].weight
                * layer.scaling["default"]
            )
            # Eckart and Young: what is left is what the singular values from the ninth on make.
            left = torch.linalg.svdvals(lost)[8:].norm()
            torch.testing.assert_close((lost - change).norm(), left, rtol=1e-4, atol=1e-6)
            assert left < 0.9 * lost.norm()
    with model.disable_adapter():
        rounded = logits(model)
    assert (logits(model) - logits(plain)).norm() < (rounded - logits(plain)).norm()
    with pytest.raises(
        SpecError, match=r"method.variant: dora measures the layer before loftq changes it"
    ):
        applied(folder, "nf4", init="loftq", variant="dora")


def test_loftq_takes_the_weights_of_gpt2_the_right_way_round(tmp_path: Path) -> None:
    """They are stored transposed, and that of the attention's output is square."""
    byte_tokenizer(tmp_path)
    model = tiny("gpt2")
    model.resize_token_embeddings(404)
    model.save_pretrained(tmp_path)
    _, model = applied(tmp_path, "nf4", init="loftq", rank=8)
    plain, squares = loaded(tmp_path, None), 0
    for name, layer in model.base_model.model.named_modules():
        if type(layer).__name__ == "Linear4bit" and "lora_A" in dict(layer.named_children()):
            lost = plain.get_submodule(name).weight.T - quantize.dequantised(layer.base_layer)
            left = lost - layer.get_delta_weight("default")
            assert left.norm() < 0.95 * lost.norm(), name
            squares += lost.shape[0] == lost.shape[1]
    assert squares == 2


def left_over(folder: Path, **settings: Any) -> dict[str, float]:
    """‖W − Q − s B A‖ of every layer."""
    _, model = applied(folder, "nf4", init="loftq", rank=8, alpha=4, **settings)
    plain, found = loaded(folder, None), {}
    for name, layer in model.base_model.model.named_modules():
        if type(layer).__name__ == "Linear4bit" and "lora_A" in dict(layer.named_children()):
            change = (
                layer.lora_B["default"].weight
                @ layer.lora_A["default"].weight
                * layer.scaling["default"]
            )
            rest = (
                plain.get_submodule(name).weight - quantize.dequantised(layer.base_layer) - change
            )
            found[name] = float(rest.detach().norm())
    return found


@pytest.mark.slow  # 3 s
def test_more_alternations_never_leave_more_and_what_is_saved_makes_the_base_again(
    folder: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    left = [left_over(folder, alternations=count) for count in (1, 2, 5)]
    for few, more in itertools.pairwise(left):
        assert all(more[name] <= few[name] + 1e-6 for name in few) and sum(
            more.values()
        ) < 0.99 * sum(few.values())
    method, model = applied(folder, "nf4", init="loftq", alternations=3)
    start = logits(model)
    stepped(method, model, steps=3)
    method.save(model, tmp_path)
    torch.testing.assert_close(
        logits(attach(loaded(folder, "nf4"), tmp_path)), logits(model), rtol=1e-4, atol=1e-5
    )
    plain = quantize.make_plain(loaded(folder, "nf4"))
    torch.testing.assert_close(logits(attach(plain, tmp_path)), logits(model), rtol=1e-4, atol=1e-4)
    with pytest.raises(KeyError, match="TUNESMITH_LOFTQ"):
        PeftModel.from_pretrained(loaded(folder, "nf4"), tmp_path)
    assert not torch.allclose(logits(applied(folder, "nf4", init="loftq")[1]), start, atol=1e-4), (
        "three alternations start elsewhere than one"
    )
    with pytest.raises(
        SpecError,
        match=r"method\.alternations: more than one alternation is only for method.init=loftq",
    ):
        applied(folder, "nf4", alternations=2)


def test_a_lora_saved_beside_rounded_weights_answers_alike_when_attached_again(
    folder: Path, tmp_path: Path
) -> None:
    method, model = applied(folder, "nf4", variant="dora")
    stepped(method, model)
    method.save(model, tmp_path)
    torch.testing.assert_close(
        logits(attach(loaded(folder, "nf4"), tmp_path)), logits(model), rtol=1e-5, atol=1e-5
    )


def test_an_adapter_that_does_not_fold_is_served_beside_rounded_weights(
    folder: Path, prepared: Prepared, tmp_path: Path
) -> None:
    one = runs.resolved(
        tmp_path / "run", folder, method="bottleneck", **{"model.quantize": "nf4", "train.steps": 2}
    )
    assert runs.in_child(lambda: train(one, prepared)) == 0
    with pytest.raises(SpecError, match="cannot be merged") as caught:
        export(RunFolder(tmp_path / "run"), tmp_path / "merged")
    served: dict[str, Any] = {}
    exec("\n".join(line.strip() for line in str(caught.value).splitlines()[1:]), served)
    wanted = logits(load_run(RunFolder(tmp_path / "run")).model)
    # Without make_steady(), a CPU with bf16 computes less exactly.
    near, far = (
        float((logits(model) - wanted).norm()) for model in (served["model"], loaded(folder, None))
    )
    assert near < far / 5


def test_a_classifier_beside_rounded_weights_is_a_model_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForSequenceClassification

    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    base, ids = encoder(tmp_path / "bert"), torch.arange(5, 20)[None]
    how: dict[str, Any] = {
        "dtype": torch.float32,
        "device": "cpu",
        "head": "classes",
        "outputs": THREE,
    }
    method = METHODS.make(METHODS.config({"name": "lora", "rank": 4}))
    model = method.apply(load_model(base, quantize="nf4", **how).model)
    torch.manual_seed(1)
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.1)
    method.save(model, tmp_path / "adapter")
    facts = {"base": str(base), "quantize": "nf4", "objective": "classify"}
    facts |= {"outputs": {"names": THREE.names, "problem": THREE.problem, "kept": False}}
    (tmp_path / "adapter" / "tunesmith.json").write_text(json.dumps(facts), encoding="utf-8")
    merged = AutoModelForSequenceClassification.from_pretrained(
        find_model(str(tmp_path / "adapter"))
    )
    with torch.no_grad():
        found, wanted = (one.eval()(input_ids=ids).logits for one in (merged, model))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
