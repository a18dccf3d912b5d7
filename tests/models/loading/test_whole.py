"""A base is the model that its config describes, or the plan names the weights that make it
another.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from material.architectures import ARCHITECTURES, SIZES
from material.headed import encoder
from tunesmith.errors import ModelError
from tunesmith.models.finding.hub import find_model
from tunesmith.models.loading.load import load_model, outline
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.structure.kinds import load_config
from tunesmith.planning.make import make
from tunesmith.settings.run import validate

Weights = dict[str, torch.Tensor]
FIRST = "model.layers.0.self_attn.q_proj.weight"


def changed(model: Path, folder: Path, change: Callable[[Weights], Weights]) -> Path:
    """A copy of ``model`` with other weights."""
    shutil.copytree(model, folder)
    weights = load_file(model / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", {"format": "pt"})
    return folder


def told(folder: Path, data: Path, **settings: Any) -> str:
    """The plan's problems, which are those of loading; the weights of neither are used."""
    made = make(
        validate(
            {"model": str(folder), "data": str(data), "out": str(data.parent / "run")} | settings
        )
    )
    return "\n".join(str(problem) for problem in made.problems)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    made = [{"question": f"who is {n}", "answer": f"{n * 7 % 13}"} for n in range(60)]
    file.write_text("\n".join(map(json.dumps, made)), encoding="utf-8")
    return file


CHANGES: dict[str, tuple[Callable[[Weights], Weights], list[str]]] = {
    "prefixed": (
        lambda weights: {f"module.{name}": value for name, value in weights.items()},
        ["missing", "The names begin with 'module."],
    ),
    "one is missing": (
        lambda weights: {name: value for name, value in weights.items() if name != FIRST},
        [f"1 missing ({FIRST})", "Download the whole model again"],
    ),
    "another shape": (
        lambda weights: weights | {FIRST: torch.zeros(16, 32)},
        [f"{FIRST} [16, 32] ≠ [32, 32]"],
    ),
    "a layer more": (
        lambda weights: weights | {FIRST.replace(".0.", ".2."): torch.zeros(32, 32)},
        ["1 without a place", "model.layers.2"],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("objective", ["sft", "embed"])
def test_weights_of_another_model_are_named_in_the_plan_and_never_trained(
    name: str, objective: str, tiny_llama: Path, rows: Path, tmp_path: Path
):
    change, parts = CHANGES[name]
    folder = changed(tiny_llama, tmp_path / "model", change)
    text = told(folder, rows, objective=objective)
    head = "language" if objective == "sft" else "embedding"
    with pytest.raises(ModelError) as error:
        load_model(folder, dtype=torch.float32, device="cpu", head=head)
    for part in parts:
        part = part if objective == "sft" else part.replace("model.layers", "layers")
        assert part in text and part in str(error.value)


def test_an_encoder_without_one_tensor_of_its_trunk_is_refused(rows: Path, tmp_path: Path):
    whole = encoder(tmp_path / "whole")
    lost = "encoder.layer.1.output.dense.weight"

    def without(weights: Weights) -> Weights:
        return {name: value for name, value in weights.items() if not name.endswith(lost)}

    folder = changed(whole, tmp_path / "model", without)
    assert f"1 missing ({lost})" in told(folder, rows, objective="embed")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_whole_model_of_every_architecture_is_taken_as_it_is(name: str, tmp_path: Path):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(name.partition("+")[0], **(SIZES | ARCHITECTURES[name]))
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    for head in ("language", "embedding"):
        config = load_config(tmp_path)
        model = outline(tmp_path, config, head)
        assert {weight.device.type for weight in model.parameters()} == {"meta"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtype": []},
        {"head_dim": 0},
        {"num_attention_heads": 0},
        {"intermediate_size": -1},
        {"vocab_size": 0},
        {"vocab_size": -1},
    ],
    ids=str,
)
def test_a_config_of_which_no_model_can_be_made_is_told(
    wrong: dict[str, Any], tiny_llama: Path, rows: Path, tmp_path: Path
):
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    config = json.loads((folder / "config.json").read_text()) | wrong
    (folder / "config.json").write_text(json.dumps(config))
    assert "config.json" in told(folder, rows)


def test_a_quantised_base_is_refused_with_the_way_out(tiny_llama: Path, rows: Path, tmp_path: Path):
    for method in ("gptq", "awq", "fp8", "bitsandbytes"):
        folder = tmp_path / method
        shutil.copytree(tiny_llama, folder)
        config = json.loads((folder / "config.json").read_text())
        config["quantization_config"] = {"quant_method": method, "bits": 4}
        (folder / "config.json").write_text(json.dumps(config))
        text = told(folder, rows)
        assert f"already quantised ({method})" in text and "model.quantize=nf4" in text


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.int8])
def test_rounded_weights_are_refused_where_the_config_does_not_say_so(
    kind: torch.dtype, tiny_llama: Path, rows: Path, tmp_path: Path
):
    folder = changed(tiny_llama, tmp_path / "m", lambda all_: all_ | {FIRST: all_[FIRST].to(kind)})
    text = told(folder, rows)
    assert f"already quantised ({FIRST}: " in text and "model.quantize=nf4" in text


