"""A classifier on a quantised base: its head stays whole, is trained, and comes back with the
adapter.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import tiny_model
from material.classified import rows
from material.fast import slow_but
from material.headed import encoder
from tunesmith import api
from tunesmith.models.saved import load_run


@pytest.mark.parametrize(
    ("base", "kind"),
    slow_but(["llama-nf4"], [("llama", "nf4"), ("llama", "int8"), ("roberta", "nf4")], "-".join),
)
def test_a_head_on_a_quantised_base_is_trained_whole(base: str, kind: str, tmp_path: Path) -> None:
    import torch

    (tmp_path / "rows.json").write_text(json.dumps(rows(80)), encoding="utf-8")
    how = {"hidden_size": 64, "intermediate_size": 128}
    if base == "llama":
        place = tiny_model(tmp_path / base, **how)
    else:
        place = encoder(tmp_path / base, base, pad_token_id=0, max_position_embeddings=130, **how)
    model = {"path": str(place), "quantize": kind}
    train = {"steps": 4, "learning_rate": 1e-2, "keep": {"evaluate": 2}}
    data = {"path": str(tmp_path / "rows.json"), "held_out": 0.5}
    settings = {
        "model": model,
        "data": data,
        "objective": "classify",
        "out": str(tmp_path / "run"),
        "train": train,
    }
    run = api.train(settings | {"method": {"name": "lora", "rank": 4}})
    loaded = load_run(run)
    scores = [
        weight
        for name, weight in loaded.model.named_parameters()
        if "score" in name or "classifier" in name
    ]
    assert scores and all(weight.dtype == torch.float32 for weight in scores)
    seen = [line["evaluation"]["loss"] for line in run.steps() if "evaluation" in line][-1]
    prepared = [row["prediction"] for row in api.predict(run, rows(6, seed=3))]
    assert seen > 0 and set(prepared) <= {"animal", "color", "number"}
