"""Two processes ask the reference for half of the rows each, and train what one trains."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from material import runs
from material.fast import slow_but
from material.two_processes import two_ranks
from material.written_rows import judged, pairs
from tunesmith.predicting.likelihoods import likelihoods
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train


@pytest.mark.parametrize("objective", slow_but(["dpo"], ["dpo", "kto"]))
def test_two_ranks_share_the_asking(
    objective: str, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (judged() if objective == "kto" else pairs())[:21]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    settings: dict[str, Any] = {
        "data": {"path": str(tmp_path / "rows.json"), "held_out": 0},
        "objective": objective,
        "train.optimizer": "sgd",
        "method": {"name": "lora", "rank": 4},
        "train.epochs": 1,
        "train.keep.evaluate": 0,
        "train.batch": 6,
    }

    def counted(model: Any, examples: list[Any], **how: Any) -> Any:
        (tmp_path / f"asked-{os.environ.get('RANK', 'alone')}").write_text(
            str(len(examples)), encoding="utf-8"
        )
        return likelihoods(model, examples, **how)

    monkeypatch.setattr("tunesmith.training.reference.likelihoods", counted)
    alone = runs.resolved(tmp_path / "one", tiny_llama, **settings)
    prepared = runs.data_of(alone)
    assert two_ranks(tmp_path / "two", tiny_llama, prepared, **settings) == [0, 0]
    one, two = train(alone, prepared), RunFolder(tmp_path / "two")
    asked = [
        int((tmp_path / f"asked-{name}").read_text(encoding="utf-8"))
        for name in ("alone", "0", "1")
    ]
    count = 42 if objective == "kto" else 21  # with the answers that rows lend each other
    assert asked == [count, -(-count // 2), count // 2]
    values = [load_file(folder.reference)["logprobs"] for folder in (one, two)]
    assert values[1] == pytest.approx(values[0], rel=1e-6) and (values[0] < 0).all()
    for first, second in zip(runs.record(one), runs.record(two), strict=True):
        assert first.get("loss", 0) == pytest.approx(second.get("loss", 0), rel=1e-5)
        assert first.get("grad_norm", 0) == pytest.approx(second.get("grad_norm", 0), rel=1e-4)
    # What the two agreed on is read again by one, which has nothing to ask.
    (tmp_path / "asked-alone").unlink()
    train(
        runs.resolved(tmp_path / "two", tiny_llama, **settings),
        prepared,
        resume=True,
    )
    assert not (tmp_path / "asked-alone").exists()
