"""Trackers against stand-ins for their packages: what they are opened with, and the numbers of
every step.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from material import runs
from tunesmith.settings.family import TRACKERS
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train


class StandIn:
    """Every call on it, by name, with what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> StandIn:
            self.calls.append((name, given, named))
            return self

        return call

    def of(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(given, named) for called, given, named in self.calls if called == name]


NUMBERS = {
    "wandb": lambda seen: {
        named["step"]: given[0] for given, named in seen.of("log") if "loss" in given[0]
    },
    "swanlab": lambda seen: {
        named["step"]: given[0] for given, named in seen.of("log") if "loss" in given[0]
    },
    "mlflow": lambda seen: {
        named["step"]: given[0] for given, named in seen.of("log_metrics") if "loss" in given[0]
    },
    "tensorboard": lambda seen: {
        step: {"loss": value} for (name, value, step), _ in seen.of("add_scalar") if name == "loss"
    },
}
LAST = {"wandb": "finish", "swanlab": "finish", "mlflow": "end_run", "tensorboard": "close"}
FIRST = {
    "wandb": "init",
    "swanlab": "init",
    "mlflow": "set_experiment",
    "tensorboard": "SummaryWriter",
}
CALLED = (
    "init",
    "set_experiment",
    "start_run",
    "log_param",
    "log_metrics",
    "end_run",
    "SummaryWriter",
)
"""What the packages are called by."""


def test_every_tracker_has_a_stand_in_here() -> None:
    assert set(NUMBERS) == set(TRACKERS.names())


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_a_tracker_gets_every_step_and_is_closed(name, tiny_llama, prepared, tmp_path, monkeypatch):
    seen = StandIn()
    for module in (name, "torch.utils.tensorboard"):
        stand_in = types.ModuleType(module)
        stand_in.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
        vars(stand_in).update({each: getattr(seen, each) for each in CALLED})
        monkeypatch.setitem(sys.modules, module, stand_in)
    one = runs.resolved(tmp_path / "run", tiny_llama, track=[name], **{"train.steps": 3})
    folder: RunFolder = train(one, prepared)
    losses = {line["step"]: {"loss": line["loss"]} for line in folder.steps() if "loss" in line}
    assert {
        step: {"loss": numbers["loss"]} for step, numbers in NUMBERS[name](seen).items()
    } == losses and len(losses) == 3
    assert seen.calls[0][0] == FIRST[name] and seen.calls[-1][0] == LAST[name]
    opened = [
        str(value) for _, given, named in seen.calls[:3] for value in (*given, *named.values())
    ]
    assert any(
        value == "tunesmith" or value == str(folder.path / "tensorboard") for value in opened
    ), "project, or place"
    assert "held_out/loss" in str(seen.calls)


class MlflowException(Exception):
    """As that of the package: derived from nothing narrower."""


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("set_experiment", ConnectionError),
        ("log_metrics", MlflowException),
        ("end_run", ValueError),
    ],
)
def test_a_tracker_that_fails_is_told_once_and_the_run_goes_on(
    where, kind, tiny_llama, prepared, tmp_path, monkeypatch
):
    seen, told = StandIn(), []

    def fails(*_: Any, **__: Any) -> None:
        raise kind("no server at 127.0.0.1:5000\nand more")

    exceptions = types.ModuleType("mlflow.exceptions")
    vars(exceptions).update(MlflowException=MlflowException)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", exceptions)

    stand_in = types.ModuleType("mlflow")
    stand_in.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    vars(stand_in).update({each: getattr(seen, each) for each in CALLED} | {where: fails})
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    one = runs.resolved(tmp_path / "run", tiny_llama, track=["mlflow"], **{"train.steps": 3})
    folder: RunFolder = train(one, prepared, events=runs.said(told))
    assert (
        len([line for line in folder.steps() if "loss" in line]) == 3
        and (folder.model / "tunesmith.json").is_file()
    )
    failed = [
        line
        for line in told
        if "mlflow" in line and f"{kind.__name__}: no server at 127.0.0.1:5000)" in line
    ]
    assert len(failed) == 1 and "record.jsonl" in failed[0]
