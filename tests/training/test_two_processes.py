"""Two processes train what one trains: the same rows in the same order, the same gradient tensor by
tensor, with evaluations, questions, the best model, and a stop in the middle.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from material import runs
from material.fast import slow_but
from material.headed import encoder
from material.two_processes import PLAINLY, in_two, same_runs, two_ranks
from material.written_rows import pairs, questions
from tunesmith.batches.batch import Batch
from tunesmith.batches.micro_batches import micro_batches
from tunesmith.errors import DiskError, Stopped
from tunesmith.objectives.sft import Sft
from tunesmith.settings.resolved import Resolved
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training import loop, start
from tunesmith.training.start import train

# 25 rows in steps of 8: the last step of an epoch has one, so that one process runs what does not
# count.
SETTINGS: dict[str, Any] = {**PLAINLY, "method": {"name": "lora", "rank": 4}}
STOPPED_AT = 5
UPDATES = 8
"""Steps of a run; each is one update."""


def noting_gradients(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets each process of a run write down the gradient of every update, added up and clipped."""
    update = loop.update

    def noted(work: Any, at: Any) -> float:
        name = f"gradient-{os.environ.get('RANK', 'alone')}-{at.updates}.safetensors"
        save_file({name: weight.grad for name, weight in work.named}, place / name)
        return update(work, at)

    monkeypatch.setattr(loop, "update", noted)


def same_gradients(place: Path) -> None:
    """Asserts that each process had the gradient of the one that was alone, in every tensor."""
    compared = 0
    for number in range(UPDATES):
        alone, *both = (
            load_file(place / f"gradient-{name}-{number}.safetensors") for name in ("alone", 0, 1)
        )
        compared += max(float(grad.abs().max()) for grad in alone.values()) > 1e-3
        for name, grad in alone.items():
            for theirs in both:
                assert float((theirs[name] - grad).abs().max()) < 1e-6, (number, name)
    # The last step of an epoch has one row, which is alone in its batch: nothing stands against it.
    assert compared >= UPDATES - 2


def run_of(objective: str, place: Path, name: str, tiny_llama: Path) -> tuple[Resolved, Any, Path]:
    """The run's settings, its rows, and its base."""
    settings = {**SETTINGS, "objective": objective}
    base, data = tiny_llama, {"path": str(place / "rows.json"), "held_out": 0}
    if objective == "embed":
        base = place / "base"
        if not base.is_dir():
            encoder(base, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        data["path"] = str(questions(place / "rows.jsonl", 33))
    else:
        rows = runs.rows() if objective == "sft" else pairs()
        (place / "rows.json").write_text(json.dumps(rows[:33]), encoding="utf-8")
        settings["questions"] = ["How far is Rome?"]
    return runs.resolved(place / name, base, **settings, data=data), settings | {"data": data}, base


@pytest.mark.parametrize("objective", slow_but(["sft"], ["sft", "dpo", "embed"]))
def test_two_processes_train_what_one_trains(
    objective: str, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, settings, base = run_of(objective, tmp_path, "one", tiny_llama)
    prepared = runs.data_of(one, watch=8 if objective == "sft" else 0)
    if objective != "sft":
        prepared.watch, prepared.train = prepared.train[-8:], prepared.train[:-8]

    def seen(examples: Any, *args: Any, **how: Any) -> list[Batch]:
        """Writes down which rows the step has and which of them this process takes."""
        found = micro_batches(examples, *args, **how)
        mine = [row[0].ids_T.tolist() for one in found if not one.idle for row in one.sequences]
        told = {"rows": [row[0].ids_T.tolist() for row in examples], "mine": mine}
        with open(tmp_path / f"seen-{os.environ.get('RANK', 'alone')}", "a") as file:
            file.write(json.dumps(told | {"batches": len(found)}) + "\n")
        lines = (tmp_path / file.name).read_text().count("\n")
        if lines == STOPPED_AT and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGTERM)  # one of the two is asked to stop
        return found

    monkeypatch.setattr("tunesmith.training.work.micro_batches", seen)
    noting_gradients(tmp_path, monkeypatch)
    how: dict[str, Any] = {"prepared": prepared, **settings}
    # First, so that the children, which are forked, have the imports.
    folder = train(one, prepared)
    assert two_ranks(tmp_path / "two", base, **how) == [Stopped.exit_code] * 2
    assert two_ranks(tmp_path / "two", base, resume=True, **how) == [0, 0]
    same_runs(folder, RunFolder(tmp_path / "two"))
    same_gradients(tmp_path)
    lines = runs.record(folder)
    assert sum("evaluation" in line for line in lines) == 3 and folder.best.is_dir()
    assert any("answers" in line for line in lines) == (objective != "embed")
    alone, *both = (
        [json.loads(line) for line in (tmp_path / f"seen-{name}").read_text().splitlines()]
        for name in ("alone", "0", "1")
    )
    assert len(alone) == len(both[0]) == len(both[1]) == UPDATES
    for whole, first, second in zip(alone, *both, strict=True):
        assert whole["rows"] == first["rows"] == second["rows"]
        assert sorted(whole["rows"]) == sorted(first["mine"] + second["mine"])
        assert first["batches"] == second["batches"]
    assert any(len(second["mine"]) == 0 for second in both[1])


def test_a_failing_process_ends_both_with_its_error(
    tiny_llama: Path, prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Sft, models: Any, batch: Batch) -> Any:
        if os.environ["RANK"] == "1":
            raise ArithmeticError("the card of process 1 has gone")
        return real(self, models, batch)

    real = Sft.loss
    monkeypatch.setattr(Sft, "loss", fail)

    def told(_: int) -> None:
        try:
            train(runs.resolved(tmp_path / "run", tiny_llama), prepared)
        except ArithmeticError as error:
            (tmp_path / f"told-{os.environ['RANK']}").write_text(str(error), encoding="utf-8")

    assert in_two(told) == [0, 0]
    texts = [(tmp_path / f"told-{rank}").read_text(encoding="utf-8") for rank in (0, 1)]
    assert texts == ["the card of process 1 has gone"] * 2


def test_a_disk_that_is_too_small_is_told_by_both(
    tiny_llama: Path, prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        assert os.environ["RANK"] == "0", "the first process alone looks"
        raise DiskError("no room")

    monkeypatch.setattr(start, "_check_disk", full)
    codes = two_ranks(tmp_path / "run", tiny_llama, prepared)
    assert codes == [DiskError.exit_code] * 2 and not (tmp_path / "run").exists()
