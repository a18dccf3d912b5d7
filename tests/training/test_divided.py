"""Two processes that each hold a part of every weight train what one process trains: the same
steps, evaluations and answers, and the same model; a run that was stopped goes on with the same
bits, or in one process.
"""

from __future__ import annotations

import json
import os
import signal
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from conftest import tiny_model
from material import runs
from material.fast import slow_but
from material.two_processes import PLAINLY, in_two, same_runs, two_ranks
from material.written_rows import pairs
from tunesmith.batches.batch import Batch
from tunesmith.batches.micro_batches import micro_batches
from tunesmith.errors import DiskError, Stopped
from tunesmith.events.stream import Events
from tunesmith.machine import sharding, slices
from tunesmith.models.structure import divided
from tunesmith.models.structure.divided import own_part
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.preparing import make_ready
from tunesmith.training.start import train

DIVIDED: dict[str, Any] = {"train.machine.shard": "fsdp"}
SETTINGS: dict[str, Any] = {**PLAINLY, "questions": ["How far is Rome?"]}
UPDATES = 8
"""Steps of a run."""
LORA, FULL = {"name": "lora", "rank": 4}, {"name": "full"}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


@pytest.mark.parametrize(
    ("objective", "method"),
    slow_but(
        ["sft-full"],  # each 6 s
        [("sft", LORA), ("sft", FULL), ("dpo", LORA)],
        lambda case: f"{case[0]}-{case[1]['name']}",
    ),
)
def test_divided_processes_train_what_one_trains(
    objective: str, method: dict[str, Any], tiny_llama: Path, tmp_path: Path
) -> None:
    rows = runs.rows() if objective == "sft" else pairs()
    (tmp_path / "rows.json").write_text(json.dumps(rows[:33]), encoding="utf-8")
    data = {"path": str(tmp_path / "rows.json"), "held_out": 0}
    how: dict[str, Any] = {**SETTINGS, "method": method, "objective": objective, "data": data}
    one = runs.resolved(tmp_path / "one", tiny_llama, **how)
    prepared = runs.data_of(one, watch=0)
    prepared.watch, prepared.train = prepared.train[-8:], prepared.train[:-8]
    folder = train(one, prepared)
    assert two_ranks(tmp_path / "two", tiny_llama, prepared, **how, **DIVIDED) == [0, 0]
    same_runs(folder, RunFolder(tmp_path / "two"))


def test_each_process_holds_a_half(tiny_llama: Path, prepared: Any, tmp_path: Path) -> None:
    def hold(_: int) -> None:
        one = runs.resolved(tmp_path / "run", tiny_llama, method=LORA, **DIVIDED)
        model = make_ready(one, prepared, Events()).work.model.model
        held = {name: own_part(weight).numel() for name, weight in model.named_parameters()}
        for name, weight in model.named_parameters():
            assert held[name] == (weight.numel() if weight.requires_grad else weight.numel() / 2)

    assert in_two(hold) == [0, 0]


