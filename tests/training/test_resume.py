"""Runs that are ended in every way end, once resumed, with the same bytes as one that was left
alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from material import runs
from material.fast import slow_but
from tunesmith.data.prepare import Prepared
from tunesmith.errors import CheckpointError, SpecError
from tunesmith.storage import run_folder
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training import start
from tunesmith.training.keeping.state import Captured
from tunesmith.training.start import train


def at_step(step: int, act: Callable[[], object]) -> Callable[[dict[str, Any]], None]:
    """An ``on_step`` that acts when the line of ``step`` has been written."""

    def on_step(line: dict[str, Any]) -> None:
        if line["step"] == step and "loss" in line:
            act()

    return on_step


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture
def begin(tiny_llama: Path, prepared: Prepared, tmp_path: Path) -> Callable[..., int]:
    """Trains, or resumes, in a child process; the exit code is that of the command."""

    def run(on_step: Any = None, *, resume: bool = False, **overrides: Any) -> int:
        one = runs.resolved(tmp_path / "run", tiny_llama, **overrides)
        return runs.in_child(
            lambda: train(one, prepared, resume=resume, events=runs.on_step(on_step))
        )

    return run


def assert_same(folder: RunFolder, straight: RunFolder) -> None:
    assert runs.weights(folder.model) == runs.weights(straight.model)
    assert runs.weights(folder.best) == runs.weights(straight.best)
    assert runs.record(folder) == runs.record(straight)


# Of each way to end a run the fast suite keeps one that leaves another state behind than the chain of
# kills below; all took 71 s.
@pytest.mark.parametrize("step", slow_but(["1"], [1, 2, 3, 5, 7, 8]))
def test_kill_9_at_a_step_then_resume_is_bit_equal(step, begin, straight, tmp_path):
    assert begin(at_step(step, runs.kill_now)) == -signal.SIGKILL
    folder = RunFolder(tmp_path / "run")
    assert not folder.model.exists()
    assert begin(resume=True) == 0
    assert_same(folder, straight)


def test_a_chain_of_kills_is_bit_equal(begin, straight, tmp_path):
    assert begin(at_step(3, runs.kill_now)) == -signal.SIGKILL
    for step in (4, 5, 7, 8):
        assert begin(at_step(step, runs.kill_now), resume=True) == -signal.SIGKILL
    assert begin(resume=True) == 0
    assert_same(RunFolder(tmp_path / "run"), straight)


@pytest.mark.parametrize(
    ("number", "step"),
    slow_but(
        ["SIGINT at 5"],
        [(signal.SIGTERM, 3), (signal.SIGTERM, 5), (signal.SIGINT, 5), (signal.SIGHUP, 3)],
        lambda case: f"{case[0].name} at {case[1]}",
    ),
)
def test_a_polite_signal_saves_leaves_with_75_and_loses_no_step(
    number, step, begin, straight, tmp_path
):
    assert begin(at_step(step, send(number))) == 75
    folder = RunFolder(tmp_path / "run")
    facts = json.loads((max(folder.checkpoints.glob("step-*")) / "state.json").read_text())
    assert facts["parts"]["position"]["step"] == step
    assert begin(at_step(step, lambda: os._exit(99)), resume=True) == 0, (
        "the step is not trained again"
    )
    assert_same(folder, straight)


@pytest.mark.slow  # 2 s
def test_a_signal_during_the_evaluation_makes_it_again(begin, straight, tmp_path, monkeypatch):
    from tunesmith.training.evaluation.watch import Watch

    evaluate = Watch.evaluate

    def stopped_within(self: Watch, stopped: Callable[[], bool]) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, stopped)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "evaluate", stopped_within)
        assert begin() == 75
        assert begin(resume=True) == 75
    assert begin(resume=True) == 0
    assert_same(RunFolder(tmp_path / "run"), straight)


@pytest.mark.slow  # 2 s
def test_a_signal_while_the_folder_is_being_opened_can_be_continued(
    begin, straight, tmp_path, monkeypatch
):
    whole = start.write_whole

    def signalled(path: Path, content: str) -> None:
        whole(path, content)
        if path.name == "run.yaml":
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        for module in (start, run_folder):
            patch.setattr(module, "write_whole", signalled)
        assert begin() == 75
    folder = RunFolder(tmp_path / "run")
    assert folder.ledger.is_file()
    with monkeypatch.context() as patch:
        ready = start.make_ready
        patch.setattr(
            start, "make_ready", lambda *given: (send(signal.SIGTERM)(), ready(*given))[1]
        )
        assert begin(resume=True) == 75, "the folder is there while the model loads"
    assert begin(resume=True) == 0
    assert_same(folder, straight)


@pytest.mark.parametrize(
    "name", slow_but(["dropped.jsonl"], ["run.yaml", "dropped.jsonl", "ledger.json"])
)
def test_kill_9_while_the_folder_is_being_opened_leaves_no_dead_folder(
    name, begin, straight, tmp_path, monkeypatch
):
    whole = start.write_whole

    def killed(path: Path, content: str) -> None:
        if path.name == name:
            runs.kill_now()
        whole(path, content)

    with monkeypatch.context() as patch:
        for module in (start, run_folder):
            patch.setattr(module, "write_whole", killed)
        assert begin() == -signal.SIGKILL
    folder = RunFolder(tmp_path / "run")
    assert folder.run_yaml.exists() == (name != "run.yaml")
    assert begin(resume=folder.run_yaml.exists()) == 0
    assert_same(folder, straight)
    assert folder.read(folder.ledger) == straight.read(straight.ledger) and folder.dropped.is_file()


@pytest.mark.slow  # 2 s
def test_a_signal_between_the_own_questions_makes_the_whole_evaluation_again(
    begin, tmp_path, monkeypatch
):
    from tunesmith.models.calling import generate as generating
    from tunesmith.outputs import answers

    asked = {"questions": ["How far is Rome?", "How far is Oslo?", "Where is Lima?"]}
    calls: list[int] = []
    generate = generating.generate

    def counted(*given: Any, **settings: Any) -> Any:
        (tmp_path / f"call{len(calls)}").touch()
        calls.append(1)
        os.kill(os.getpid(), signal.SIGTERM)
        return generate(*given, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(answers, "AT_ONCE", 1)
        patch.setattr(generating, "generate", counted)
        assert begin(**asked) == 75
    folder = RunFolder(tmp_path / "run")
    assert [path.name for path in tmp_path.glob("call*")] == ["call0"], (
        "the other questions are not waited for"
    )
    assert folder.steps() == []
    assert begin(resume=True, **asked) == 0
    told = [
        (line["step"], "answers" if "answers" in line else "evaluation")
        for line in folder.steps()
        if "loss" not in line
    ]
    assert told == [(step, kind) for step in (0, 3, 6, 8) for kind in ("evaluation", "answers")]


@pytest.mark.slow  # 2 s
def test_a_second_signal_leaves_at_once(begin, straight, tmp_path):
    def twice() -> None:
        send(signal.SIGTERM)()
        send(signal.SIGTERM)()
        os._exit(98)

    assert begin(at_step(5, twice)) == 75
    folder = RunFolder(tmp_path / "run")
    assert [path.name for path in sorted(folder.checkpoints.glob("step-*"))] == [
        "step-00000002",
        "step-00000004",
    ]
    assert begin(resume=True) == 0
    assert_same(folder, straight)


@pytest.mark.parametrize(
    "place",
    slow_but(
        ["commit", "best"],
        ["tensors", "commit", "pointer", "rotation", "best", "model"],
    ),
)
def test_kill_9_within_a_save_then_resume_is_bit_equal(
    place, begin, straight, tmp_path, monkeypatch
):
    names = {
        "commit": ".step.tmp",
        "pointer": ".LATEST.tmp",
        "best": ".best.old",
        "model": ".model.tmp",
    }
    replace, removed = os.replace, shutil.rmtree

    def killed_replace(source: Any, target: Any) -> None:
        if str(names[place]) in (Path(source).name + Path(target).name):
            runs.kill_now()
        replace(source, target)

    def killed_removal(path: Any, **how: Any) -> None:
        if Path(path).name.startswith("step-"):
            runs.kill_now()
        removed(path, **how)

    with monkeypatch.context() as patch:
        if place == "tensors":
            patch.setattr(
                Captured,
                "write",
                lambda _, folder: (
                    (folder / "weights.safetensors").write_bytes(b"part") and runs.kill_now()
                ),
            )
        elif place == "rotation":
            patch.setattr(shutil, "rmtree", killed_removal)
        else:
            patch.setattr(os, "replace", killed_replace)
        assert begin() == -signal.SIGKILL
    folder = RunFolder(tmp_path / "run")
    assert begin(resume=True) == 0
    assert_same(folder, straight)
    assert not [
        path for path in folder.path.rglob(".*") if "tmp-" in path.name or "old-" in path.name
    ]


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before_and_nothing_else(
    begin, straight, tmp_path
):
    folder = RunFolder(tmp_path / "run")
    assert begin(at_step(7, runs.kill_now)) == -signal.SIGKILL
    newest = max(folder.checkpoints.glob("step-*"))
    content = bytearray((newest / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (newest / "weights.safetensors").write_bytes(content)
    assert begin(resume=True) == 0
    assert_same(folder, straight)
    assert list(folder.checkpoints.glob("*.corrupt"))


@pytest.mark.slow  # 2 s
def test_a_finished_run_can_be_resumed_and_stays_what_it_is(begin, straight, tmp_path):
    assert begin() == 0
    assert begin(at_step(8, lambda: os._exit(99)), resume=True) == 0
    assert_same(RunFolder(tmp_path / "run"), straight)


@pytest.mark.slow  # 2 s
def test_another_cut_into_micro_batches_is_refused_but_another_place_is_not(
    begin, straight, tmp_path, tiny_llama, prepared, capfd
):
    assert begin(at_step(5, runs.kill_now)) == -signal.SIGKILL
    one = runs.resolved(
        tmp_path / "run", tiny_llama, **{"train.learning_rate": 5e-3, "train.micro_tokens": 64}
    )
    with pytest.raises(CheckpointError) as caught:
        train(one, prepared, resume=True)
    assert "train.learning_rate: 0.01 -> 0.005" in str(caught.value)
    assert "train.micro_tokens: 512 -> 64" in str(caught.value)
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    one = runs.resolved(moved, tiny_llama)
    assert runs.in_child(lambda: train(one, prepared, resume=True)) == 0
    assert_same(RunFolder(moved), straight)


def test_other_rows_are_refused(begin, tmp_path, tiny_llama, prepared):
    assert begin(at_step(5, runs.kill_now)) == -signal.SIGKILL
    from dataclasses import replace

    with pytest.raises(SpecError, match="the rows are not those that the run began with"):
        train(
            runs.resolved(tmp_path / "run", tiny_llama),
            replace(prepared, fingerprint="x", all_rows=""),
            resume=True,
        )


@pytest.mark.parametrize("optimizer", slow_but(["muon"], ["adafactor", "sgd", "muon"]))
def test_every_optimizer_resumes_bit_equal(optimizer, tiny_llama, prepared, tmp_path):
    whole = runs.resolved(tmp_path / "whole", tiny_llama, **{"train.optimizer": optimizer})
    broken = runs.resolved(tmp_path / "broken", tiny_llama, **{"train.optimizer": optimizer})
    assert runs.in_child(lambda: train(whole, prepared)) == 0
    assert (
        runs.in_child(
            lambda: train(broken, prepared, events=runs.on_step(at_step(5, runs.kill_now)))
        )
        == -9
    )
    assert runs.in_child(lambda: train(broken, prepared, resume=True)) == 0
    assert_same(RunFolder(tmp_path / "broken"), RunFolder(tmp_path / "whole"))


@pytest.mark.slow  # 3 s
def test_full_training_resumes_bit_equal(tiny_llama, prepared, tmp_path):
    settings: dict[str, Any] = {"method": "full", "train.learning_rate": 1e-3}
    whole, broken = (
        runs.resolved(tmp_path / name, tiny_llama, **settings) for name in ("whole", "broken")
    )
    assert runs.in_child(lambda: train(whole, prepared)) == 0
    assert (
        runs.in_child(
            lambda: train(broken, prepared, events=runs.on_step(at_step(3, runs.kill_now)))
        )
        == -9
    )
    assert runs.in_child(lambda: train(broken, prepared, resume=True)) == 0
    assert_same(RunFolder(tmp_path / "broken"), RunFolder(tmp_path / "whole"))
