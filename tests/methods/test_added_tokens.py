"""Added tokens: one id each, rows that are trained and saved with the adapter, whether the head is
tied or not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import tiny_model
from material import runs
from material.adapted import logits
from material.exported import in_type
from material.fast import slow_but
from tunesmith.batches.batch import Batch
from tunesmith.errors import SpecError
from tunesmith.export.make import export
from tunesmith.models.calling.views import token_loss
from tunesmith.models.finding.hub import find_model
from tunesmith.models.loading.load import load_model
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.saved import load_run
from tunesmith.planning.rules import base_fits
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import validate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train
from tunesmith.words import use

ADDED = ("<think>", " km")
FIRST = 404
"""The id of the first; the tiny models have 404 rows."""


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)  # children are forked
    place = tmp_path_factory.mktemp("tokens")
    return tiny_model(
        place, tie_word_embeddings=request.param, hidden_size=64, intermediate_size=128
    )


def applied(folder: Path) -> tuple[Any, Any]:
    torch.manual_seed(0)
    loaded = load_model(folder, dtype=torch.float32, device="cpu", add_tokens=ADDED)
    return loaded, METHODS.make(METHODS.config({"name": "lora", "rank": 4})).apply(loaded.model)


def test_each_becomes_one_token_whose_row_starts_as_the_mean_of_its_pieces(folder: Path) -> None:
    plain = load_model(folder, dtype=torch.float32, device="cpu")
    loaded = load_model(folder, dtype=torch.float32, device="cpu", add_tokens=ADDED)
    ids = loaded.tokenizer.encode("5 km <think>", add_special_tokens=False)
    assert loaded.tokenizer.decode(ids, skip_special_tokens=True) == "5 km <think>"
    rows = len(plain.model.get_input_embeddings().weight)
    new = loaded.tokenizer.convert_tokens_to_ids(list(ADDED))
    assert set(new) <= set(ids)
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        before, after = (getattr(one.model, layer)().weight for one in (plain, loaded))
        for token, text in zip(new, ADDED, strict=True):
            pieces = plain.tokenizer.encode(text, add_special_tokens=False)
            torch.testing.assert_close(after[token], before[pieces].mean(0))
        untouched = [row for row in range(rows) if row not in new]
        assert torch.equal(after[untouched], before[untouched])


def test_the_loss_has_the_gradient_of_the_models_own(folder: Path) -> None:
    loaded, model = applied(folder)
    ids = loaded.tokenizer.encode("How far <think> is it? 5 km 7 km", add_special_tokens=False)
    from tunesmith.batches.batch import Tokens

    import numpy as np  # isort: skip

    weights = np.ones(len(ids), np.float32)
    weights[0] = 0
    batch = Batch.grow([[Tokens(np.array(ids, np.int32), weights)]])
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    rows = [name for name in trained if "trainable_tokens_delta" in name]
    assert len(rows) == (1 if model.config.tie_word_embeddings else 2)
    token_loss(model.train(), batch).total.backward()
    ours = {
        name: weight.grad.clone() for name, weight in trained.items() if weight.grad is not None
    }
    model.zero_grad()
    own = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1]
    torch.nn.functional.cross_entropy(own, torch.tensor(ids[1:]), reduction="sum").backward()
    for name, weight in trained.items():
        torch.testing.assert_close(ours[name], weight.grad, rtol=1e-4, atol=1e-6)
        assert "lora_A" in name or weight.grad.abs().max() > 1e-4


WAYS = [(tied, method) for tied in (True, False) for method in ("lora", "qlora", "full")]


@pytest.mark.parametrize(
    ("folder", "method"),
    # All six took 33 s.
    slow_but(["tied-qlora"], WAYS, lambda way: f"{'' if way[0] else 'un'}tied-{way[1]}"),
    indirect=["folder"],
)
def test_a_run_learns_them_resumes_alike_and_leaves_them_in_what_it_saves(
    method: str, folder: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"model.add_tokens": list(ADDED), "method": method, "train.steps": 6}
    whole, broken = (
        runs.resolved(tmp_path / name, folder, **settings) for name in ("whole", "broken")
    )

    def die(line: Any) -> None:
        if line["step"] == 5 and "loss" in line:
            os._exit(9)

    assert runs.in_child(lambda: train(whole)) == 0
    assert runs.in_child(lambda: train(broken, events=runs.on_step(die))) == 9
    assert runs.in_child(lambda: train(RunFolder(tmp_path / "broken").resolved(), resume=True)) == 0
    straight, resumed = (RunFolder(tmp_path / name) for name in ("whole", "broken"))
    assert runs.weights(resumed.model) == runs.weights(straight.model)

    tuned = load_run(straight)
    text = "How far? 5 km <think>"
    ids = torch.tensor([tuned.tokenizer.encode(text, add_special_tokens=False)])
    with torch.no_grad():
        wanted = tuned.model(input_ids=ids, use_cache=False).logits
        base = load_run(straight, tuned=False).model(input_ids=ids, use_cache=False).logits
    assert base.shape == wanted.shape and (base - wanted).abs().max() > 1e-3
    export(straight, tmp_path / "merged", in_type("fp32"))
    places = (
        [tmp_path / "merged"]
        if method == "full"
        else [tmp_path / "merged", find_model(str(straight.path))]
    )
    for place in places:
        again = load_model(place, dtype=torch.float32, device="cpu")
        assert again.tokenizer.encode(text, add_special_tokens=False) == ids[0].tolist()
        with torch.no_grad():
            torch.testing.assert_close(
                again.model(input_ids=ids, use_cache=False).logits, wanted, rtol=1e-4, atol=1e-4
            )


def test_plain_peft_loads_them_on_a_resized_base(folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    loaded, model = applied(folder)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.05)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").stat().st_size < 120_000, (
        "the rows, not the whole embeddings"
    )
    base = AutoModelForCausalLM.from_pretrained(folder)
    base.resize_token_embeddings(
        len(loaded.model.get_input_embeddings().weight), mean_resizing=False
    )
    torch.testing.assert_close(
        logits(PeftModel.from_pretrained(base, tmp_path)), logits(model), rtol=1e-5, atol=1e-5
    )


def test_what_makes_no_sense_is_refused(folder: Path) -> None:
    use("en")
    with pytest.raises(
        SpecError, match=r"model.add_tokens: '<\|im_end\|>': already one token of this tokenizer"
    ):
        load_tokenizer(folder, add_tokens=("<|im_end|>", "<x>"))

    def told(method: str, *tokens: str) -> list[str]:
        run = {
            "model": {"path": str(folder), "add_tokens": list(tokens)},
            "data": "x",
            "out": "y",
            "method": method,
        }
        return [problem.text for problem in base_fits(validate(run))]

    assert told("lora", "<x>") == []
    assert told("ia3", "<x>")[0].startswith(
        "the method ia3 does not train the rows of added tokens"
    )
    assert told("lora", "<x>", "<x>") == [
        "the texts must differ from one another, and none may be empty"
    ]
