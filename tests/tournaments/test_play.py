"""A tournament as a process: its table follows from its files, and however it is ended, it goes on
where it was.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tournaments.conftest import Ended, Table
from tunesmith.proving import statistics
from tunesmith.searches.engines import Space
from tunesmith.tournaments.rates import rates_in

Played = tuple[Table, Ended]
MEASURED = {"seconds", "memory_gib", "speed", "speed_merged"}


def result(table: Table, out: str = "out") -> dict[str, Any]:
    return json.loads((table.path / out / "tournament.json").read_text(encoding="utf-8"))


def exact(value: Any) -> Any:
    """Without what a clock or the system measured."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items() if key not in MEASURED}
    return [exact(item) for item in value] if isinstance(value, list) else value


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_table_has_a_row_for_every_method_and_a_reason_for_what_is_left_out(played: Played):
    table, done = played
    assert done.code == 0, done.error
    found = result(table)
    assert {row["method"] for row in found["methods"]} == {"lora", "ia3", "bitfit parts=norms"}
    reasons = {
        row["method"].split()[0].rpartition("/")[2]: (row["kind"], row["reason"])
        for row in found["left_out"]
    }
    assert (
        reasons["oft"][0] == "refused"
        and "48 does not divide the inputs of these layers" in reasons["oft"][1]
    )
    assert reasons["broken.py"] == ("failed", "out of memory (no room for 1 GiB)")
    assert reasons["killed.py"][0] == "failed" and "ended with code -9" in reasons["killed.py"][1]
    for text in (done.out, (table.path / "out/table.md").read_text(encoding="utf-8")):
        for told in (
            "lora",
            "ia3",
            "bitfit parts=norms",
            "base",
            "within the noise",
            "48 does not divide",
            "no room for 1 GiB",
        ):
            assert told in text
    assert "left out: oft block=48: method.block: 48" in done.error
    assert "lora · rate 0.00032 · rung 1 of 2 (20 %): validation  loss" in done.error
    assert "Traceback" not in done.error


def test_the_search_is_recomputable_and_the_winner_is_trained_in_full(played: Played):
    table, _ = played
    for row in result(table)["methods"]:
        corner = (table.path / "out" / row["folder"]).parent
        tried = [
            json.loads(path.read_text(encoding="utf-8")) for path in corner.glob("search/*.json")
        ]
        by_share = {
            share: {one["rate"]: one["watch"]["loss"] for one in tried if one["share"] == share}
            for share in (0.2, 0.5)
        }
        assert len(by_share[0.2]) == 3 and len(by_share[0.5]) == 2
        assert set(by_share[0.5]) == set(sorted(by_share[0.2], key=by_share[0.2].__getitem__)[:2])
        assert row["rate"] == min(by_share[0.5], key=by_share[0.5].__getitem__)
        assert {one["steps"] for one in tried if one["share"] == 0.2} == {2}
        assert {one["steps"] for one in tried if one["share"] == 0.5} == {6}
    lora = next(row for row in result(table)["methods"] if row["method"] == "lora")
    assert lora["rate"] in rates_in(Space("log", 5e-5, 2e-3), 3)


def test_all_see_the_same_rows_and_tokens(played: Played):
    table, _ = played
    runs = list((table.path / "out").glob("*/rate-*-seed-*"))
    assert len(runs) == 5
    ledgers = [json.loads((run / "ledger.json").read_text(encoding="utf-8")) for run in runs]
    assert {ledger["fingerprint"] for ledger in ledgers} == {result(table)["fingerprint"]}
    by_seed: dict[str, set[tuple[int, ...]]] = {}
    for run in runs:
        tokens = tuple(
            line["tokens"]
            for line in lines(run / "record.jsonl")
            if "loss" in line and "event" not in line
        )
        by_seed.setdefault(run.name.rpartition("-")[2], set()).add(tokens)
    assert all(len(tokens) == 1 and len(next(iter(tokens))) == 12 for tokens in by_seed.values()), (
        by_seed
    )
    items = [
        [line["id"] for line in lines(path)]
        for path in [table.path / "out/base/scores.jsonl", *(run / "scores.jsonl" for run in runs)]
    ]
    assert all(one == items[0] for one in items)


