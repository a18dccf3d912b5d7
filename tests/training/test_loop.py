from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from material import runs
from material.fast import slow_but
from tunesmith.batches.batch import Batch, Loss, Ratio
from tunesmith.data.prepare import Prepared
from tunesmith.errors import DiskError, TrainingError
from tunesmith.events.run import LossSpike, StepMade
from tunesmith.objectives.sft import Sft
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training import loop
from tunesmith.training.evaluation.watch import Watch
from tunesmith.training.health import Spikes, Unmoved, robust_z
from tunesmith.training.keeping import checkpoint
from tunesmith.training.start import train

NO_DROPOUT = {"method": {"name": "lora", "rank": 4}}


def trained(out: Path, model: Path, prepared: Prepared, **overrides: Any) -> RunFolder:
    return train(runs.resolved(out, model, **overrides), prepared)


def adapter(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.model / "adapter_model.safetensors")


def events(folder: RunFolder, name: str) -> list[dict[str, Any]]:
    return [line for line in folder.steps() if line.get("event") == name]


def test_the_cut_into_micro_batches_does_not_change_the_gradient(tiny_llama, prepared, tmp_path):
    # One step of plain gradient descent, not clipped: the weights move by exactly the gradient.
    settings = {
        **NO_DROPOUT,
        "train.steps": 1,
        "train.warmup": 0,
        "train.clip": 0,
        "train.schedule": "constant",
    }
    settings |= {"train.optimizer": {"name": "sgd", "momentum": 0}, "train.learning_rate": 1.0}
    whole = trained(
        tmp_path / "1x8", tiny_llama, prepared, **settings, **{"train.micro_tokens": 100_000}
    )
    single = trained(
        tmp_path / "8x1", tiny_llama, prepared, **settings, **{"train.micro_tokens": 1}
    )
    ones, eights = adapter(single), adapter(whole)
    assert (
        max(float(value.abs().max()) for name, value in eights.items() if "lora_B" in name) > 1e-3
    ), "it moved"
    for name in ones:
        difference = float((ones[name] - eights[name]).norm() / eights[name].norm())
        assert difference < 1e-6, name
    first, second = (runs.record(folder)[1] for folder in (whole, single))
    assert first["loss"] == pytest.approx(second["loss"], rel=1e-6)
    assert first["grad_norm"] == pytest.approx(second["grad_norm"], rel=1e-5)
    assert first["tokens"] == second["tokens"]


