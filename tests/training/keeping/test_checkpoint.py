from __future__ import annotations

import builtins
import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from material.runs import in_child, kill_now
from tunesmith.errors import CheckpointError, DiskError
from tunesmith.machine.device import Device, LossScale
from tunesmith.methods import Method
from tunesmith.plain import JsonObject
from tunesmith.settings.family import OPTIMIZERS
from tunesmith.training.keeping import state
from tunesmith.training.keeping.checkpoint import LATEST, MANIFEST, Checkpoints
from tunesmith.training.keeping.state import Moments, State, Weights


class Small:
    """A small trained thing: two tensors, an optimizer with moments, a part with a state."""

    def __init__(self, optimizer: str = "adamw", identity: JsonObject | None = None) -> None:
        self.weights = [
            ("a.weight", torch.nn.Parameter(torch.randn(4, 3))),
            ("b.bias", torch.nn.Parameter(torch.randn(3))),
        ]
        self.optimizer = OPTIMIZERS.make(OPTIMIZERS.config(optimizer)).build(
            self.weights, 0.1, 0.01
        )
        self.scale = LossScale()
        device = Device(torch.device("cpu"), "fp32", 1)
        self.state = State(
            {
                "weights": Weights(self.weights),
                "optimizer": Moments(self.weights, self.optimizer),
                "method": Method(None),
                "scale": self.scale,
            },
            device,
            identity={"data": "d", "base": "b", **(identity or {})},
            weights=dict(self.weights),
        )

    def step(self) -> None:
        for _, weight in self.weights:
            weight.grad = torch.randn_like(weight)
        self.optimizer.step()
        self.scale.overflow()

    def write(self) -> Callable[[Path], None]:
        return self.state.capture().write

    def values(self) -> list[list[float]]:
        return [weight.detach().flatten().tolist() for _, weight in self.weights]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def told() -> tuple[list[str], Callable[[str], None]]:
    lines: list[str] = []
    return lines, lines.append


@pytest.mark.parametrize("optimizer", OPTIMIZERS.names())
def test_a_restored_run_takes_the_same_next_steps(optimizer, folder):
    torch.manual_seed(1)
    one = Small(optimizer)
    one.step()
    Checkpoints(folder, 2).save(1, one.write())
    one.step()
    other = Small(optimizer)
    path = Checkpoints(folder, 2).newest(print)
    assert path is not None
    assert other.state.restore(path) == {}
    other.step()
    assert other.values() == one.values()
    assert other.scale == one.scale


def test_random_numbers_continue_where_they_were(folder):
    one = Small()
    Checkpoints(folder, 2).save(1, one.write())
    drawn = [random.random(), np.random.rand(), np.random.randn(), torch.rand(3).tolist()]
    path = Checkpoints(folder, 2).newest(print)
    assert path is not None
    one.state.restore(path)
    assert [random.random(), np.random.rand(), np.random.randn(), torch.rand(3).tolist()] == drawn


def test_only_safetensors_and_json_are_written(folder):
    one = Small()
    one.step()
    Checkpoints(folder, 2).save(1, one.write())
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file() and path.name != LATEST}
    assert kinds == {".json", ".safetensors"}
    manifest = json.loads((folder / "step-00000001" / MANIFEST).read_text())
    assert manifest["files"]["weights.safetensors"]["tensors"] == 2
    assert (folder / LATEST).read_text() == "step-00000001\n"


def test_old_ones_go_and_a_directory_is_never_written_twice(folder):
    one, checkpoints = Small(), Checkpoints(folder, 2)
    for step in (1, 2, 3, 3):
        assert checkpoints.save(step, one.write())
    assert [path.name for path in checkpoints.committed()] == ["step-00000003.1", "step-00000003"]


def truncate(path: Path) -> None:
    file = path / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def empty(path: Path) -> None:
    (path / "optimizer.safetensors").write_bytes(b"")


def flip(path: Path) -> None:
    file = path / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def flip_facts(path: Path) -> None:
    file = path / "state.json"
    file.write_text(file.read_text().replace('"clean": 0', '"clean": 1'))


