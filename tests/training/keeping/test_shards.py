"""What is divided is saved by each process for itself: the same bits as gathered, read by any number
of processes; a process that is killed or cannot write leaves the checkpoint before.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from material.fast import slow_but
from material.runs import in_child, kill_now
from material.two_processes import in_several, in_two
from tunesmith.errors import DiskError, SpecError, TrainingError
from tunesmith.machine import shards
from tunesmith.machine.device import Device
from tunesmith.machine.parallel import Processes, join
from tunesmith.models.structure.divided import divided_like, is_divided, whole
from tunesmith.settings.family import OPTIMIZERS
from tunesmith.training.keeping import checkpoint
from tunesmith.training.keeping.checkpoint import MANIFEST, Checkpoints
from tunesmith.training.keeping.state import Moments, State, Weights

SHAPES = {"odd": (5, 3), "one row": (1, 4), "bias": (7,), "wide": (6, 2, 2)}
WHOLE = "head"
"""A weight that every process has whole, as that of a trained role."""


class Trained:
    """Weights, divided where there are several processes, unequally, and what adamw remembers of
    them after ``steps`` of it.
    """

    def __init__(self, processes: Processes, steps: int = 0) -> None:
        draw = torch.Generator().manual_seed(3)
        several = processes.several
        mesh = init_device_mesh("cpu", (processes.world,)) if several else None
        self.named: list[tuple[str, torch.nn.Parameter]] = []
        for name, shape in {**SHAPES, WHOLE: (3, 2)}.items():
            value = torch.randn(shape, generator=draw)
            if mesh is not None and name != WHOLE:
                value = distribute_tensor(value, mesh, [Shard(0)])
            self.named.append((name, torch.nn.Parameter(value)))
        config = OPTIMIZERS.config("adamw")
        self.optimizer = OPTIMIZERS.make(config).build(self.named, 0.1, 0.01)
        for group in (self.optimizer.defaults, *self.optimizer.param_groups):
            group |= {"fused": False, "foreach": False}
        self.processes = processes
        for _ in range(steps):
            self.step(draw)
        self.state = State(
            {"weights": Weights(self.named), "optimizer": Moments(self.named, self.optimizer)},
            Device(torch.device("cpu"), "fp32", 1, processes, divided=several),
            identity={},
            weights=dict(self.named),
            in_shards=several,
        )

    def step(self, draw: torch.Generator) -> None:
        for _, weight in self.named:
            weight.grad = divided_like(torch.randn(weight.shape, generator=draw), weight)
        self.optimizer.step()

    def save(self, folder: Path, step: int = 1) -> bool:
        captured = self.state.capture()
        return Checkpoints(folder, 2, self.processes).save(
            step, captured.write, lambda draft: captured.write_shards(draft, self.processes)
        )

    def gathered(self) -> dict[str, torch.Tensor]:
        parts = {**Weights(self.named).state(), **Moments(self.named, self.optimizer).state()}
        return {name: whole(value).clone() for name, value in parts.items()}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Two processes' checkpoint, and beside it the same state as the first has gathered it."""

    def save(rank: int) -> None:
        one = Trained(join(), steps=2)
        assert one.save(tmp_path / "checkpoints")
        gathered = one.gathered()
        if rank == 0:
            save_file(gathered, tmp_path / "gathered.safetensors")

    assert in_two(save) == [0, 0]
    return tmp_path / "checkpoints"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_processes_reads_the_bits_that_were_gathered(count: int, saved: Path) -> None:
    wanted = load_file(saved.parent / "gathered.safetensors")

    def read(_: int) -> None:
        one = Trained(join())
        assert one.state.restore(saved / "step-00000001").get("ranks") == (
            None if count == 2 else (2, count)
        )
        found = one.gathered()
        assert found.keys() == wanted.keys()
        for name, value in found.items():
            assert torch.equal(value, wanted[name]), name
        if count > 1:
            moment = one.optimizer.state[one.named[0][1]]["exp_avg"]
            assert is_divided(moment) and moment.placements == (Shard(0),)

    assert in_several(count, read) == [0] * count


def test_each_process_writes_its_part_and_the_first_lists_all(saved: Path) -> None:
    place = saved / "step-00000001"
    manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))["files"]
    assert {path.suffix for path in place.rglob("*") if path.is_file()} == {".json", ".safetensors"}
    for part, kinds in ("weights", 1), ("optimizer", 2):
        files = sorted((place / part).iterdir())
        assert len(files) == 2 and {file.relative_to(place).as_posix() for file in files} <= set(
            manifest
        )
        rows = [len(load_file(file)["odd" if kinds == 1 else "exp_avg:odd"]) for file in files]
        assert rows == [3, 2]
    # What each process has whole is written once.
    assert set(load_file(place / "weights.safetensors")) == {WHOLE}


