"""ONNX: onnxruntime gives the outputs of the model, for any number and length of texts."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from material.classified import trained
from material.exported import asked, tuned
from material.headed import encoder
from tunesmith.errors import SpecError
from tunesmith.export.make import export

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
NAMES = ["input_ids", "attention_mask", "token_type_ids"]


def test_a_classifier_names_the_same_classes(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = trained(tmp_path, encoder(tmp_path / "base"))
    done = export(folder, tmp_path / "out", asked("format=onnx"))
    assert done.page.verdict == "same" and done.page.task is not None
    assert done.page.task["items"] == 50 and done.page.task["primary"] == "accuracy"
    assert done.saved is not None and done.saved.relative < 1e-4
    small = export(folder, tmp_path / "small", asked("format=onnx", "format.type=int8"))
    assert small.page.task is not None and small.page.verdict in ("same", "within the noise")
    assert not list((tmp_path / "small").glob("fp32*"))
    space: dict[str, Any] = {}
    exec("\n".join(done.load), space)
    assert space["outputs"][0].shape == (1, 3)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
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


def test_a_model_that_writes_is_refused(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match=r"onnx cannot hold what sft trains; .*gguf, hf"):
        export(tuned(tmp_path / "run", tiny_llama), tmp_path / "out", asked("format=onnx"))