DAMAGES = {
    "truncated": (truncate, "weights.safetensors has"),
    "emptied": (empty, "optimizer.safetensors has 0 bytes"),
    "flipped": (flip, "the content of weights.safetensors is not what was written"),
    "edited": (flip_facts, "the content of state.json is not what was written"),
    "missing": (
        lambda path: (path / "random.safetensors").unlink(),
        "random.safetensors is missing",
    ),
    "no manifest": (lambda path: (path / MANIFEST).unlink(), "MANIFEST.json is missing"),
    "empty manifest": (
        lambda path: (path / MANIFEST).write_text(""),
        "MANIFEST.json is unreadable",
    ),
    "manifest of nothing": (
        lambda path: (path / MANIFEST).write_text("[]"),
        "MANIFEST.json is unreadable",
    ),
    "another schema": (
        lambda path: (path / MANIFEST).write_text('{"schema": 99, "files": {}}'),
        "it has format 99",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_one_is_set_aside_and_the_one_before_used(name, folder):
    spoil, fault = DAMAGES[name]
    one, checkpoints = Small(), Checkpoints(folder, 2)
    for step in (1, 2):
        one.step()
        checkpoints.save(step, one.write())
    spoil(folder / "step-00000002")
    lines, tell = told()
    assert checkpoints.newest(tell) == folder / "step-00000001"
    assert len(lines) == 1 and "step-00000002 is damaged" in lines[0] and fault in lines[0]
    assert [path.name.split(".")[0] for path in folder.glob("*.corrupt")] == ["step-00000002"]
    assert checkpoints.save(2, one.write())
    assert checkpoints.committed()[0].name == "step-00000002.1", (
        "the damaged one's name is not used again"
    )


def test_a_stale_pointer_does_not_hide_what_is_whole(folder):
    one, checkpoints = Small(), Checkpoints(folder, 2)
    for step in (1, 2):
        checkpoints.save(step, one.write())
    for pointer in ("step-00000001\n", "step-00000077\n", ""):
        (folder / LATEST).write_text(pointer)
        assert checkpoints.newest(print) == folder / "step-00000002"


def test_none_that_is_whole_is_an_error_and_none_at_all_is_not(folder):
    checkpoints = Checkpoints(folder, 2)
    assert checkpoints.newest(print) is None
    checkpoints.save(1, Small().write())
    flip(folder / "step-00000001")
    for _ in range(2):
        with pytest.raises(
            CheckpointError,
            match=r"no checkpoint in .* is complete; start the run again in another folder",
        ):
            checkpoints.newest(lambda _: None)


def test_another_run_is_refused_by_the_name_of_what_differs(folder):
    Checkpoints(folder, 2).save(1, Small(identity={"train.batch": 8}).write())
    path = Checkpoints(folder, 2).newest(print)
    assert path is not None
    with pytest.raises(CheckpointError) as caught:
        Small(identity={"data": "other", "train.batch": 16}).state.restore(path)
    assert "  data: 'd' -> 'other'" in str(caught.value) and "  train.batch: 8 -> 16" in str(
        caught.value
    )
    assert "base" not in str(caught.value).split("\n", 1)[1]


@pytest.mark.parametrize("name", ["processes", "train.machine.shard"])
def test_what_a_checkpoint_names_of_the_machine_may_differ(name, folder):
    Checkpoints(folder, 2).save(1, Small(identity={name: "then"}).write())
    assert Small().state.restore(folder / "step-00000001") == {}


SYSCALLS = [
    (os, "replace"),
    (os, "fsync"),
    (os, "open"),
    (os, "mkdir"),
    (os, "close"),
    (os, "unlink"),
    (builtins, "open"),
    (shutil, "rmtree"),
    (state, "save_file"),
]


def hooked(patch: pytest.MonkeyPatch, act: Callable[[int], None]) -> list[int]:
    """Calls ``act(k)`` before the k-th call that reaches the file system; gives the counter."""
    count = [0]

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            count[0] += 1
            act(count[0])
            return real(*given, **named)

        return call

    for module, name in SYSCALLS:
        patch.setattr(module, name, wrap(getattr(module, name)))
    return count


def test_killed_before_every_call_of_a_save_a_whole_checkpoint_is_left(
    folder, monkeypatch, tmp_path
):
    one = Small()
    before = tmp_path / "before"
    one.step()
    first = one.values()
    Checkpoints(before, 1).save(1, one.write())
    one.step()
    second, content = one.values(), one.write()

    def save(kill_at: int) -> int:
        with monkeypatch.context() as patch:
            count = hooked(patch, lambda k: kill_now() if k == kill_at else None)
            Checkpoints(folder, 1).save(2, content)
        return count[0]

    shutil.copytree(before, folder)
    calls = save(0)
    assert calls > 25, "the walk is over the whole save"
    left = []
    for k in range(1, calls + 1):
        shutil.rmtree(folder)
        shutil.copytree(before, folder)
        assert in_child(lambda k=k: save(k)) == -9
        found = Checkpoints(folder, 1).newest(pytest.fail)
        assert found is not None and not list(folder.glob(".*tmp*")), "leftovers are swept"
        fresh = Small()
        fresh.state.restore(found)
        assert fresh.values() == (second if "00000002" in found.name else first)
        assert Checkpoints(folder, 1).save(2, content), "and the next save goes through"
        left.append(found.name)
    # The old one until the rename, the new one from there on.
    assert left == sorted(left) and len(set(left)) == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_leaves_the_last_one_and_stops_the_run_at_the_third_time(
    code, folder, monkeypatch
):
    one, checkpoints = Small(), Checkpoints(folder, 2)
    checkpoints.save(1, one.write())
    with monkeypatch.context() as patch:

        def refuse(*_: Any) -> None:
            raise OSError(code, os.strerror(code))

        patch.setattr(os, "fsync", refuse)
        assert not checkpoints.save(2, one.write())
        assert os.strerror(code) in checkpoints.last_error
        assert not checkpoints.save(3, one.write())
        with pytest.raises(
            DiskError, match="3 consecutive checkpoints could not be written"
        ) as caught:
            checkpoints.save(4, one.write())
        assert caught.value.exit_code == 74
    assert [path.name for path in folder.iterdir() if path.name != LATEST] == ["step-00000001"]
    assert checkpoints.save(5, one.write()) and checkpoints.failures == 0


def test_a_full_disk_is_noticed_inside_the_tensors_too(folder, monkeypatch):
    one, checkpoints = Small(), Checkpoints(folder, 2)

    def refuse(*_: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(state, "save_file", refuse)
    assert not checkpoints.save(1, one.write())
    assert checkpoints.committed() == [] and not list(folder.glob(".*"))