def test_no_process_gathers_what_it_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(*_: Any) -> None:
        raise AssertionError

    def save(_: int) -> None:
        one = Trained(join(), steps=1)
        monkeypatch.setattr(DTensor, "full_tensor", gather)
        monkeypatch.setattr(DTensor, "redistribute", gather)
        assert one.save(tmp_path)

    assert in_two(save) == [0, 0]


def test_a_file_holds_no_more_than_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "FILE_BYTES", 48)

    def save(_: int) -> None:
        assert Trained(join(), steps=1).save(tmp_path)

    assert in_two(save) == [0, 0]
    files = sorted((tmp_path / "step-00000001" / "weights").glob("shard-00001-*"))
    assert [[*load_file(file)] for file in files] == [["odd"], ["bias", "one row"], ["wide"]]
    one = Trained(Processes())
    one.state.restore(tmp_path / "step-00000001")
    again = Trained(Processes(), steps=1).gathered()
    for name, value in one.gathered().items():
        assert torch.allclose(value, again[name]), name


@pytest.mark.parametrize("spoil", ["missing", "damaged"])
def test_a_shard_that_is_missing_or_damaged_is_named(spoil: str, saved: Path) -> None:
    (second,) = (saved / "step-00000001" / "optimizer").glob("shard-00002-*")
    if spoil == "missing":
        second.unlink()
    else:
        content = bytearray(second.read_bytes())
        content[-1] ^= 1
        second.write_bytes(content)
    assert in_child(lambda: Trained(Processes(), steps=1).save(saved, step=0)) == 0
    lines: list[str] = []
    assert Checkpoints(saved, 2).newest(lines.append) == saved / "step-00000000"
    assert len(lines) == 1 and f"optimizer/{second.name}" in lines[0]


CALLS: dict[str, tuple[object, str]] = {
    "opens": (Path, "open"),
    "flushes": (os, "fsync"),
    "hashes": (checkpoint, "sha256"),
}
KILLED = [(rank, call) for rank in (0, 1) for call in CALLS]


@pytest.mark.parametrize(
    ("rank", "call"),
    slow_but(
        ["first-renames", "second-flushes"],
        [*KILLED, (0, "renames")],
        lambda case: f"{('first', 'second')[case[0]]}-{case[1]}",
    ),
)
def test_a_process_that_is_killed_leaves_the_checkpoint_before(
    rank: int, call: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, name = {**CALLS, "renames": (os, "replace")}[call]

    def save(number: int) -> None:
        one = Trained(join(), steps=3)
        if number == rank:
            monkeypatch.setattr(place, name, lambda *_, **__: kill_now())
            one.save(saved, step=2)
        with pytest.raises(TrainingError, match="another process of this run has ended"):
            one.save(saved, step=2)

    codes = in_two(save)
    assert codes[rank] in (-9, 256 - 9) and codes[1 - rank] == 0
    assert Checkpoints(saved, 2).newest(pytest.fail) == saved / "step-00000001"
    assert not list(saved.glob(".*"))


def test_a_disk_that_refuses_one_process_is_told_by_all(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def save(number: int) -> None:
        one = Trained(join(), steps=3)
        checkpoints = Checkpoints(saved, 2, one.processes)
        captured = one.state.capture()

        def write_own(draft: Path) -> list[Path]:
            return captured.write_shards(draft, one.processes)

        with monkeypatch.context() as patch:
            if number == 1:
                patch.setattr("torch.distributed.checkpoint.filesystem.os.fsync", refuse)
            for _ in range(2):
                assert not checkpoints.save(2, captured.write, write_own)
                assert os.strerror(errno.ENOSPC) in checkpoints.last_error
            with pytest.raises(DiskError, match="3 consecutive checkpoints"):
                checkpoints.save(2, captured.write, write_own)
        assert checkpoints.save(2, captured.write, write_own)

    assert in_two(save) == [0, 0]
    assert {path.name for path in saved.glob("*step*")} == {"step-00000001", "step-00000002"}


def test_processes_that_do_not_see_one_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(number: int) -> None:
        place = tmp_path / f"machine-{number}"
        place.mkdir()
        monkeypatch.chdir(place)
        with pytest.raises(SpecError, match="process 1 does not see what the first writes"):
            Checkpoints(Path("run"), 2, join()).refuse_folders_apart()

    assert in_two(begin) == [0, 0]
    assert not list((tmp_path / "machine-0" / "run").iterdir())
