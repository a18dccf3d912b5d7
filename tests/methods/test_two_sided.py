"""Every method on a model with an encoder and a decoder: it trains, merges and loads alike, or the
plan refuses it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from material import runs
from material.adapted import CASES, called
from material.fast import slow_but
from material.two_sided import tiny_pair
from tunesmith.batches.batch import Batch
from tunesmith.data.rendering.render import Render
from tunesmith.errors import SpecError
from tunesmith.examples import Chat, Turn
from tunesmith.methods import Method
from tunesmith.models.adapters import beside_base
from tunesmith.models.adapters.attach import attach
from tunesmith.models.calling.views import token_loss
from tunesmith.models.loading.load import load_model
from tunesmith.planning.shape import shape
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import Data

REFUSED: dict[str, str] = {}
"""What peft itself cannot do with such a model, by method: how it is told."""


@pytest.fixture(scope="module")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pair(tmp_path_factory.mktemp("t5"), dropout_rate=0.0)


def fresh(folder: Path) -> Any:
    return load_model(folder, dtype=torch.float32, device="cpu")


def logits(model: Any) -> torch.Tensor:
    ids = torch.arange(3, 24)[None]
    with torch.no_grad():
        return model.eval()(input_ids=ids, decoder_input_ids=ids[:, :9], use_cache=False).logits


def stepped(method: Any, loaded: Any, steps: int = 6) -> None:
    render = Render(loaded.tokenizer, Data(path="x"))
    chats = [
        Chat((Turn("user", f"How far is it {n}?"), Turn("assistant", f"{n} km"))) for n in range(4)
    ]
    batch = loaded.lay(Batch.grow([render.chat(chat) for chat in chats]))
    trained = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    method.begin(steps)
    loaded.model.train()
    for step in range(1, steps + 1):
        ((token_loss(loaded.model, batch).total + method.penalty(batch)) / batch.units).backward()
        optimizer.step()
        method.after_step(step)
        optimizer.zero_grad()


# One method of each place where it changes the model; all thirty took 32 s.
@pytest.mark.parametrize(
    "case",
    slow_but(["full", "lora", "adalora", "bottleneck", "ln_tuning", "prefix"], CASES, called),
)
def test_it_trains_and_loads_alike_or_the_plan_refuses_it(
    case: dict[str, Any], tiny_t5: Path, tmp_path: Path
) -> None:
    named = (
        {"parts": "layer_norm"} if case.get("parts") == "norm" else {}
    )  # what T5 calls its norms
    run = runs.resolved(tmp_path / "unused", tiny_t5, method=case | named).run
    if case["name"] in REFUSED or "encoder-decoder" not in METHODS.make(METHODS.config(case)).kinds:
        text = REFUSED.get(case["name"], f"{case['name']} cannot train an encoder with a decoder")
        with pytest.raises(SpecError, match=text):
            shape(tiny_t5, run)
        return
    planned = shape(tiny_t5, run)
    loaded, plain = fresh(tiny_t5), logits(fresh(tiny_t5).model)
    torch.manual_seed(0)
    method = METHODS.make(run.method)
    loaded.model = method.apply(loaded.model)
    assert (
        planned.trainable
        == sum(weight.numel() for weight in loaded.model.parameters() if weight.requires_grad)
        > 0
    )
    assert bool((logits(loaded.model) - plain).abs().max() < 1e-4) == method.starts_as_base
    stepped(method, loaded)
    wanted = logits(loaded.model)
    assert (wanted - plain).abs().max() > 1e-3
    method.save(loaded.model, tmp_path)
    within = {"rtol": 1e-4, "atol": 1e-3 if method.rewrites_base else 1e-4}
    for again in reloaded(method, tiny_t5, tmp_path):
        torch.testing.assert_close(logits(again), wanted, **within)
    if method.adapter and method.merges:
        torch.testing.assert_close(
            logits(beside_base.merge(loaded.model)), wanted, rtol=1e-4, atol=1e-3
        )


def reloaded(method: Method, base: Path, saved: Path) -> list[Any]:
    """What was saved, as we load it and, where the adapter is peft's, as plain transformers and
    peft do.
    """
    from peft import PeftModel
    from transformers import AutoModelForSeq2SeqLM

    if not method.adapter:
        return [AutoModelForSeq2SeqLM.from_pretrained(saved)]
    if beside_base.is_own(saved):
        return [attach(fresh(base).model, saved)]
    assert json.loads((saved / "adapter_config.json").read_text())["task_type"] == "SEQ_2_SEQ_LM"
    return [
        attach(fresh(base).model, saved),
        PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(base), saved),
    ]


def test_a_kind_that_a_method_does_not_take_is_refused(
    tiny_t5: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS.get("lora"), "kinds", frozenset({"decoder"}))
    with pytest.raises(
        SpecError, match="cannot train an encoder with a decoder; it trains a decoder"
    ):
        shape(tiny_t5, runs.resolved(tiny_t5 / "unused", tiny_t5).run)


def test_the_last_blocks_are_those_of_the_decoder(tiny_t5: Path) -> None:
    model = METHODS.make(METHODS.config({"name": "freeze", "last": 1})).apply(fresh(tiny_t5).model)
    trained = {
        name.partition(".layer.")[0]
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }
    assert trained == {"decoder.block.1"}