@pytest.mark.parametrize("method", slow_but(["full"], [LORA, FULL], itemgetter("name")))
def test_each_process_reads_its_part_of_the_files(
    method: dict[str, Any],
    tiny_llama: Path,
    prepared: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, read = slices.safe_open, [0]

    class Counted:
        def __init__(self, *args: Any) -> None:
            self.file = real(*args)

        def __enter__(self) -> Counted:
            self.file.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self.file.__exit__(*error)

        def keys(self) -> list[str]:
            return self.file.keys()

        def get_slice(self, name: str) -> Any:
            stored = self.file.get_slice(name)

            class Slice:
                def __getitem__(self, cut: Any) -> torch.Tensor:
                    found = stored[cut]
                    read[0] += found.numel()
                    return found

            return Slice()

    monkeypatch.setattr(slices, "safe_open", Counted)
    whole = AutoModelForCausalLM.from_pretrained(tiny_llama)

    def hold(_: int) -> None:
        one = runs.resolved(tmp_path / "run", tiny_llama, method=method, **DIVIDED)
        model = make_ready(one, prepared, Events()).work.model.model
        total = sum(weight.numel() for weight in whole.parameters())
        assert 0.5 * total <= read[0] <= 0.5 * total + 100
        named = {name.replace(".base_layer", ""): one for name, one in model.named_parameters()}
        for name, weight in whole.named_parameters():
            ours = next(one for key, one in named.items() if key.endswith(name))
            assert torch.equal(divided.whole(ours.detach()), weight), name
        tables = dict(model.named_buffers())
        for name, table in whole.named_buffers():
            assert torch.equal(next(t for k, t in tables.items() if k.endswith(name)), table)

    assert in_two(hold) == [0, 0]


@pytest.mark.parametrize("tied", slow_but(["True"], [False, True]))
def test_what_is_gathered_to_be_saved_passes_in_pieces_through_one_process(
    tied: bool, prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_model(tmp_path / "base", tie_word_embeddings=tied)
    wanted, most = AutoModelForCausalLM.from_pretrained(base).state_dict(), 2**14
    sizes: list[list[int]] = []
    real = sharding.save_file

    def noted(tensors: dict[str, torch.Tensor], file: Path) -> None:
        sizes.append([one.nbytes for one in tensors.values()])
        real(tensors, file)

    monkeypatch.setattr(sharding, "save_file", noted)
    monkeypatch.setattr(sharding, "FILE_BYTES", most)

    def gather(rank: int) -> None:
        one = runs.resolved(tmp_path / "run", base, method=FULL, **DIVIDED)
        work = make_ready(one, prepared, Events()).work
        with sharding.gathered(work.model.model, work.device, tmp_path, trained_too=True) as found:
            assert found is not None and found.keys() == ({} if rank else wanted).keys()
            for name, weight in found.items():
                assert torch.equal(weight, wanted[name]), name
            if rank == 0:
                assert (found["lm_head.weight"] is found["model.embed_tokens.weight"]) == tied
                assert sum(map(sum, sizes)) == sum(
                    {id(w): w.nbytes for w in found.values()}.values()
                )
                assert len(sizes) > 2 and all(sum(one[:-1]) < most for one in sizes)
        work.device.processes.everyones(None)
        assert not list(tmp_path.glob(".*"))

    assert in_two(gather) == [0, 0]


def test_a_disk_that_refuses_what_is_gathered_is_told_by_all(
    tiny_llama: Path, prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(sharding, "save_file", refuse)
    how = {**SETTINGS, "method": FULL, "questions": [], **DIVIDED}
    # The best model is not saved either (after step 1), and the run goes on.
    how |= {"train.keep.save": 1, "train.keep.evaluate": 1}

    def stopped(_: int) -> None:
        with pytest.raises(DiskError, match=r"3 consecutive checkpoints .* No space left"):
            train(runs.resolved(tmp_path / "run", tiny_llama, **how), prepared)

    assert in_two(stopped) == [0, 0]
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
    assert not list((tmp_path / "run").glob(".*.tmp-*"))


@pytest.mark.slow  # each 20 s; tests/training/test_two_processes.py goes on undivided
@pytest.mark.parametrize("method", [LORA, FULL], ids=itemgetter("name"))
def test_what_was_stopped_goes_on_with_the_same_bits_and_in_one_process(
    method: dict[str, Any],
    tiny_llama: Path,
    prepared: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = {**SETTINGS, "train.optimizer": "adamw", "train.learning_rate": 1e-3, "method": method}
    steps: list[int] = []

    def stopped(examples: Any, *args: Any, **kinds: Any) -> list[Batch]:
        steps.append(1)
        if len(steps) == 5 and out != "whole":
            os.kill(os.getpid(), signal.SIGTERM)
        return micro_batches(examples, *args, **kinds)

    monkeypatch.setattr("tunesmith.training.work.micro_batches", stopped)
    for out in ("whole", "two", "one"):
        asked = {"prepared": prepared, **how, **DIVIDED}
        wanted = 0 if out == "whole" else Stopped.exit_code
        assert two_ranks(tmp_path / out, tiny_llama, **asked) == [wanted] * 2
        steps.clear()
    monkeypatch.undo()
    assert two_ranks(tmp_path / "two", tiny_llama, prepared, resume=True, **how, **DIVIDED) == [
        0,
        0,
    ]
    whole = weights(tmp_path / "whole" / "model")
    for name, value in weights(tmp_path / "two" / "model").items():
        assert torch.equal(value, whole[name])
    # What is opened is whole; with full the state beside it is not.
    last = [RunFolder(tmp_path / out, which=f"step-{UPDATES}").model for out in ("whole", "two")]
    straight, again = map(weights, last)
    assert straight.keys() == whole.keys()
    for name, value in again.items():
        assert torch.equal(value, straight[name])
    assert (last[1].parent / "weights").is_dir() == (method == FULL)
    # On another number of processes dropout draws anew; here there is none.
    train(runs.resolved(tmp_path / "one", tiny_llama, **how), prepared, resume=True)
    for name, value in weights(tmp_path / "one" / "model").items():
        assert float((value - whole[name]).abs().max()) < 1e-4, name
