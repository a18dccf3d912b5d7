"""How far it is from what is typed to what is learned: the calls between the verb and the loss."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from material.runs import rows
from tunesmith.cli.main import main
from tunesmith.objectives.sft import Sft

PACKAGE = str(Path(tunesmith.__file__).parent)
MOST = 6
"""One call each: the verb in Python, training, the loop, a step, its gradient, the loss."""


def test_few_calls_lie_between_the_verb_and_the_loss(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chains: list[list[str]] = []
    loss = Sft.loss

    def traced(self: Sft, models: Any, batch: Any) -> Any:
        ours = [
            f"{frame.filename[len(PACKAGE) + 1 :]}:{frame.name}"
            for frame in traceback.extract_stack()
            if frame.filename.startswith(PACKAGE)
        ]
        chains.append([*ours[ours.index("cli/training.py:train") + 1 :], "loss"])
        return loss(self, models, batch)

    monkeypatch.setattr(Sft, "loss", traced)
    (tmp_path / "rows.json").write_text(json.dumps(rows(8)), encoding="utf-8")
    settings = {"model": tiny_llama, "data.path": tmp_path / "rows.json", "data.held_out": 0}
    settings |= {"out": tmp_path / "run", "train.steps": 1, "train.machine.threads": 1}
    assert main(["train", *(f"{key}={value}" for key, value in settings.items())]) == 0
    assert chains and all(len(chain) <= MOST for chain in chains), chains[0]
