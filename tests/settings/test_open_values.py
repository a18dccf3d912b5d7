"""What a run leaves open is settled by closed rules, in stages; what was given stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tunesmith.errors import SpecError
from tunesmith.settings.family import METHODS, OBJECTIVES, OPTIMIZERS
from tunesmith.settings.open_values import (
    MAY_BE_OPEN,
    begun,
    default_rate,
    fill,
    final_weights,
    from_rows,
    refuse_open,
    still_open,
    value_at,
    with_value,
)
from tunesmith.settings.resolved import Origin, Resolved, origins_of
from tunesmith.settings.run import Run, validate
from tunesmith.settings.spec import Spec


def run_with(**settings: Any) -> Run:
    return validate({"model": "m", "data": "d.json", "out": "runs/x"} | settings)


def paths(group: Spec, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of a group with its dotted path and value."""
    for name, value in group:
        here = f"{path}.{name}" if path else name
        yield here, value
        if isinstance(value, Spec):
            yield from paths(value, here)


def test_every_setting_that_is_left_to_us_is_one_that_a_plan_settles():
    left = {path for path, value in paths(run_with()) if value == "auto"}
    assert left == {
        *("lang", "model.dtype", "train.machine.checkpointing"),
        *("train.machine.device", "train.machine.precision"),
    }
    assert left < set(MAY_BE_OPEN) == set(still_open(run_with()))


def test_open_values_are_refused_all_at_once_and_settled_ones_are_not():
    with pytest.raises(SpecError) as caught:
        refuse_open(run_with(train={"batch": 4}))
    assert [problem.where for problem in caught.value.problems] == [
        path for path in MAY_BE_OPEN if path != "train.batch"
    ]
    settled = fill(Resolved(run_with()), dict.fromkeys(MAY_BE_OPEN, (1, "")))
    refuse_open(settled.run)


@pytest.mark.parametrize("given", [None, "auto"])
def test_a_value_is_filled_where_it_is_open_and_says_why(given: str | None):
    run = run_with(train={"batch": None, "machine": {"precision": given or "auto"}})
    before = Resolved(run, origins_of(run))
    assert before.origins["train.batch"].kind == "given"
    after = fill(before, {"train.batch": (4, "four"), "train.machine.precision": ("fp32", "p")})
    assert (after.run.train.batch, after.run.train.machine.precision) == (4, "fp32")
    assert after.origins["train.batch"] == Origin("derived", "four")
    # What is settled once stays: a later stage cannot change it, nor its reason.
    again = fill(after, {"train.batch": (5, "five")})
    assert again == after
    assert before.run.train.batch is None, "the run before is another"


def test_origins_tell_given_from_default_within_groups():
    origins = origins_of(run_with(train={"epochs": 3, "machine": {"threads": 2}}))
    kinds = {path: origin.kind for path, origin in origins.items()}
    assert kinds["train.epochs"] == "given", "given, though it is the default's value"
    assert kinds["train.machine.threads"] == kinds["train.machine"] == "given"
    assert kinds["train.machine.device"] == kinds["train.keep"] == kinds["prove.items"] == "default"
    assert set(kinds) == {path for path, _ in paths(run_with())}


@pytest.mark.parametrize(
    ("method", "optimizer", "objective"),
    [
        ("lora", "adamw", "sft"),
        ("full", "muon", "sft"),
        ("lora", "sgd", "dpo"),
        ("full", "adamw", "classify"),
    ],
)
def test_the_rate_is_the_methods_times_what_optimizer_and_objective_ask(
    method: str, optimizer: str, objective: str
):
    run = run_with(method=method, objective=objective, train={"optimizer": optimizer})
    factors = OPTIMIZERS.get(optimizer).rate_factor, OBJECTIVES.make(run.objective).rate_factor
    rate, reason = default_rate(run)
    expected = METHODS.make(run.method).learning_rate * factors[0] * factors[1]
    assert rate == pytest.approx(expected, rel=1e-5)
    assert reason.count("; times ") == sum(factor != 1 for factor in factors)
    assert method in reason


def test_the_best_weights_are_left_where_something_chooses_them():
    assert final_weights(run_with())[0] == "last"
    for keep in ({"patience": 2}, {"best_by": "loss"}):
        assert final_weights(run_with(train={"keep": keep}))[0] == "best"
    nothing_measured = {"best_by": "loss", "evaluate": 0}
    assert final_weights(run_with(train={"keep": nothing_measured}))[0] == "last"


@pytest.mark.parametrize(
    ("train", "rows", "batch", "told"),
    [
        ({}, 10_000, 16, "10000 training rows for 3 epochs make 1875 steps"),
        ({}, 100, 6, "100 training rows for 3 epochs make 51 steps"),
        ({"epochs": 1}, 7, 1, "7 training rows for 1 epoch make 7 steps"),
        ({"steps": 10}, 100, 6, "would make 51 steps; train.steps=10 makes 0.6 epochs of it"),
    ],
)
def test_the_batch_follows_from_the_rows(train: Any, rows: int, batch: int, told: str):
    value, reason = from_rows(run_with(train=train), rows)["train.batch"]
    assert value == batch and told in reason


def test_a_preset_fills_what_the_run_does_not_name():
    resolved = begun(run_with(method="qlora"))
    assert resolved.run.model.quantize == "nf4"
    assert resolved.origins["model.quantize"].kind == "derived"
    assert "qlora" in resolved.origins["model.quantize"].reason
    named = begun(run_with(method="qlora", model={"path": "m", "quantize": "int8"}))
    assert named.run.model.quantize == "int8"
    assert named.origins["model.quantize"].kind == "given"
    preset = METHODS.get("qlora").fills
    assert all(value_at(resolved.run, path) not in (None, "auto") for path in preset)


def test_what_the_run_alone_says_is_settled_first():
    resolved = begun(run_with(train={"learning_rate": 3e-3}))
    left = [path for path, needs in MAY_BE_OPEN.items() if needs != "run"]
    assert still_open(resolved.run) == left
    assert resolved.run.train.learning_rate == 3e-3
    assert resolved.origins["train.learning_rate"].kind == "given"
    assert begun(resolved.run).run == resolved.run


def test_a_value_is_replaced_at_its_path_alone():
    run = run_with()
    changed = with_value(run, ["train", "keep", "keep"], 7)
    assert value_at(changed, "train.keep.keep") == 7 and run.train.keep.keep == 2
    same = changed.model_dump()
    same["train"]["keep"]["keep"] = 2
    assert same == run.model_dump()