def test_the_held_out_loss_is_what_plain_transformers_says(tiny_llama, prepared, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = trained(tmp_path / "run", tiny_llama, prepared, **{"train.steps": 1})
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    total, count = 0.0, 0
    for item in prepared.watch:
        for tokens in item.tokens:
            ids = torch.tensor(tokens.ids_T, dtype=torch.long)[None]
            labels = torch.where(torch.tensor(tokens.weights_T)[None] > 0, ids, -100)
            with torch.no_grad():
                total += model(ids, labels=labels).loss.item() * tokens.scored
            count += tokens.scored
    base = folder.steps()[0]
    assert base["step"] == 0
    assert base["evaluation"]["loss"] == pytest.approx(total / count, rel=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    tiny_llama, prepared, straight, tmp_path
):
    again = trained(tmp_path / "again", tiny_llama, prepared)
    other = trained(tmp_path / "other", tiny_llama, prepared, **{"train.seed": 4})
    assert runs.weights(again.model) == runs.weights(straight.model)
    assert runs.weights(other.model) != runs.weights(straight.model)
    assert runs.record(again) == runs.record(straight)


def test_the_record_has_every_step_and_the_schedules_rate(straight):
    steps = [line for line in straight.steps() if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert {
        "loss",
        "learning_rate",
        "grad_norm",
        "tokens",
        "tokens_per_second",
        "memory_gib",
        "held_gib",
        "seconds",
        "epoch",
    } <= set(steps[0])
    rates = [
        (1 / 2 if n == 0 else (1 + math.cos(math.pi * (n - 1) / 7)) / 2) * 1e-2 for n in range(8)
    ]
    assert [line["learning_rate"] for line in steps] == pytest.approx(rates)
    assert [line["step"] for line in straight.steps() if "evaluation" in line] == [0, 3, 6, 8]
    assert steps[-1]["epoch"] == 2.0
    assert steps[3]["tokens"] < steps[2]["tokens"], "the last step of an epoch takes what is left"


def poisoned(monkeypatch: pytest.MonkeyPatch, times: list[int], spoil: str = "loss") -> list[int]:
    """Makes the loss, or its gradient alone, not finite at the given calls of the training loss
    (from 1).
    """
    real, calls = Sft.loss, [0]

    def loss(self: Sft, models: dict[str, Any], batch: Batch) -> Loss:
        found = real(self, models, batch)
        if torch.is_grad_enabled():
            calls[0] += 1
            if calls[0] in times and spoil == "loss":
                return Loss(found.total * float("nan"), {"loss": Ratio(float("nan"), batch.units)})
            if calls[0] in times:
                found.total.register_hook(lambda gradient: gradient * float("inf"))
        return found

    monkeypatch.setattr(Sft, "loss", loss)
    return calls


@pytest.mark.parametrize("spoil", slow_but(["gradient"], ["loss", "gradient"]))
def test_a_step_that_is_not_finite_once_is_tried_again(
    spoil, tiny_llama, prepared, tmp_path, monkeypatch
):
    clean = trained(tmp_path / "clean", tiny_llama, prepared, **NO_DROPOUT)
    poisoned(monkeypatch, [2], spoil)
    folder = trained(tmp_path / "run", tiny_llama, prepared, **NO_DROPOUT)
    (event,) = events(folder, "not_finite")
    assert event["step"] == 2 and event["attempt"] == 1
    assert len(event["rows"]) == 8 and all(row.startswith("rows.json:") for row in event["rows"])
    assert event["loss"] == "nan" if spoil == "loss" else event["grad_norm"] in ("nan", "inf")
    assert runs.weights(folder.model) == runs.weights(clean.model), (
        "nothing of the bad attempt is left"
    )


def test_a_step_that_stays_not_finite_moves_neither_weights_nor_schedule(
    tiny_llama, prepared, tmp_path, monkeypatch
):
    poisoned(monkeypatch, [2, 3])
    folder = trained(tmp_path / "run", tiny_llama, prepared)
    steps = [line for line in folder.steps() if "loss" in line and "event" not in line]
    assert [line["step"] for line in steps] == [1, 3, 4, 5, 6, 7, 8]
    assert steps[1]["learning_rate"] == pytest.approx(1e-2), "the second update has the second rate"


def test_steps_that_are_never_finite_end_the_run_by_name(
    tiny_llama, prepared, tmp_path, monkeypatch
):
    poisoned(monkeypatch, list(range(3, 99)))
    with pytest.raises(TrainingError) as caught:
        trained(tmp_path / "run", tiny_llama, prepared)
    assert caught.value.exit_code == 1
    assert "stopped at step 6: loss or gradient was not finite in 4 consecutive steps" in str(
        caught.value
    )
    assert "rows.json:" in str(caught.value)


def test_a_full_disk_during_training_is_recorded_and_retried_then_stops_with_74(
    tiny_llama, prepared, tmp_path, monkeypatch, straight
):
    import errno
    import os

    real = checkpoint.fsync

    def full(until: int) -> None:
        saves: set[str] = set()

        def fsync(path: Path) -> None:
            saves.update(part for part in path.parts if part.startswith(".step.tmp"))
            if len(saves) <= until and ".step.tmp" in str(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(path)

        monkeypatch.setattr(checkpoint, "fsync", fsync)

    full(2)
    folder = trained(tmp_path / "twice", tiny_llama, prepared)
    assert [event["step"] for event in events(folder, "checkpoint_failed")] == [2, 4]
    assert runs.weights(folder.model) == runs.weights(straight.model)
    full(99)
    with pytest.raises(DiskError, match="3 consecutive checkpoints") as caught:
        trained(tmp_path / "always", tiny_llama, prepared)
    assert caught.value.exit_code == 74


def test_patience_ends_a_run_and_the_best_is_kept_apart(tiny_llama, prepared, tmp_path):
    # At this rate the held-out loss rises after the first evaluation.
    keep = {"evaluate": 1, "save": 0, "patience": 2, "final": "last"}
    settings = {"train.keep": keep, "train.learning_rate": 0.3, "train.warmup": 0}
    folder = trained(tmp_path / "run", tiny_llama, prepared, **settings)
    looked = {
        line["step"]: line["evaluation"]["loss"]
        for line in folder.steps()
        if "evaluation" in line and line["step"]
    }
    best = min(looked, key=lambda step: looked[step])
    last = max(looked)
    assert last == best + 2 < 8
    (event,) = events(folder, "patience_ended")
    assert event["best_step"] == best
    assert folder.read(folder.best / "tunesmith.json")["step"] == best
    assert folder.read(folder.model / "tunesmith.json")["step"] == last
    assert runs.weights(folder.best) != runs.weights(folder.model)


def test_the_best_can_be_chosen_by_a_metric_of_written_answers(tiny_llama, prepared, tmp_path):
    folder = trained(
        tmp_path / "run", tiny_llama, prepared, **{"train.keep.best_by": "chrf", "train.steps": 3}
    )
    looked = [line["evaluation"] for line in folder.steps() if "evaluation" in line]
    assert all(set(one) == {"loss", "chrf"} for one in looked)
    assert folder.best.is_dir()


def test_a_loss_spike_is_three_losses_far_above_the_last_fifty():
    spikes = Spikes()

    def see(loss: float) -> LossSpike | None:
        return spikes.see(StepMade(1, 60, 1, {"loss": loss}))

    assert not any(see(2.0 + 0.01 * (n % 7)) for n in range(60))
    assert [see(loss) is not None for loss in (9.0, 9.0, 2.01, 9.0, 9.0, 9.5)] == [False] * 5 + [
        True
    ]
    assert robust_z(3.0, [1.0, 2.0, 3.0]) == pytest.approx(1 / 1.4826)


def test_a_weight_that_does_not_move_in_ten_updates_is_named():
    weights = [(name, torch.nn.Parameter(torch.ones(3))) for name in ("moves", "still")]
    rule = Unmoved(weights)
    with torch.no_grad():
        weights[0][1][0] += 1e-4
    assert rule.see(StepMade(9, 60, 9, {})) is None
    event = rule.see(StepMade(10, 60, 10, {}))
    assert event is not None and event.count == 1 and event.first == ["still"]
    assert rule.see(StepMade(11, 60, 11, {})) is None, "it is said once"


def test_a_run_whose_weights_are_not_finite_leaves_no_model(
    tiny_llama, prepared, tmp_path, monkeypatch
):
    real = loop.update

    def update(work: loop.Work, at: loop.Position) -> float:
        rate = real(work, at)
        with torch.no_grad():
            work.named[-1][1].view(-1)[0] = float("inf")
        return rate

    monkeypatch.setattr(loop, "update", update)
    with pytest.raises(TrainingError, match=r"1 of .* trained weights are not finite"):
        trained(tmp_path / "run", tiny_llama, prepared, **{"train.steps": 1})
    folder = RunFolder(tmp_path / "run")
    assert not folder.model.exists() and not any(folder.checkpoints.glob("step-*"))


def test_a_run_that_ends_on_a_loss_that_is_not_finite_leaves_no_model(
    monkeypatch, tiny_llama, prepared, tmp_path
):
    poisoned(monkeypatch, [3, 4])
    with pytest.raises(TrainingError, match="last step"):
        trained(tmp_path / "run", tiny_llama, prepared, **{"train.steps": 3})
    assert not RunFolder(tmp_path / "run").model.exists()


def test_a_run_that_ends_on_a_held_out_loss_that_is_not_finite_leaves_no_model(
    monkeypatch, tiny_llama, prepared, tmp_path
):
    evaluate = Watch.evaluate

    def spoiled(self: Watch, *how: Any) -> dict[str, float] | None:
        found = evaluate(self, *how)
        seen.append(found)
        return found if len(seen) < 3 or found is None else found | {"loss": math.nan}

    seen: list[Any] = []
    monkeypatch.setattr(Watch, "evaluate", spoiled)
    watched = replace(prepared, watch=prepared.train[-4:])
    with pytest.raises(TrainingError, match=r"held-out loss at the end .step 5. is nan"):
        trained(tmp_path / "run", tiny_llama, watched, **{"train.steps": 5})
    assert len(seen) == 3 and not RunFolder(tmp_path / "run").model.exists()
