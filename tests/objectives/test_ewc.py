"""Elastic weight consolidation: the optimum of a quadratic, a run that is held by what its parent
needs, and what is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from material import runs
from material.proved import labelled, trained
from tunesmith.errors import DataError, SpecError
from tunesmith.models.roles.start import FromStart, Moving
from tunesmith.planning.make import make
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train


def test_the_optimum_on_a_quadratic_is_the_closed_form() -> None:
    """θ* = (H b + λ F a) / (H + λ F), weight by weight."""
    needs, fisher = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.5, 0.5, 0.0])
    goal, start = torch.tensor([1.0, 4.0, 5.0]), torch.tensor([0.5, 0.0, 9.0])
    weight = torch.nn.Parameter(start.clone())
    held = FromStart([Moving("w", weight, lambda: weight - start)], {"w": fisher})
    optimizer = torch.optim.LBFGS([weight], max_iter=50, tolerance_grad=1e-9)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = 0.5 * (needs * (weight - goal).square()).sum() + 2.0 * held.distance()
        total.backward()
        return total

    optimizer.step(loss)  # type: ignore[arg-type]
    expected = (needs * goal + 2.0 * fisher * start) / (needs + 2.0 * fisher)
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-4, atol=1e-5)


def ewc(**settings: Any) -> dict[str, Any]:
    return {"objective": {"name": "ewc", "examples": 8, **settings}}


def other(count: int) -> list[dict[str, str]]:
    said = {"color": "paint", "animal": "beast", "number": "count"}
    return [{**row, "output": said[row["output"]]} for row in labelled(count)]


@pytest.fixture(scope="module")
def first(label_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that goes on from the task's own, held by its rows."""
    place = tmp_path_factory.mktemp("first")
    return go_on(place, label_run, method="full")


def go_on(place: Path, start: RunFolder, **more: Any) -> RunFolder:
    short = {"steps": 3, "learning_rate": 1e-3, "keep": {"evaluate": 0, "save": 0}}
    return trained(place, start.path, other(60), train=short, **ewc(), **more)  # type: ignore[arg-type]


def values(folder: RunFolder) -> dict[str, torch.Tensor]:
    return {name: one.float() for name, one in load_file(folder.fisher).items()}


def test_what_is_kept_lies_in_the_run_and_counts_in_the_next(
    label_run: RunFolder, first: RunFolder, tmp_path: Path
) -> None:
    for name in ("on", "alone"):
        (tmp_path / name).mkdir()
    second = go_on(tmp_path / "on", first, method="full")
    forgets = ewc(gamma=0.0)
    short = {"steps": 1, "learning_rate": 1e-3, "keep": {"evaluate": 0, "save": 0}}
    alone = trained(
        tmp_path / "alone", first.path, other(60), method="full", train=short, **forgets
    )
    before, both, own = values(first), values(second), values(alone)
    for name, one in both.items():
        torch.testing.assert_close(one, own[name] + before[name], rtol=2e-2, atol=1e-12)
    assert sum(float(one.sum()) for one in before.values()) > 0
    told = [line for line in first.steps() if "distance" in line]
    assert told[0]["distance"] == 0 and told[-1]["distance"] > 0


def test_an_adapter_is_held_by_the_weights_of_its_base(
    label_run: RunFolder, first: RunFolder, tmp_path: Path
) -> None:
    """The same numbers as a run of whole weights, of the layers that are adapted."""
    run = go_on(tmp_path, label_run, method={"name": "lora", "rank": 4})
    own, whole = values(run), values(first)
    assert own and all("proj" in name for name in own)
    for name, one in own.items():
        torch.testing.assert_close(one, whole[name], rtol=2e-2, atol=1e-10)
    assert [line for line in run.steps() if "distance" in line][-1]["distance"] > 0


def test_a_stopped_run_goes_on_held_by_the_same(tiny_llama: Path, tmp_path: Path) -> None:
    """Its start is the base, not where it was stopped, and nothing is measured again."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(one) + "\n" for one in labelled(12)), encoding="utf-8")
    asked = ewc(rows=str(rows), weight=50.0) | {
        "method": "full",
        "train": {"steps": 4, "keep": {"save": 2, "evaluate": 0}, "learning_rate": 1e-3},
    }
    whole = runs.resolved(tmp_path / "whole", tiny_llama, **asked)
    train(whole, prepared=runs.data_of(whole))
    broken = runs.resolved(tmp_path / "broken", tiny_llama, **asked)
    folder = train(broken, prepared=runs.data_of(broken))
    last = sorted(folder.checkpoints.glob("step-*4*"))[-1]
    for path in sorted(last.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    last.rmdir()
    rows.unlink()
    train(folder.resolved(), prepared=runs.data_of(broken), resume=True)
    ends = [
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "broken")
    ]
    assert all(ends[0][name].equal(ends[1][name]) for name in ends[0])


@pytest.mark.parametrize(
    ("settings", "where", "text"),
    [
        ({}, "objective.rows", "name these"),
        (ewc(rows="nowhere.json"), "objective.rows", "nowhere.json is neither"),
        (ewc(rows=__file__) | {"method": "ia3"}, "method", "distill_to_base"),
        (
            ewc(rows=__file__) | {"method": "qlora"},
            "method",
            "no gradient",
        ),
    ],
    ids=["no rows", "absent", "ia3", "quantised"],
)
def test_what_cannot_be_held_is_refused_before_weights_load(
    settings: dict[str, Any], where: str, text: str, tiny_llama: Path, tmp_path: Path
) -> None:
    run = runs.asked(tmp_path / "run", tiny_llama, **(ewc() | settings))
    found = {one.where: one.text for one in make(run).problems}
    assert text in found.get(where, ""), found


def test_rows_that_cannot_be_read_are_told_at_their_setting(
    tiny_llama: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    one = runs.resolved(tmp_path / "run", tiny_llama, **ewc(rows=str(tmp_path / "rows.jsonl")))
    with pytest.raises((SpecError, DataError), match=r"objective\.rows: .*rows\.jsonl"):
        train(one, prepared=runs.data_of(one))
    assert not (tmp_path / "run" / "run.yaml").exists()
