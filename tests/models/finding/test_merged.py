"""A finished run as the model of the next one: its adapter is merged once, and the result answers
as the adapter did.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from tunesmith.errors import ModelError
from tunesmith.models.finding.hub import find_model
from tunesmith.settings.family import METHODS


@pytest.fixture
def adapter(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A LoRA of the tiny model, moved off its start, as plain peft saves it."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model = METHODS.make(METHODS.config({"name": "lora", "rank": 4})).apply(base)
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(12)[None]).logits


def test_an_adapter_comes_merged_into_its_base(adapter: Path, tiny_llama: Path) -> None:
    from peft import PeftModel

    folder = find_model(str(adapter))
    assert (folder / "config.json").is_file() and (folder / "tokenizer.json").is_file()
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    plain = logits(base)
    tuned = logits(PeftModel.from_pretrained(base, adapter).eval())
    torch.testing.assert_close(
        logits(AutoModelForCausalLM.from_pretrained(folder)), tuned, rtol=1e-4, atol=1e-5
    )
    assert (tuned - plain).abs().max() > 0.01


def test_it_is_merged_once(adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logging.enable_progress_bar()
    capsys.readouterr()
    first, told = find_model(str(adapter)), "".join(capsys.readouterr())
    assert "merging the adapter" in told and "Loading weights" not in told and "shards" not in told
    assert logging.is_progress_bar_enabled()
    assert find_model(str(adapter)) == first
    assert "merging" not in "".join(capsys.readouterr())


def test_an_adapter_without_a_base_says_what_to_write(adapter: Path) -> None:
    config = adapter / "adapter_config.json"
    text = config.read_text().replace('"base_model_name_or_path"', '"somewhere"')
    config.write_text(text)
    with pytest.raises(ModelError, match="base_model_name_or_path"):
        find_model(str(adapter))


def test_a_weights_file_that_was_cut_off_is_named(tiny_llama: Path, tmp_path: Path) -> None:
    for file in tiny_llama.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    for size in (len(whole) // 2, len(whole) - 1, 4):
        weights.write_bytes(whole[:size])
        with pytest.raises(
            ModelError, match=r"model\.safetensors: is (incomplete|not a safetensors file)"
        ):
            find_model(str(tmp_path))
    weights.write_bytes(whole)
    assert find_model(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["prompt", "prefix", "bottleneck"])
def test_what_does_not_merge_is_no_model_to_go_on_from(
    name: str, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    method = METHODS.make(METHODS.config({"name": name}))
    method.save(
        method.apply(AutoModelForCausalLM.from_pretrained(tiny_llama).requires_grad_(False)),
        tmp_path / "adapter",
    )
    with pytest.raises(
        ModelError, match=r"is an adapter of \w+, which cannot be merged into its base"
    ):
        find_model(str(tmp_path / "adapter"))
    assert not list((tmp_path / "cache").glob("merged/*"))
