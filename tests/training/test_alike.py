"""Two processes that were not asked for the same are refused, with what differs, by both; what
each would find otherwise for itself, they settle together.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from material import runs
from material.two_processes import in_two
from tunesmith import api, words
from tunesmith.data.prepare import Prepared
from tunesmith.errors import SpecError
from tunesmith.machine import memory
from tunesmith.machine.parallel import join
from tunesmith.training.alike import refuse_unlike


@pytest.fixture(autouse=True)
def english():
    words.use("en")
    yield
    words.use("auto")


def told(place: Path, work: Callable[[int], object]) -> list[str]:
    """What each of two processes says in ``work``, or raises there."""

    def one(rank: int) -> None:
        try:
            text = str(work(rank))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        (place / f"told-{rank}").write_text(text, encoding="utf-8")

    assert in_two(one) == [0, 0]
    return [(place / f"told-{rank}").read_text(encoding="utf-8") for rank in (0, 1)]


def test_other_settings_rows_and_bases_are_named(
    tiny_llama: Path, prepared: Prepared, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_llama, tmp_path / "other")
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    (other / "config.json").write_text(json.dumps(config | {"rope_theta": 7.0}), encoding="utf-8")
    shutil.copytree(tiny_llama, tmp_path / "same")

    def work(rank: int) -> str:
        def refused(base: Path = tiny_llama, rows: Prepared = prepared, **settings: object) -> str:
            """What is said where the second process has these instead."""
            mine = (base, rows, settings) if rank else (tiny_llama, prepared, {})
            run = runs.resolved(tmp_path / "run", tiny_llama, **mine[2]).run
            try:
                refuse_unlike(run, mine[1], mine[0], join())
            except SpecError as error:
                return str(error)
            return "alike"

        found = [
            refused(**{"train.learning_rate": 0.5, "train.machine.precision": "bf16"}),
            refused(rows=replace(prepared, all_rows="others")),
            refused(base=other),
            refused(base=tmp_path / "same", **{"train.machine.threads": 2, "lang": "zh"}),
        ]
        return json.dumps(found)

    one, two = (json.loads(text) for text in told(tmp_path, work))
    assert one == two
    assert "process 1 has train.learning_rate 0.5, the first 0.01" in one[0]
    assert "process 1 has precision bf16, the first fp32" in one[0]
    assert "process 1 has other rows than the first" in one[1]
    assert "process 1 has another base model than the first" in one[2]
    assert one[3] == "alike"


def test_micro_batches_follow_from_the_process_with_the_least_memory(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda _: (9e9, 8e7)[int(os.environ["RANK"])])
    (tmp_path / "rows.json").write_text(json.dumps(runs.rows()), encoding="utf-8")
    settings = {"model": str(tiny_llama), "data": str(tmp_path / "rows.json"), "out": "run"}

    def work(_: int) -> int | None:
        return api.plan(settings | {"train": {"batch": 4}}).resolved.run.train.micro_tokens

    one, two = told(tmp_path, work)
    assert one == two and int(one) < 16384


def test_a_file_that_one_machine_lacks_is_told_by_all(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in ("0", "1"):
        (tmp_path / rank).mkdir()
    (tmp_path / "0" / "rows.json").write_text(json.dumps(runs.rows()), encoding="utf-8")

    def work(rank: int) -> None:
        monkeypatch.chdir(tmp_path / str(rank))
        settings = {"model": str(tiny_llama), "data": "rows.json", "out": str(tmp_path / "run")}
        api.train(settings | {"train": {"batch": 4, "steps": 3}})

    one, two = told(tmp_path, work)
    assert one == two and one.startswith("SpecError: rows.json: there is no such file")
    assert not (tmp_path / "run").exists()
