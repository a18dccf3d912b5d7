"""ONNX: onnxruntime gives the outputs of the model, for any number and length of texts."""

from __future__ import annotations

import json
import shutil
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from material.architectures import tiny
from material.classified import trained
from material.exported import asked, tuned
from material.headed import encoder
from tunesmith.errors import SpecError
from tunesmith.export.make import export

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
NAMES = ["input_ids", "attention_mask", "token_type_ids"]


def test_a_classifier_names_the_same_classes(tmp_path: Path) -> None:
    folder = trained(tmp_path, encoder(tmp_path / "base"))
    done = export(folder, tmp_path / "out", asked("format=onnx"))
    assert done.page.verdict == "same" and done.page.task is not None
    assert done.page.task["items"] == 50 and done.page.task["primary"] == "accuracy"
    assert done.saved is not None and done.saved.relative < 1e-4
    space: dict[str, Any] = {}
    exec("\n".join(done.load), space)
    assert space["outputs"][0].shape == (1, 3)


@pytest.mark.slow  # 9 s
def test_a_classifier_is_rounded(tmp_path: Path) -> None:
    folder = trained(tmp_path, encoder(tmp_path / "base"))
    small = export(folder, tmp_path / "small", asked("format=onnx", "format.type=int8"))
    assert small.page.task is not None and small.page.verdict in ("same", "within the noise")
    assert not list((tmp_path / "small").glob("fp32*"))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.slow  # each 8 s
def test_vectors_are_pooled_inside(tmp_path: Path, pooling: str) -> None:
    """Against sentence-transformers' own pooling, with padding in the batch."""
    from sentence_transformers.models import Normalize, Pooling

    from tunesmith.export.onnx.write import write_onnx

    model = AutoModel.from_pretrained(encoder(tmp_path / "base")).eval()
    how = types.SimpleNamespace(pooling=pooling, normalize=True)
    write_onnx(tmp_path / "model.onnx", model, NAMES, how)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    ids = np.random.default_rng(0).integers(5, 100, (3, 9))
    mask = np.ones_like(ids)
    mask[1, 5:] = 0
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    _, seen = session.run(None, given)
    with torch.no_grad():
        inputs = {name: torch.as_tensor(value) for name, value in given.items()}
        tokens = model(**inputs).last_hidden_state
        kind = "lasttoken" if pooling == "last" else pooling
        features = {"token_embeddings": tokens, "attention_mask": inputs["attention_mask"]}
        wanted = Normalize()(Pooling(32, pooling_mode=kind)(features))["sentence_embedding"]
    np.testing.assert_allclose(seen, wanted.numpy(), atol=1e-5)


@pytest.mark.slow  # each 14 s; the fast suite asks a whole run below
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_decoder_with_its_cache_is_token_for_token_the_model(kind: str, tmp_path: Path) -> None:
    """Prompts in a batch with padding, in pieces behind a cache, and greedy answers."""
    from tunesmith.export.onnx.write import write_decoder

    model = tiny(kind)
    write_decoder(tmp_path / "model.onnx", model)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    names = [one.name for one in session.get_inputs()]
    assert names[3:5] == ["past_key_values.0.key", "past_key_values.0.value"]
    assert [one.name for one in session.get_outputs()][:2] == ["logits", "present.0.key"]
    ids = np.random.default_rng(0).integers(5, 100, (3, 12))
    mask = np.ones_like(ids)
    mask[1, :4] = 0
    places = np.maximum(mask.cumsum(1) - 1, 0)
    with torch.no_grad():
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": places}
        wanted = model(**{name: torch.as_tensor(one) for name, one in given.items()}).logits
    heads, width = session.get_inputs()[3].shape[1], session.get_inputs()[3].shape[3]
    past = [np.zeros((3, heads, 0, width), np.float32)] * (len(names) - 3)
    seen = []
    for start, end in ((0, 7), (7, 8), (8, 12)):
        given = [ids[:, start:end], mask[:, :end], places[:, start:end], *past]
        logits, *past = session.run(None, dict(zip(names, given, strict=True)))
        seen.append(logits)
    found = np.concatenate(seen, 1)
    assert np.abs(found - wanted.numpy())[mask == 1].max() < 1e-4


@pytest.mark.slow  # 13 s
def test_a_run_that_writes_becomes_a_file_that_answers_alike(
    tiny_llama: Path, tmp_path: Path
) -> None:
    folder = tuned(tmp_path / "run", tiny_llama)
    done = export(folder, tmp_path / "out", asked("format=onnx"))
    assert done.page.verdict == "same" and done.page.library.startswith("onnxruntime")
    assert done.saved is not None and done.saved.relative < 1e-4
    config = json.loads((tiny_llama / "config.json").read_text())
    other = tmp_path / "other"
    shutil.copytree(tiny_llama, other)
    told = config | {"model_type": "mistral", "architectures": None, "sliding_window": 8}
    (other / "config.json").write_text(json.dumps(told))
    with pytest.raises(SpecError, match="a mistral like this is not one of them"):
        export(tuned(tmp_path / "second", other), tmp_path / "no", asked("format=onnx"))
