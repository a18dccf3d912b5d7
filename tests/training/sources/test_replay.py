"""Old rows beside the new ones: how many, which, and that a run goes on with the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from material import runs
from material.two_processes import same_runs, two_ranks
from tunesmith import api
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.errors import DataError, SpecError
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.settings.resolved import Resolved
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.sources import SOURCES, prepare_with_source
from tunesmith.training.start import train


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Ten rows of another task, the last two of which are asked in the new one too."""
    rows = [{"instruction": f"Name river {n}.", "output": f"River {n}"} for n in range(8)]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(rows + runs.rows()[:2]), encoding="utf-8")
    return path


def asked(out: Path, model: Path, old: Path, **overrides: Any) -> Resolved:
    source = {"name": "replay", "path": str(old), "share": 0.2}
    keep = {"evaluate": 0, "save": 2, "keep": 9}
    return runs.resolved(out, model, **{"source": source, "train.keep": keep, **overrides})


def rows_of(one: Resolved) -> Prepared:
    return prepare_with_source(one.run, load_tokenizer(Path(one.run.model.path)))


def test_the_share_holds_over_the_run_and_the_new_rows_stay_where_they_were(
    tiny_llama, tmp_path, old
):
    one = asked(tmp_path / "run", tiny_llama, old)
    prepared = rows_of(one)
    assert len(prepared.replayed) == 10 and len(prepared.train) == 36
    source, plain = SOURCES.make(one.run.source), SOURCES.make(SOURCES.config("rows"))
    for each in (source, plain):
        each.open(one.run, prepared, None)
    assert source.total == plain.total == 10
    new = old_rows = 0
    seen: list[str] = []
    for number in range(source.total):
        step, without = source.step(number, {}), plain.step(number, {})
        count = int(step.numbers["replayed"])
        assert step.passes[0][: len(without.passes[0])] == without.passes[0]
        assert len(step.passes[0]) == len(without.passes[0]) + count == len(step.ids)
        new, old_rows = new + len(without.ids), old_rows + count
        assert old_rows == int(new * 0.2 / 0.8 + 1e-9), "a fifth of all rows so far"
        seen += step.ids[len(without.ids) :]
    assert old_rows == 18 and len(set(seen[:10])) == 10, "each once before one comes again"
    again = SOURCES.make(one.run.source)
    again.open(one.run, prepared, None)
    assert again.step(7, {}).ids == source.step(7, {}).ids, "a step is known by its number"


def test_rows_that_are_held_out_now_are_not_replayed(tiny_llama, tmp_path, old):
    one = asked(tmp_path / "run", tiny_llama, old)
    prepared = prepare(one.run, load_tokenizer(tiny_llama))
    first = next(item for item in prepared.train if item.id.endswith(":1"))
    prepared.watch = [first]
    widened = SOURCES.make(one.run.source).widened(one.run, prepared, None)
    assert len(widened.replayed) == 9
    assert any(
        "9 of 9 old rows" in note and "1 were left out" in note for note in prepared.ledger.notes
    )
    assert widened.fingerprint == prepared.fingerprint
    assert widened.all_rows != prepared.all_rows == prepared.fingerprint


def test_a_run_with_old_rows_is_proved_on_its_own(tiny_llama, tmp_path, old):
    more = {"train.steps": 1, "data.held_out": 0.25}
    folder = train(asked(tmp_path / "run", tiny_llama, old, **more), None)
    proof = api.prove(folder, shots=0).to_json()
    assert proof["items"] == folder.read(folder.ledger)["proof"] > 0


def test_a_run_with_old_rows_counts_them_and_goes_on_bit_equal(tiny_llama, tmp_path, old):
    one = asked(tmp_path / "run", tiny_llama, old, **{"train.steps": 6})
    folder = train(one, None)
    counts = [line["replayed"] for line in folder.steps() if "replayed" in line]
    assert len(counts) == 6 and sum(counts) == int((36 + 8) * 0.25)
    whole, record = runs.weights(folder.model), runs.record(folder)
    shutil.rmtree(folder.checkpoints / "step-00000006")
    shutil.rmtree(folder.model)
    train(one, None, resume=True)
    assert runs.weights(folder.model) == whole and runs.record(folder) == record
    shutil.rmtree(folder.model)
    old.write_text(json.dumps(runs.rows()[5:9]), encoding="utf-8")
    with pytest.raises(SpecError, match="not those that the run began with"):
        train(one, None, resume=True)


@pytest.mark.parametrize(
    ("first_is", "now"),
    [
        ({}, {}),
        ({"train.split_seed": 8}, {}),
        ({"train.rows": 20}, {"train.rows": 5}),
        # A third of the rows is too long now, so that a draw among the others holds out others.
        ({}, {"data.max_length": 70, "data.too_long": "drop"}),
    ],
    ids=["as it was", "split by another seed", "of fewer rows", "shorter rows"],
)
def test_of_a_finished_run_only_the_training_rows_are_replayed(
    first_is, now, tiny_llama, tmp_path, old
):
    settings = {"train.steps": 1, "data.held_out": 0.25, **first_is}
    first = runs.resolved(tmp_path / "first", tiny_llama, **settings)
    folder: RunFolder = train(first, None)
    before = prepare(first.run, load_tokenizer(tiny_llama))
    second = asked(tmp_path / "second", tiny_llama, folder.path, **{"data.path": str(old), **now})
    prepared = rows_of(second)
    assert len(before.train) < 36

    def asked_of(items: Any) -> set[bytes]:
        return {item.tokens[0].ids_T.tobytes() for item in items}

    kept = asked_of(
        item for item in before.train if len(item.tokens[0]) <= second.run.data.max_length
    )
    assert kept and asked_of(prepared.replayed) == kept
    assert not asked_of(prepared.replayed) & asked_of([*before.watch, *before.proof])