def test_every_number_of_a_row_follows_from_the_files(played: Played):
    table, _ = played
    found, out = result(table), table.path / "out"

    def right(folder: Path, who: str) -> np.ndarray:
        return np.array(
            [
                [float(line["choices"][who] == line["reference"]), 1.0]
                for line in lines(folder / "scores.jsonl")
            ]
        )

    def mean(row: dict[str, Any]) -> np.ndarray:
        corner = (out / row["folder"]).parent
        return np.mean(
            [right(corner / f"rate-{row['rate']:g}-seed-{seed}", "tuned") for seed in row["seeds"]],
            axis=0,
        )

    def value(sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / sums[..., 1]

    base, first = right(out / "base", "base"), mean(found["methods"][0])
    assert found["base"]["quality"] == pytest.approx(base[:, 0].mean())
    for place, row in enumerate(found["methods"]):
        own, run = mean(row), out / row["folder"]
        assert row["quality"] == pytest.approx(own[:, 0].mean())
        for other, told in (
            (base, row["minus_base"]),
            *([(first, row["minus_first"])] if place else []),
        ):
            wanted = statistics.paired(own, other, value, seed=0)
            assert (told["difference"], told["low"], told["high"]) == pytest.approx(
                (wanted.difference, wanted.low, wanted.high)
            )
            assert (told["verdict"] == "within the noise") == (wanted.low <= 0 <= wanted.high)
        corner = run.parent
        records = [
            lines(corner / f"rate-{row['rate']:g}-seed-{seed}" / "record.jsonl")
            for seed in row["seeds"]
        ]
        steps = [
            [line for line in record if "loss" in line and "event" not in line]
            for record in records
        ]
        assert row["seconds"] == pytest.approx(
            np.mean([sum(line["seconds"] for line in one) for one in steps]), abs=2e-3
        )
        assert row["memory_gib"] == max(line["memory_gib"] for one in steps for line in one)
        assert row["bytes"] == sum(
            path.stat().st_size for path in (run / "model").rglob("*.safetensors")
        )
        assert row["speed"] > 0 and (row["speed_merged"] or 0) >= 0
        general = {
            who: np.array(json.loads((path / "score.json").read_text())["general"]).sum(0)
            for who, path in (("tuned", run), ("base", out / "base"))
        }
        change = general["tuned"][0] / general["tuned"][1] - general["base"][0] / general["base"][1]
        assert row["general"]["difference"] == pytest.approx(change)
    counts = {"lora": 16384, "ia3": 2 * (16 + 16 + 64), "bitfit parts=norms": 5 * 32}
    assert {row["method"]: row["trainable"] for row in found["methods"]} == counts


def test_places_go_by_the_watched_rows_and_the_first_have_several_seeds(played: Played):
    table, _ = played
    rows = result(table)["methods"]
    assert [len(row["seeds"]) for row in rows] == [2, 2, 1]
    assert rows[0]["watch"]["loss"] <= rows[1]["watch"]["loss"]


def test_checkpoints_go_and_a_run_folder_of_another_seed_can_be_proved(played: Played):
    from tunesmith import api

    table, _ = played
    assert not list((table.path / "out").rglob("checkpoints"))
    run = next((table.path / "out").glob("*/rate-*-seed-1"))
    proof = api.prove(run, items=30, shots=0).to_json()
    assert proof["items"] == 30 and proof["fingerprint"] == result(table)["fingerprint"]


def stamps(folder: Path) -> dict[str, int]:
    """When each finished piece was written."""
    names = (
        "*/search/*.json",
        "*/rate-*/trained.json",
        "*/rate-*/score.json",
        "base/score.json",
        "*/failed.json",
    )
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for name in names
        for path in folder.glob(name)
    }


KILL, TERM = signal.SIGKILL, signal.SIGTERM


@pytest.mark.slow  # each 23 s
@pytest.mark.parametrize(
    "numbers",
    [
        (KILL, TERM, KILL, TERM),
        (TERM, KILL, TERM, KILL),
    ],
    ids=["killed first", "asked first"],
)
def test_ended_at_any_time_it_goes_on_and_repeats_nothing(
    numbers: tuple[int, ...], tables: Callable[[], Table], played: Played
):
    table = tables()
    words, out = table.words(), table.path / "out"
    # In the search, in the middle of a whole training after a checkpoint, between training and
    # scores, among the other seeds.
    ends = (
        ["lora/search/0.2-*.json"],
        [
            "lora/rate-*/checkpoints/step-*4/*",
            "lora/rate-*/trained.json",
        ],  # by when checkpoints may have come and gone unseen
        ["ia3/rate-*/trained.json"],
        ["*/rate-*-seed-1/run.yaml"],
    )
    for number, patterns in zip(numbers, ends, strict=True):
        before, pid = stamps(out), table.start(words)
        while not any(list(out.glob(pattern)) for pattern in patterns):
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), f"it ended before {patterns}"
            time.sleep(0.005)
        os.kill(pid, number)
        done = table.wait(pid)
        assert done.code == (75 if number == TERM else -number), (patterns, done.error)
        if number == TERM:
            assert "the same command continues from here" in done.error
            assert "Traceback" not in done.error
        assert not (out / "tournament.json").exists()
        after = stamps(out)
        assert before.items() <= after.items(), "a finished piece was done again"
    done = table(words)
    assert done.code == 0, done.error
    assert after.items() <= stamps(out).items()

    def plain(one: Table) -> Any:
        return json.loads(json.dumps(exact(result(one))).replace(str(one.path), ""))

    assert plain(table) == plain(played[0])
    weights = [
        sorted(
            (path.relative_to(one.path), path.read_bytes())
            for path in one.path.glob("out/*/rate-*/model/*.safetensors")
        )
        for one in (table, played[0])
    ]
    assert weights[0] == weights[1], "bit for bit what an uninterrupted tournament trains"


