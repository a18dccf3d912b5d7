"""Virtual tokens in front of what is read both ways: BERT's and RoBERTa's rows, T5's source; and
what cannot take them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from material import runs
from material.fast import slow_but
from material.headed import THREE, encoder
from material.two_sided import tiny_pair
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.data.rendering.encoder_decoder import beginning
from tunesmith.errors import ModelError, SpecError
from tunesmith.export.make import export
from tunesmith.methods import Method
from tunesmith.models.adapters.attach import attach
from tunesmith.models.calling.generate import generate
from tunesmith.models.calling.views import see
from tunesmith.models.loading.load import load_model
from tunesmith.models.saved import load_run
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import Generate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train

FOUR = ("prompt", "p_tuning", "prefix", "p_tuning_v2")
ROWS = [np.array([2, *range(20, 20 + count), 3], np.int32) for count in (9, 3, 6)]


def method(name: str) -> Method:
    return METHODS.make(METHODS.config({"name": name, "tokens": 5}))


def loaded(folder: Path, head: Any = "classes") -> Any:
    torch.manual_seed(0)
    return load_model(
        folder,
        dtype=torch.float32,
        device="cpu",
        head=head,
        outputs=THREE if head == "classes" else None,
    )


def rows(types: bool = False) -> Batch:
    columns = [
        {"types_T": (np.arange(len(ids)) > 3).astype(np.int8)} if types else {} for ids in ROWS
    ]
    made = [
        [Tokens(ids, np.zeros(len(ids), np.float32), told)]
        for ids, told in zip(ROWS, columns, strict=True)
    ]
    return Batch.grow(made, unit="sequence").padded()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    own = ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
    more: dict[str, dict[str, Any]] = {
        "roberta": {"pad_token_id": 0},
        "modernbert": dict.fromkeys(own, 0),
    }
    kinds = ("bert", "roberta", "distilbert", "modernbert", "electra")
    return {
        kind: encoder(place / kind, kind, cls="AutoModelForMaskedLM", **more.get(kind, {}))
        for kind in kinds
    }


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
@pytest.mark.parametrize("name", FOUR)
def test_padding_and_company_change_nothing_and_it_is_saved(
    name: str, kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    one = loaded(folders[kind])
    plain = see(one.model, rows()).outputs_BC
    model = method(name).apply(one.model)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn_like(weight)
        together = see(model.eval(), rows()).outputs_BC
        for index, ids in enumerate(ROWS):
            alone = Batch.grow(
                [[Tokens(ids, np.zeros(len(ids), np.float32))]], unit="sequence"
            ).padded()
            torch.testing.assert_close(
                see(model, alone).outputs_BC[0], together[index], rtol=1e-5, atol=1e-5
            )
        model.save_pretrained(tmp_path)
        again = attach(loaded(folders[kind]).model, tmp_path)
        torch.testing.assert_close(see(again, rows()).outputs_BC, together, rtol=1e-5, atol=1e-5)
        if name == "prompt":
            told = tmp_path / "adapter_config.json"
            told.write_text(
                told.read_text(encoding="utf-8").replace("TUNESMITH_BEHIND_FIRST", "PROMPT_TUNING"),
                encoding="utf-8",
            )
            with pytest.raises(ModelError, match="stand before the row's first token"):
                attach(loaded(folders[kind]).model, tmp_path)
        # A head that was trained stays; the rest is the base's.
        with again.disable_adapter():
            assert not torch.allclose(see(again, rows()).outputs_BC, together, atol=1e-3)
    assert not torch.allclose(plain, together, atol=1e-3)


@pytest.mark.parametrize("name", ["prompt", "p_tuning"])
def test_the_prompt_stands_behind_the_first_token_by_hand(
    name: str, folders: dict[str, Path]
) -> None:
    one = loaded(folders["bert"])
    model = method(name).apply(one.model).eval()
    batch = rows(types=True)
    with torch.no_grad():
        found = see(model, batch).outputs_BC
        table = model.encoder()
        for index, ids in enumerate(ROWS):
            words = one.model.get_input_embeddings()(torch.from_numpy(ids.astype(np.int64)))
            words = torch.cat([words[:1], table, words[1:]])[None]
            types = torch.tensor([[0] * 6 + [int(n > 3) for n in range(1, len(ids))]])
            wanted = model.base(inputs_embeds=words, token_type_ids=types).logits[0]
            torch.testing.assert_close(found[index], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FOUR)
def test_vectors_are_pooled_from_the_rows_alone(name: str, folders: dict[str, Path]) -> None:
    one = loaded(folders["bert"], "embedding")
    model = method(name).apply(one.model).eval()
    with torch.no_grad():
        hidden_BLD, mask_BL = see(model, rows()).tokens()
        ids = torch.from_numpy(ROWS[1].astype(np.int64))[None]
        alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
    assert int(mask_BL[1].sum()) == len(ROWS[1]) == len(alone)
    torch.testing.assert_close(hidden_BLD[1, : len(alone)], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["distilbert", "modernbert"])
def test_an_encoder_that_attends_to_its_rows_alone_takes_words_and_no_keys(
    kind: str, folders: dict[str, Path]
) -> None:
    batch = rows()
    one = loaded(folders[kind])
    model = method("prompt").apply(one.model).train()
    see(model, batch).outputs_BC.square().sum().backward()
    assert float(model.encoder.weight.grad.abs().max()) > 0
    for name in ("prefix", "p_tuning_v2"):
        with pytest.raises(
            SpecError,
            match=(
                f"{name} does not fit this model: .*attends to no keys and values but its own rows'"
            ),
        ):
            method(name).apply(loaded(folders[kind]).model)
        with pytest.raises(SpecError, match="attends to no keys"):
            method(name).apply(loaded(folders[kind]).model.to("meta"))


def test_an_encoder_that_scales_its_words_is_refused(tmp_path: Path) -> None:
    marian = loaded(
        tiny_pair(tmp_path / "marian", "marian", scale_embedding=True), "language"
    ).model
    with pytest.raises(SpecError, match="does not take words as it embeds them"):
        method("prompt").apply(marian)


@pytest.mark.parametrize("kind", ["t5", "bart", "marian"])
def test_a_source_behind_a_prompt_is_written_to_as_plain_peft_does(
    kind: str, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSeq2SeqLM

    folder = tiny_pair(tmp_path / kind, kind)
    one = loaded(folder, "language")
    one.model = method("p_tuning").apply(one.model)
    with torch.no_grad():
        one.model.encoder.last.weight.add_(0.3 * torch.randn_like(one.model.encoder.last.weight))
    one.model.save_pretrained(tmp_path / "saved")
    settings = Generate(max_new_tokens=6, temperature=0)
    sources = [np.arange(5, 5 + count, dtype=np.int32) for count in (9, 4)]
    with one.model.disable_adapter():
        plain = generate(one.model, one.tokenizer, sources, settings, stop_ids=(1,), share=False)
    found = generate(one.model, one.tokenizer, sources, settings, stop_ids=(1,), share=False)
    assert [answer.ids for answer in found] != [answer.ids for answer in plain]
    theirs = PeftModel.from_pretrained(
        AutoModelForSeq2SeqLM.from_pretrained(folder), tmp_path / "saved"
    ).eval()
    start = torch.tensor([beginning(one.tokenizer)])
    for ids, answer in zip(sources, found, strict=True):
        told: dict[str, Any] = {
            "input_ids": torch.from_numpy(ids.astype(np.int64))[None],
            "attention_mask": torch.ones(1, len(ids)).long(),
        }
        told |= {
            "decoder_input_ids": start,
            "max_new_tokens": 6,
            "do_sample": False,
            "num_beams": 1,
        }
        out = theirs.generate(**told)[0, start.shape[1] :].tolist()
        assert list(answer.ids) == out[: len(answer.ids)]


def killed(line: dict[str, Any]) -> None:
    if line["step"] == 4 and "loss" in line:
        os._exit(9)


@pytest.mark.parametrize(
    ("name", "kind"),
    slow_but(
        ["p_tuning-t5"], [("p_tuning", "bert"), ("prefix", "bert"), ("p_tuning", "t5")], "-".join
    ),
)
@pytest.mark.slow  # 3 s
def test_a_killed_run_ends_alike_and_loads_as_it_was(
    name: str, kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    torch.set_num_threads(1)  # children are forked
    folder = tiny_pair(tmp_path / "t5") if kind == "t5" else folders[kind]
    texts = [{"text": row["instruction"], "label": str(n % 3)} for n, row in enumerate(runs.rows())]
    (tmp_path / "rows.json").write_text(
        json.dumps(runs.rows() if kind == "t5" else texts), encoding="utf-8"
    )
    settings = {
        "method": {"name": name, "tokens": 5},
        "objective": "sft" if kind == "t5" else "classify",
    }
    settings |= {
        "data.path": str(tmp_path / "rows.json"),
        "train.epochs": 1,
        "train.keep": {"evaluate": 0, "save": 2},
    }
    whole, broken = (
        runs.resolved(tmp_path / one, folder, **settings) for one in ("whole", "broken")
    )
    prepared = runs.data_of(whole)
    assert runs.in_child(lambda: train(whole, prepared)) == 0
    assert runs.in_child(lambda: train(broken, prepared, events=runs.on_step(killed))) == 9
    assert runs.in_child(lambda: train(broken, prepared, resume=True)) == 0
    straight, resumed = (RunFolder(tmp_path / one) for one in ("whole", "broken"))
    assert runs.weights(resumed.model) == runs.weights(straight.model)
    assert runs.record(resumed) == runs.record(straight)
    tuned, base = load_run(straight), load_run(straight, tuned=False)
    batch = tuned.lay(Batch.grow([item.tokens for item in prepared.train[:4]]))
    with torch.no_grad():
        found = [see(one.model, batch) for one in (tuned, base)]
    if (name, kind) == ("p_tuning", "bert"):
        served_as_it_says(straight, found[0].outputs_BC, batch)
    assert all(
        (one.outputs_BC if kind == "bert" else one.logprobs_N).isfinite().all() for one in found
    )


def served_as_it_says(run: RunFolder, wanted: torch.Tensor, batch: Batch) -> None:
    """The lines with which the export refuses give the model that was trained."""
    with pytest.raises(
        SpecError, match="p_tuning cannot be merged into the base's weights"
    ) as caught:
        export(run, run.path / "out")
    lines = [
        line.strip()
        for line in str(caught.value).splitlines()
        if "transformers" in line or "attach" in line
    ]
    space: dict[str, Any] = {}
    exec(
        "\n".join(line for line in lines if line.startswith(("import", "base =", "model ="))), space
    )
    with torch.no_grad():
        torch.testing.assert_close(
            see(space["model"].eval(), batch).outputs_BC, wanted, rtol=1e-5, atol=1e-5
        )
