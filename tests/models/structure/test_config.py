"""What is no config, or one that its own model refuses, is an error that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import tiny_model
from tunesmith.errors import ModelError
from tunesmith.models.structure.kinds import load_config


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '"llama"', '{"model_type": "none9"}'])
def test_a_config_that_is_none_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match="has no model that can be read"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"num_attention_heads": 3}, "not a multiple of the number of attention heads"),
        ({"hidden_size": "wide"}, "hidden_size"),
    ],
)
def test_a_config_that_its_model_refuses_says_why(
    change: dict[str, object], why: str, tmp_path: Path
) -> None:
    folder = tiny_model(tmp_path)
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | change))
    with pytest.raises(ModelError, match=why):
        load_config(folder)