@pytest.mark.slow  # 6 s
def test_a_finished_tournament_is_shown_again_takes_more_methods_and_refuses_other_settings(
    tables: Callable[[], Table],
):
    table = tables()
    small = {"tournament.rates": 1, "tournament.places": 0, "train.steps": 2}
    assert table(table.words(**small, **{"tournament.methods": ["ia3"]})).code == 0
    before = stamps(table.path / "out")
    again = table([*table.words(**small, **{"tournament.methods": ["ia3"]}), "--json"])
    assert again.code == 0 and [row["method"] for row in json.loads(again.out)["methods"]] == [
        "ia3"
    ]
    assert stamps(table.path / "out") == before
    more = table(table.words(**small, **{"tournament.methods": ["ia3", "vera"]}))
    assert more.code == 0 and before.items() <= stamps(table.path / "out").items()
    assert {row["method"] for row in result(table)["methods"]} == {"ia3", "vera"}
    other = table(table.words(**small, **{"tournament.methods": ["ia3"], "train.batch": 4}))
    assert (
        other.code == 2
        and "train" in other.error
        and "holds a tournament with other settings" in other.error
    )


def test_bad_input_is_told_at_once_and_leaves_no_folder(tables: Callable[[], Table]):
    table = tables()
    told = {
        ("tournament.rungs", "tournament.rates"): (
            {"tournament.rungs": []},
            "tournament.rungs: 3 rates are compared on rungs",
        ),
        ("rise",): (
            {"tournament.rungs": [0.5, 0.2]},
            "tournament.rungs: [0.5, 0.2] are not shares below 1",
        ),
        ("twice",): ({"tournament.methods": ["lora", "lora"]}, "the same method twice: lora"),
        ("unknown",): (
            {"tournament.methods": ["lroa"]},
            "unknown method 'lroa'; did you mean 'lora'?",
        ),
        ("few",): (
            {"data.held_out": 20},
            "data.held_out: learning rates are chosen on validation rows",
        ),
        ("none",): (
            {"tournament.methods": [{"name": "oft", "block": 48}]},
            "method.block: 48 does not divide",
        ),
        ("data",): ({"data": "absent.json"}, "absent.json"),
    }
    for changes, text in told.values():
        done = table(table.words(**changes))
        assert done.code == 2 and text in done.error, (changes, done)
        assert not (table.path / "out").exists() and "Traceback" not in done.error
    single = table(["plan", *table.words()[1:]])
    assert single.code == 2 and "which is what `tunesmith tournament` does" in single.out


@pytest.mark.slow  # 13 s
def test_without_forking_the_numbers_are_the_same(
    tables: Callable[[], Table], monkeypatch: pytest.MonkeyPatch
):
    table = tables()
    small = {"tournament.rates": 1, "tournament.places": 0, "train.steps": 3}
    methods = {"tournament.methods": ["lora", "full", {"name": str(table.path / "broken.py")}]}
    assert table(table.words("forked", **small, **methods)).code == 0
    monkeypatch.setattr("tunesmith.trials.one_base.can_fork", lambda device: False)
    assert table(table.words("here", **small, **methods)).code == 0
    assert exact(result(table, "forked")) == exact(result(table, "here"))


def test_the_page_holds_the_table_and_two_pictures_in_both_languages(
    played: Played, tmp_path: Path
):
    from material.page import Page
    from tunesmith.report.tournament import page

    table, _ = played
    found = result(table)
    for lang, words in (
        ("en", ("against trained weights", "peak memory, GiB", "The table")),
        ("zh", ("训练的权重数", "峰值内存，GiB", "结果表")),
    ):
        html = page(found, table.path / "out", lang)
        read = Page(html)
        assert (
            read.tags.count("svg") == 2
            and "script" not in read.tags
            and "http" not in html.replace("http-equiv", "")
        )
        for text in (*words, "lora", "ia3", "bitfit parts=norms"):
            assert text in read.text
        points = [
            value
            for name, value in read.attributes
            if name == "class" and value.startswith("point")
        ]
        assert len(points) == 6
    assert (table.path / "out/report.html").is_file()