def test_a_tokenizer_with_more_ids_than_the_embedding_has_rows_is_refused(
    tiny_llama: Path, rows: Path, tmp_path: Path
):
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    tokenizer = load_tokenizer(tiny_llama)
    own = len(tokenizer)
    tokenizer.add_tokens(["<think>", *(f"<extra_{n}>" for n in range(98))])
    tokenizer.save_pretrained(folder)
    text = told(folder, rows)
    assert f"{own + 99} ids" in text and "404 rows" in text and "<extra_" in text
    assert "model.add_tokens" in text


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_called_so(name: str, tiny_llama: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    (folder / name).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 269060552\n"
    )
    with pytest.raises(ModelError, match="git-lfs") as error:
        find_model(str(folder))
    assert name in str(error.value) and "git lfs pull" in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("head", ["language", "embedding"])
def test_a_weight_that_is_not_finite_is_named_before_anything_is_trained(
    value: float, head: str, tiny_llama: Path, tmp_path: Path
):
    """Neither the rows nor the rate are blamed for what came with the base."""

    def broken(weights: Weights) -> Weights:
        spoilt = weights[FIRST].clone()
        spoilt[0, 0] = value
        return weights | {FIRST: spoilt}

    folder = changed(tiny_llama, tmp_path / "model", broken)
    with pytest.raises(ModelError) as error:
        load_model(folder, dtype=torch.float32, device="cpu", head=head)
    name = FIRST if head == "language" else FIRST.removeprefix("model.")
    assert f"not finite (NaN or infinite) in 1 of its tensors ({name})" in str(error.value)


def test_large_finite_weights_are_no_fault(tiny_llama: Path, tmp_path: Path):
    """Their sum is infinite, they are not."""

    def large(weights: Weights) -> Weights:
        return weights | {FIRST: torch.full_like(weights[FIRST], 3e38)}

    folder = changed(tiny_llama, tmp_path / "model", large)
    loaded = load_model(folder, dtype=torch.float32, device="cpu", head="language")
    assert loaded.model.state_dict()[FIRST].eq(3e38).all()


@pytest.mark.parametrize(
    "page", ["<!DOCTYPE html><html>", "\n<html>", "<?xml version='1.0'?><Error>"]
)
def test_a_web_page_in_place_of_the_weights_is_called_so(
    page: str, tiny_llama: Path, tmp_path: Path
):
    shutil.copytree(tiny_llama, tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    file.write_text(page + "404 " * 40, encoding="utf-8")
    with pytest.raises(ModelError, match=r"model\.safetensors: is a web page"):
        find_model(str(file.parent))


def test_tokens_without_a_row_in_the_embedding_are_named_whatever_they_are(
    tiny_llama: Path, tmp_path: Path
):
    """Plain words of the vocabulary as well as added ones."""
    shutil.copytree(tiny_llama, tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    config = json.loads(file.read_text("utf-8"))
    whole = load_tokenizer(tiny_llama)
    rows = len(whole) - 6
    file.write_text(json.dumps(config | {"vocab_size": rows}), encoding="utf-8")
    with pytest.raises(ModelError) as error:
        load_tokenizer(tmp_path / "model")
    first = whole.convert_ids_to_tokens(rows)
    assert f"so {first!r}, " in str(error.value) and ", … would have" in str(error.value)
