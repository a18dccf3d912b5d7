"""From a file to a proved best within a budget: stopped it goes on, and not to tune is an answer."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import tunesmith as ts
from material.proved import labelled
from tunesmith.automatic.auto import verdict_line
from tunesmith.errors import SpecError, Stopped
from tunesmith.events.stream import Event
from tunesmith.events.verbs import PieceBegun, SearchBegun, TrialScored
from tunesmith.proving.proof import Proof


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Trials are forked; a parent that has used OpenMP threads would leave them hanging."""
    torch.set_num_threads(1)


def settings(folder: Path, model: Path) -> dict[str, Any]:
    rows = folder / "rows.json"
    rows.write_text(json.dumps(labelled(160)), encoding="utf-8")
    return {
        "model": str(model),
        "data": {"path": str(rows), "held_out": 90},
        "out": str(folder / "auto"),
        "train": {"steps": 12, "batch": 8, "machine": {"threads": 1}},
        "generate": {"max_new_tokens": 4},
        "prove": {"items": 20, "shots": 0},
        "lang": "en",
    }


@pytest.mark.slow
def test_a_budget_is_spent_and_a_stop_in_the_middle_loses_nothing(
    tiny_llama: Path, tmp_path: Path
) -> None:
    asked = settings(tmp_path, tiny_llama)
    seen: list[Event] = []

    def stop(event: Event) -> None:
        seen.append(event)
        scored = sum(isinstance(one, TrialScored) for one in seen)
        if isinstance(event, TrialScored) and scored == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        ts.auto(asked, budget="30m", quiet=True, listen=[stop])
    after: list[Event] = []
    found = ts.auto(asked, budget="30m", quiet=True, listen=[after.append])
    told = found.to_json()
    trials = [one["values"] for one in told["search"]["trials"]]
    assert trials[0] == {} and {"method": "full"}.items() <= trials[1].items()
    assert len(trials) == 9 and told["curve"] is not None, "six settings, then three; and a curve"
    begun = [sum(isinstance(one, PieceBegun) for one in some) for some in (seen, after)]
    assert sum(begun) == 9 + 2 + 3, "nothing is done twice"
    lines = "\n".join(found.lines())
    assert "objective sft: the rows are questions" in lines and "time: " in lines
    assert verdict_line(found.proof) in lines
    assert found.best.model.is_dir()

    with pytest.raises(SpecError, match="with another budget"):
        ts.auto(asked, budget="40m", quiet=True)


def test_a_budget_too_small_for_ten_steps_is_told_with_what_it_takes(
    tiny_llama: Path, tmp_path: Path
) -> None:
    asked = settings(tmp_path, tiny_llama)
    asked["train"] = {"epochs": 4000, "machine": {"threads": 1}}
    with pytest.raises(SpecError, match="budget: is too small: a full training takes about"):
        ts.auto(asked, budget="0.001s", quiet=True)
    with pytest.raises(SpecError, match="data: is missing"):
        ts.auto({"out": str(tmp_path / "other")}, budget="1m", quiet=True)


def test_what_was_refused_is_mended_in_the_same_folder_and_few_rows_are_held_out(
    tiny_llama: Path, tmp_path: Path
) -> None:
    asked = settings(tmp_path, tiny_llama)
    del asked["data"]["held_out"]
    refused = [
        ({"goal": "accuracyy"}, "goal: .*did you mean 'accuracy'"),
        ({"goal": "roc_auc"}, "goal: 'roc_auc' measures something that"),
    ]
    for more, told in refused:
        with pytest.raises(SpecError, match=told):
            ts.auto(asked, budget="30m", quiet=True, **more)
    with pytest.raises(SpecError, match="held_out: a search chooses by the validation rows"):
        ts.auto(asked, ["data.held_out=8"], budget="30m", quiet=True)
    seen: list[str] = []

    def stop(event: Event) -> None:
        seen.append(str(event))
        if isinstance(event, SearchBegun):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        ts.auto(asked, budget="30m", memory="0.001", quiet=True, listen=[stop])
    told = json.loads((tmp_path / "auto" / "auto.json").read_text(encoding="utf-8"))
    assert told["decided"]["settings"]["data"]["held_out"] == 40
    assert any("full is left out: it takes at least" in one for one in told["decided"]["reasons"])
    assert sum("objective sft" in one for one in seen) == 1
    with pytest.raises(SpecError, match=r"another prove\.primary, train\.keep\.best_by"):
        ts.auto(asked, budget="30m", memory="0.001", goal="accuracy", quiet=True)


def proof(verdict: str, tfidf: float) -> Proof:
    compared = {"difference": 0.02, "low": -0.01, "high": 0.05, "verdict": verdict}
    return Proof(
        {
            "primary": "accuracy",
            "contenders": {
                "most_frequent": {"accuracy": 0.4},
                "tfidf": {"accuracy": tfidf},
                "runs/as-given": {"accuracy": 0.99},
                "tuned": {"accuracy": 0.9},
            },
            "differences": {
                "most_frequent": {"accuracy": {**compared, "verdict": "improved"}},
                "tfidf": {"accuracy": compared},
                "runs/as-given": {"accuracy": compared},
            },
        }
    )


def test_tuning_is_advised_only_where_it_is_shown_to_beat_the_best_of_the_rest() -> None:
    told = verdict_line(proof("improved", 0.88))
    assert told.startswith("Use the tuned model: 90.0 % against 88.0 %")
    told = verdict_line(proof("not shown", 0.88))
    assert told.startswith("Do not tune yet") and "88.0 %" in told
    # A rival that is worse than another one does not decide.
    assert verdict_line(proof("not shown", 0.3)).startswith("Use the tuned model")
