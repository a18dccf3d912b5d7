"""What divided weights ask of a run is told by the plan, and their memory is counted by process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith import words
from tunesmith.planning.make import make
from tunesmith.planning.rules import broken
from tunesmith.settings.run import validate


@pytest.fixture(autouse=True)
def english():
    words.use("en")
    yield
    words.use("auto")


def asked(**settings: Any) -> dict[str, Any]:
    machine = {"train": {"machine": {"shard": "fsdp"}}, "processes": 2}
    return {"model": "m", "data": "d", "out": "o", **machine, **settings}


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"model": {"path": "m", "quantize": "int8"}}, "model.quantize"),
        ({"objective": "grpo", "source": {"rewards": "exact"}}, "objective"),
        ({"objective": {"name": "ewc", "rows": "d"}}, "objective"),
        ({"objective": "l2_to_start", "method": "full"}, "objective"),
        (
            {
                "method": "full",
                "train": {"machine": {"shard": "fsdp"}, "optimizer": "adamw_8bit"},
            },
            "train.optimizer",
        ),
        ({"objective": "dpo", "method": {"name": "lora", "init": "pissa"}}, "method"),
    ],
)
def test_what_cannot_be_divided_is_refused(settings: dict[str, Any], where: str) -> None:
    whole = asked(**settings)
    told = [one for one in broken(validate(whole)) if "fsdp" in one.text]
    assert [one.where for one in told] == [where]
    train = {**whole["train"], "machine": {"shard": "none"}}
    assert not [one for one in broken(validate(whole | {"train": train})) if "fsdp" in one.text]


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"model": {"path": "m", "quantize": "nf4"}}, "model.quantize"),
        ({"model": {"path": "m", "add_tokens": ["<a>"]}}, "model.add_tokens"),
        ({"objective": "grpo", "source": {"rewards": "exact"}}, "objective"),
        ({"objective": "classify"}, "objective"),
        ({"method": "ia3"}, "method"),
        ({"method": {"name": "lora", "init": "pissa"}}, "method"),
        ({"method": {"name": "lora", "variant": "dora"}}, "method"),
        ({"train": {"optimizer": "muon"}}, "train.optimizer"),
    ],
)
def test_what_is_not_computed_in_parts_is_refused(settings: dict[str, Any], where: str) -> None:
    train = {**settings.get("train", {}), "machine": {"shard": "tensor"}}
    whole = asked(**settings) | {"train": train}
    told = [one for one in broken(validate(whole)) if "shard" in one.text]
    assert [one.where for one in told] == [where]
    plain = whole | {"train": {**train, "machine": {"shard": "none"}}}
    assert not [one for one in broken(validate(plain)) if "shard" in one.text]


@pytest.mark.parametrize(("processes", "refused"), [(2, False), (3, True)])
def test_key_value_heads_go_into_the_processes(
    processes: int, refused: bool, tiny_llama: Path, tmp_path: Path
) -> None:
    train = {"machine": {"shard": "tensor"}}
    settings = asked(model=str(tiny_llama), out=str(tmp_path / "o"), train=train)
    made = make(validate(settings | {"processes": processes}))
    told = [one.text for one in made.problems if one.where == "train.machine.shard"]
    assert bool(told) == refused and all("2 key-value heads" in text for text in told)


@pytest.mark.parametrize(("method", "held_whole"), [("lora", True), ("full", False)])
def test_the_memory_is_that_of_one_process(
    method: str, held_whole: bool, tiny_llama: Path, tmp_path: Path
) -> None:
    rows = [{"instruction": f"what is {n}", "output": f"{n * 7 % 13}"} for n in range(60)]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    settings = asked(
        model=str(tiny_llama), data=str(tmp_path / "rows.json"), out=str(tmp_path / "o")
    )
    divided = make(validate(settings | {"method": method})).facts
    train = {"machine": {"shard": "none"}}
    whole = make(validate(settings | {"method": method, "train": train})).facts
    ours, alone = divided["memory_terms_gib"], whole["memory_terms_gib"]
    if held_whole:
        assert ours["gradients"] == alone["gradients"] > 0
    else:
        assert ours["optimizer"] == pytest.approx(alone["optimizer"] / 2, abs=1e-4)
    # Half of the weights, and what one process gathers: this model's embeddings and largest block.
    assert alone["weights"] / 2 < ours["weights"] < alone["weights"] * 1.5


def test_one_process_has_nothing_to_divide(tiny_llama: Path, tmp_path: Path) -> None:
    settings = asked(model=str(tiny_llama), data="d", out=str(tmp_path / "o"), processes=1)
    told = [one.where for one in make(validate(settings)).problems]
    assert "train.machine.shard" in told
