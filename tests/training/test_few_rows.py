"""A run with fewer validation rows than a choice takes."""

from __future__ import annotations

import os
from dataclasses import replace

from rich.console import Console

from material.runs import resolved
from tunesmith.display.progress import Shown
from tunesmith.events.stream import Events
from tunesmith.training.start import train


def test_few_rows_for_validation_are_measured_and_nothing_is_chosen_by_them(
    tiny_llama, prepared, tmp_path
):
    seen = Console(record=True, file=open(os.devnull, "w"), width=500)  # noqa: SIM115
    how = {"train.keep.patience": 1, "train.learning_rate": 1e-9, "train.keep.final": "best"}
    one = resolved(tmp_path / "run", tiny_llama, **how)
    few = replace(prepared, ledger=replace(prepared.ledger, watch=len(prepared.watch)))
    assert few.watch and not few.choosing
    folder = train(one, few, events=Events(Shown(seen).hear))
    assert [line["step"] for line in folder.steps() if "evaluation" in line] == [0, 3, 6, 8]
    assert not folder.best.exists() and not [
        line for line in folder.steps() if line.get("event") == "patience_ended"
    ]
    assert "rows of the proof" not in seen.export_text()
