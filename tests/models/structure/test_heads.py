"""Models with a classification head or none: loaded, laid out, and seen as transformers sees
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import tiny_model
from material.architectures import ARCHITECTURES, FOREST, SIZES
from material.headed import THREE, encoder
from material.sequences import sequences
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.errors import ModelError
from tunesmith.examples import Outputs
from tunesmith.methods._peft import task_type
from tunesmith.models.calling.probe import settle
from tunesmith.models.calling.views import see
from tunesmith.models.loading.load import load_model, take_over_attention
from tunesmith.models.structure.heads import head_parts, kind_of, told_of_head
from tunesmith.models.structure.kinds import head_of
from tunesmith.models.structure.layers import linear_layers

ENCODERS = {
    "bert": {},
    "roberta": {"pad_token_id": 0, "max_position_embeddings": 130},
    "distilbert": {},
    "electra": {},
    "albert": {"embedding_size": 16},
    "deberta-v2": {},
    "modernbert": {"pad_token_id": 0, "global_attn_every_n_layers": 1},
}


def loaded(folder: Path, **how: Any) -> Any:
    settings: dict[str, Any] = {
        "dtype": torch.float32,
        "device": "cpu",
        "head": "classes",
        "outputs": THREE,
    }
    return load_model(folder, **(settings | how))


def of_lengths(*lengths: int, seed: int = 0, types: bool = False) -> list[list[Tokens]]:
    draw = np.random.default_rng(seed)
    found = []
    for length in lengths:
        ids = draw.integers(5, 150, length).astype(np.int32)
        columns = {"types_T": (np.arange(length) >= length // 2).astype(np.int8)} if types else {}
        found.append([Tokens(ids, np.zeros(length, np.float32), columns)])
    return found


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_gives_what_transformers_gives_row_by_row(kind: str, tmp_path: Path) -> None:
    one = loaded(encoder(tmp_path, kind, **ENCODERS[kind]))
    assert (
        one.layout == "padded"
        and kind_of(one.model.config) == "encoder"
        and head_of(one.model) == "classes"
    )
    assert one.model.config.id2label == {0: "animal", 1: "color", 2: "number"}
    pairs = kind in ("bert", "electra", "albert")
    batch = one.lay(Batch.grow(of_lengths(9, 4, 12, 1, types=pairs), unit="sequence"))
    assert batch.units == 4
    seen = see(one.model, batch)
    for row, [tokens] in enumerate(batch.sequences):
        types = (
            {"token_type_ids": torch.tensor(tokens.columns["types_T"][None]).long()}
            if pairs
            else {}
        )
        alone = one.model(
            torch.tensor(tokens.ids_T[None]).long(), output_hidden_states=True, **types
        )
        torch.testing.assert_close(seen.outputs_BC[row], alone.logits[0], rtol=1e-4, atol=1e-5)
        hidden_LD, mask_L = (part[row] for part in seen.tokens())
        assert int(mask_L.sum()) == len(tokens)
        last = one.model.base_model(
            torch.tensor(tokens.ids_T[None]).long(), **types
        ).last_hidden_state[0]
        torch.testing.assert_close(hidden_LD[mask_L], last, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(seen.features("ends")[row], last[-1], rtol=1e-4, atol=1e-5)


def classifier(name: str) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    settings = SIZES | ARCHITECTURES[name] | {"num_labels": 3, "pad_token_id": 0}
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(name.partition("+")[0], **settings)
    ).eval()
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.15)
    return model


def gradients(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    model.zero_grad()
    outputs_BC = see(model, batch).outputs_BC
    (outputs_BC * torch.linspace(0.5, 1.5, outputs_BC.numel()).view_as(outputs_BC)).sum().backward()
    # The padding's embedding is kept from learning by torch itself.
    return outputs_BC.detach(), torch.cat(
        [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    )


WITH_SCORE = [
    name for name in ARCHITECTURES if name in FOREST and name not in ("cohere", "granite", "olmo2")
]


@pytest.mark.parametrize("name", WITH_SCORE)
def test_a_decoder_runs_as_a_forest_and_is_pooled_at_its_last_token(name: str) -> None:
    model = classifier(name)
    assert take_over_attention(model)
    assert settle(model, 1e-3)[0] == "forest"
    batch = Batch.grow(sequences(), unit="sequence")
    flat, padded = gradients(model, batch), gradients(model, batch.padded(7))
    torch.testing.assert_close(flat[0], padded[0], rtol=1e-4, atol=1e-5)
    assert float((flat[1] - padded[1]).norm() / padded[1].norm()) < 1e-5
    rows = [tokens for example in batch.sequences for tokens in example]
    with torch.no_grad():
        alone = torch.cat(
            [
                model(torch.tensor(tokens.ids_T[None]).long(), use_cache=False).logits
                for tokens in rows
            ]
        )
    torch.testing.assert_close(flat[0], alone, rtol=1e-4, atol=1e-5)


def test_padding_inside_a_text_does_not_end_it() -> None:
    model = classifier("llama")
    take_over_attention(model)
    ids = np.array([5, 6, 0, 0], np.int32)  # 0 is the padding's id
    outputs_BC = see(
        model, Batch.grow([[Tokens(ids, np.zeros(4, np.float32))]], unit="sequence")
    ).outputs_BC
    with torch.no_grad():
        hidden = model.model(torch.tensor(ids[None]).long()).last_hidden_state
        torch.testing.assert_close(outputs_BC, model.score(hidden[:, -1]))


def test_hidden_states_by_sequence_are_the_same_in_both_layouts() -> None:
    model = classifier("llama")
    take_over_attention(model)
    batch = Batch.grow(sequences(), unit="sequence")
    flat, padded = see(model, batch).tokens(), see(model, batch.padded()).tokens()
    assert flat[1].equal(padded[1])
    torch.testing.assert_close(flat[0][flat[1]], padded[0][padded[1]], rtol=1e-4, atol=1e-5)


def test_a_model_without_a_head_gives_its_hidden_states(tmp_path: Path) -> None:
    for folder in (encoder(tmp_path / "bert"), tiny_model(tmp_path / "llama")):
        one = load_model(folder, dtype=torch.float32, device="cpu", head="embedding")
        assert head_of(one.model) == "embedding" and task_type(one.model) == "FEATURE_EXTRACTION"
        assert one.layout == ("padded" if "bert" in str(folder) else "forest")
        batch = one.lay(Batch.grow(of_lengths(9, 4, 12), unit="sequence"))
        hidden_BLD, mask_BL = see(one.model, batch).tokens()
        for row, [tokens] in enumerate(batch.sequences):
            alone = one.model(torch.tensor(tokens.ids_T[None]).long()).last_hidden_state[0]
            torch.testing.assert_close(hidden_BLD[row][mask_BL[row]], alone, rtol=1e-4, atol=1e-5)


def test_what_the_checkpoint_lacks_is_new_and_trained(tmp_path: Path) -> None:
    one = loaded(encoder(tmp_path / "whole"))
    assert (
        head_parts(one.model) == ["classifier"]
        and one.reasons["head"] == "a new head: animal, color, number"
    )
    assert told_of_head(Outputs(("LABEL_0",), "regression"), kept=False) == "a new head: one number"
    assert task_type(one.model) == "SEQ_CLS"
    # A masked language model has no pooler, and a checkpoint of it cannot have one.
    one = loaded(encoder(tmp_path / "masked", cls="AutoModelForMaskedLM"))
    assert head_parts(one.model) == ["classifier", "bert.pooler"]
    assert not [
        name for name in linear_layers(one.model) if "pooler" in name or "classifier" in name
    ]
    assert head_parts(loaded(encoder(tmp_path / "d", "distilbert")).model) == [
        "pre_classifier",
        "classifier",
    ]


def test_a_head_goes_on_where_its_classes_are_the_same(tmp_path: Path) -> None:
    first = loaded(encoder(tmp_path / "base"))
    first.model.save_pretrained(tmp_path / "trained")
    first.tokenizer.save_pretrained(tmp_path / "trained")
    weight = first.model.classifier.weight
    again = loaded(tmp_path / "trained")
    assert again.kept_head and again.model.classifier.weight.equal(weight)
    assert again.reasons["head"].startswith("the head of the checkpoint is kept")
    for names in (("color", "animal", "number"), ("a", "b", "c"), ("a", "b")):
        other = loaded(tmp_path / "trained", outputs=Outputs(names, "single_label_classification"))
        assert not other.kept_head and other.model.config.num_labels == len(names)
        assert other.model.classifier.weight.shape[0] == len(names)
        assert len(names) == 2 or not torch.isclose(other.model.classifier.weight, weight).any()


def test_what_cannot_carry_the_head_is_refused_with_the_way_out(tmp_path: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    folder = encoder(tmp_path / "bert")
    with pytest.raises(
        ModelError,
        match=r"is an encoder, which reads both ways and writes no text.*objective=classify",
    ):
        load_model(folder, dtype=torch.float32, device="cpu")
    sides = T5ForConditionalGeneration(
        T5Config(vocab_size=160, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    )
    sides.save_pretrained(tmp_path / "t5")
    with pytest.raises(
        ModelError, match="is an encoder with a decoder, and this objective needs a model"
    ):
        loaded(tmp_path / "t5")
    how = {"n_embd": 16, "n_layer": 1, "n_head": 2, "dff": 16, "n_positions": 64}
    with pytest.raises(
        ModelError,
        match="CTRLForSequenceClassification finds the last token of a row in its own way",
    ):
        loaded(encoder(tmp_path / "ctrl", "ctrl", **how))


def test_half_a_model_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = encoder(tmp_path)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "layer.1.output.dense.weight" in name)
    del weights[gone]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError,
        match=r"other weights than its config.json describes: 1 missing \(bert\.encoder\.layer\.1\.output",
    ):
        loaded(folder)