def test_a_run_whose_rows_are_others_by_now_is_not_replayed(tiny_llama, tmp_path, old):
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(runs.rows()), encoding="utf-8")
    settings = {"train.steps": 1, "data": {"path": str(rows), "held_out": 0.25}}
    folder: RunFolder = train(runs.resolved(tmp_path / "first", tiny_llama, **settings), None)
    rows.write_text(json.dumps(runs.rows()[1:]), encoding="utf-8")
    second = asked(tmp_path / "second", tiny_llama, folder.path, data={"path": str(old)})
    with pytest.raises(DataError, match=r"source\.path: the data, or how it is read, has changed"):
        rows_of(second)


def test_what_is_wrong_is_said_at_source(tiny_llama, tmp_path, old):
    with pytest.raises(SpecError, match=r"source\.path: there is no file and no run folder"):
        rows_of(asked(tmp_path / "run", tiny_llama, tmp_path / "absent.json"))
    broken = tmp_path / "data.json"
    broken.write_text('[{"instruction": ', encoding="utf-8")
    with pytest.raises(DataError) as error:
        rows_of(asked(tmp_path / "run", tiny_llama, broken))
    assert error.value.problems[0].where.startswith(str(broken))


def test_old_preferences_bring_their_reference(tiny_llama, tmp_path):
    """The reference of old rows is asked with that of the new ones, before the method."""

    def pairs(name: str, word: str) -> Path:
        rows = [
            {"prompt": f"{word} {n}?", "chosen": f"{n} km", "rejected": "never"} for n in range(12)
        ]
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(rows), encoding="utf-8")
        return path

    data = {"path": str(pairs("new", "How far is")), "held_out": 0}
    settings = {"objective": "dpo", "data": data, "train.batch": 4, "train.steps": 3}
    one = asked(tmp_path / "run", tiny_llama, pairs("old", "Where is"), **settings)
    folder = train(one, None)
    lines = [line for line in folder.steps() if "replayed" in line]
    assert [line["replayed"] for line in lines] == [1, 1, 1]
    assert lines[0]["rewards/chosen"] == pytest.approx(0.0, abs=1e-5), "at the base, old rows too"


def test_other_classes_are_refused(tiny_llama, tmp_path):
    def labelled(name: str, labels: str) -> Path:
        rows = [{"text": f"Text {name} {n}", "label": labels[n % 2]} for n in range(12)]
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(rows), encoding="utf-8")
        return path

    data = {"path": str(labelled("new", "ab")), "held_out": 0}
    settings = {"objective": "classify", "data": data}
    same = asked(tmp_path / "same", tiny_llama, labelled("old", "ba"), **settings)
    assert len(rows_of(same).replayed) == 12
    with pytest.raises(SpecError, match=r"source\.path: the old rows have other classes"):
        rows_of(asked(tmp_path / "other", tiny_llama, labelled("third", "ac"), **settings))


@pytest.mark.slow  # 3 s
def test_two_processes_replay_what_one_replays(tiny_llama, tmp_path, old):
    # Plain descent: AdamW would blow rounding up where a gradient is next to nothing.
    settings: dict[str, Any] = {
        "train.steps": 6,
        "train.optimizer": "sgd",
        "train.learning_rate": 0.05,
    }
    settings |= {"method": {"name": "lora", "rank": 4}, "train.micro_tokens": 64}  # no dropout
    one = asked(tmp_path / "one", tiny_llama, old, **settings)
    prepared = rows_of(one)
    folder = train(one, prepared)
    source = {"source": one.run.source.model_dump(), "train.keep": {"evaluate": 0, "save": 2}}
    assert two_ranks(tmp_path / "two", tiny_llama, prepared, **source, **settings) == [0, 0]
    lines = [line for line in runs.record(folder) if "loss" in line]
    assert len(lines) == 6 and sum(line["replayed"] for line in lines) == 11
    same_runs(folder, RunFolder(tmp_path / "two"))


@pytest.mark.slow  # 2 s
def test_a_reservoir_holds_rows_of_all_tasks_before_alike(tiny_llama, tmp_path, old):
    """The second run replayed rivers while it learned mountains; the third keeps some of both."""
    rows = [{"instruction": f"Name peak {n}.", "output": f"Peak {n}"} for n in range(30)]
    (tmp_path / "peaks.json").write_text(json.dumps(rows), encoding="utf-8")
    peaks = {"path": str(tmp_path / "peaks.json"), "held_out": 0}
    second: RunFolder = train(
        asked(tmp_path / "second", tiny_llama, old, data=peaks, **{"train.steps": 1}), None
    )

    def kept(reservoir: int | None, seed: int = 0) -> list[str]:
        source = {"name": "replay", "path": str(second.path), "reservoir": reservoir}
        one = asked(tmp_path / "third", tiny_llama, old, source=source, **{"train.seed": seed})
        return [item.id for item in rows_of(one).replayed]

    assert {name.split(":")[0] for name in kept(None)} == {"peaks.json"}
    everything = kept(1000)
    assert len(everything) == 30 + 10, "all that there is, where more would fit"
    some = kept(8)
    assert len(some) == 8 and some == kept(8) != kept(8, seed=1)
    drawn = [name for seed in range(8) for name in kept(8, seed)]
    rivers = sum(name.startswith("old.json") for name in drawn)
    assert abs(rivers / len(drawn) - 10 / 40) < 4 * (0.25 * 0.75 / len(drawn)) ** 0.5
