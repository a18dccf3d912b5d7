"""Rows that are prepared once and then mapped from the cache folder."""

from __future__ import annotations

import errno
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from material.chat_templates import CHATML, byte_level
from tunesmith.data import prepare_once as kept
from tunesmith.data.files import sources
from tunesmith.data.items import Item
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.settings.run import validate
from tunesmith.storage.cache import prepared_folder, size_of

ROWS = {
    "sft": [
        {"instruction": f"What is {n}?", "output": f"It is the number {n}.", "price": n + 0.5}
        for n in range(60)
    ],
    "classify": [{"text": f"text {n} {n * n}", "label": "ab"[n % 2]} for n in range(60)],
    "classify_tokens": [
        {"tokens": ["in", f"Town{n}", "now"], "tags": ["O", "B-LOC", "O"]} for n in range(60)
    ],
    "embed": [{"text": f"one {n}", "second": f"two {n}"} for n in range(60)],
    "dpo": [
        {"prompt": f"Say {n}", "chosen": f"{n}, gladly", "rejected": f"no {n}"} for n in range(60)
    ],
}
ROWS["distill_to_base"] = ROWS["l2_to_start"] = ROWS["ewc"] = ROWS["sft"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "LEAST", 0)
    return tmp_path / "cache"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that rows are prepared, not found."""
    times: list[int] = []

    def noted(*args: Any, **how: Any) -> Prepared:
        times.append(1)
        return prepare(*args, **how)

    monkeypatch.setattr(kept, "prepare", noted)
    return times


def asked(folder: Path, objective: str = "sft", **data: Any) -> Any:
    path = folder / "rows.jsonl"
    if not path.exists():
        lines = [json.dumps(row) for row in ROWS[objective]]
        path.write_text("\n".join(lines).replace(".5}", ".50}"), encoding="utf-8")
    told = {"model": "m", "out": "o", "objective": objective}
    return validate(told | {"data": {"path": str(path), **data}})


def tokenizer(template: str = CHATML) -> Any:
    made = byte_level(template, "<|im_end|>")
    made.pad_token = "<|im_end|>"
    return made


def items(prepared: Prepared) -> list[Item]:
    return [*prepared.train, *prepared.watch, *prepared.proof]


@pytest.mark.parametrize("objective", ROWS)
def test_second_time_gives_the_same_and_decodes_no_file(
    objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asked(tmp_path, objective)
    plain = prepare(run, tokenizer())
    first = kept.prepare_once(run, tokenizer())
    monkeypatch.setattr(sources, "_read", lambda *_: pytest.fail("a file was decoded"))
    second = kept.prepare_once(run, tokenizer())
    for found in (first, second):
        assert found.fingerprint == plain.fingerprint
        assert found.ledger == plain.ledger
        assert found.render.data == plain.render.data
        assert found.render.fingerprint == plain.render.fingerprint
        for one, other in zip(items(found), items(plain), strict=True):
            assert (one.id, one.group, one.example) == (other.id, other.group, other.example)
            for here, there in zip(one.tokens, other.tokens, strict=True):
                np.testing.assert_array_equal(here.ids_T, there.ids_T)
                np.testing.assert_array_equal(here.weights_T, there.weights_T)
                np.testing.assert_equal(dict(here.columns), dict(there.columns))
        assert found.objective.outputs == plain.objective.outputs
        assert [found.objective.stratum(item.tokens) for item in found.train] == [
            plain.objective.stratum(item.tokens) for item in plain.train
        ]


def test_whatever_the_rows_follow_from_is_noticed(
    tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asked(tmp_path)
    kept.prepare_once(run, tokenizer())
    path = tmp_path / "rows.jsonl"
    stat = path.stat()
    changes = [
        lambda: kept.prepare_once(asked(tmp_path, system="Be short."), tokenizer()),
        lambda: kept.prepare_once(asked(tmp_path, held_out=5), tokenizer()),
        lambda: kept.prepare_once(run, tokenizer(CHATML.replace("assistant", "helper"))),
        lambda: kept.prepare_once(run, tokenizer(), seed=7),
        lambda: kept.prepare_once(run, tokenizer(), limit=300),
    ]
    for number, change in enumerate(changes, 2):
        change()
        assert len(made) == number
    path.write_text(path.read_text(encoding="utf-8").replace("number 7.", "numbre 7."), "utf-8")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the content counts, not the time
    kept.prepare_once(run, tokenizer())
    assert len(made) == 7
    with monkeypatch.context() as patch:
        patch.setattr(kept, "_code", lambda: "other code")
        kept.prepare_once(run, tokenizer())
    assert len(made) == 8
    kept.prepare_once(asked(tmp_path, max_length=2048), tokenizer())  # as it is without being said
    assert len(made) == 8


@pytest.mark.parametrize("name", ["rows", "ids", "weights"])
def test_what_is_damaged_is_made_anew(
    name: str, tmp_path: Path, cache: Path, made: list[int]
) -> None:
    run = asked(tmp_path)
    first = kept.prepare_once(run, tokenizer()).fingerprint
    (file,) = cache.glob(f"prepared/*/{name}")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert kept.prepare_once(run, tokenizer()).fingerprint == first
    assert len(made) == 2
    kept.prepare_once(run, tokenizer())
    assert len(made) == 2


def test_nothing_in_the_cache_is_run(tmp_path: Path, cache: Path, made: list[int]) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "run"),)

    run = asked(tmp_path)
    kept.prepare_once(run, tokenizer())
    (file,) = cache.glob("prepared/*/rows")
    file.write_bytes(pickle.dumps(Runs()))
    kept.prepare_once(run, tokenizer())
    assert len(made) == 2 and not (tmp_path / "run").exists()


def test_no_fault_of_the_cache_stops_a_run(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asked(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(kept, "_store", full)
        assert kept.prepare_once(run, tokenizer()).train
    assert not [one for one in cache.glob("prepared/*") if one.is_dir()]
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "file"))
    assert kept.prepare_once(run, tokenizer()).train


def test_two_at_once_prepare_the_rows_once(tmp_path: Path, made: list[int]) -> None:
    run = asked(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: kept.prepare_once(run, tokenizer()), range(2), timeout=60))
    assert len(made) == 1
    assert found[0].fingerprint == found[1].fingerprint


def test_what_takes_too_much_goes_oldest_first(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(3):
        kept.prepare_once(asked(tmp_path), tokenizer(), seed=seed)
        for place in cache.glob("prepared/*"):
            os.utime(place, ns=(0, place.stat().st_mtime_ns - 10**9))
    folder = prepared_folder()
    taken = size_of(folder)
    monkeypatch.setattr(kept, "MOST", taken + 1000)
    kept.prepare_once(asked(tmp_path), tokenizer(), seed=3)
    assert len([one for one in folder.iterdir() if one.is_dir()]) == 3
    assert size_of(folder) <= taken + 1000
