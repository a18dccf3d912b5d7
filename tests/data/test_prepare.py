"""From a file to training, watch and proof items, with every row accounted for."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from material.chat_templates import CHATML, QWEN3, byte_level
from tunesmith import words
from tunesmith.batches.batch import Tokens
from tunesmith.data.lengths import truncate
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Text
from tunesmith.settings.run import validate

SYLLABLES = (
    (
        "ba",
        "do",
        "fi",
        "ku",
        "le",
        "mo",
        "na",
        "po",
        "ri",
        "su",
        "ta",
        "ve",
        "wi",
        "xo",
        "yu",
        "ze",
    ),
    ("bor", "dal", "fen", "gim", "kal"),
)
WORDS = [a + b for a in SYLLABLES[0] for b in SYLLABLES[1]]


@pytest.fixture(autouse=True)
def english() -> None:
    words.use("en")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_level(CHATML, "<|im_end|>")


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {
            "instruction": " ".join(chance.choices(WORDS, k=10)),
            "input": "",
            "output": f"answer {n} {seed}",
            "patient": n % 100,
        }
        for n in range(count)
    ]


Make = Callable[..., Prepared]


@pytest.fixture
def make(tmp_path: Path, tokenizer: Any) -> Make:
    def made(
        content: Any,
        *,
        objective: str = "sft",
        using: Any = None,
        limit: int | None = None,
        **data: Any,
    ) -> Prepared:
        path = (
            content
            if isinstance(content, str | list)
            and not (content and isinstance(content[0], dict) and "path" not in content[0])
            else None
        )
        if path is None:
            path = str(tmp_path / "rows.json")
            Path(path).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        run = validate(
            {"model": "m", "data": {"path": path, **data}, "out": "o", "objective": objective}
        )
        return prepare(run, using or tokenizer, limit=limit)

    return made


def test_every_row_is_somewhere(make: Make) -> None:
    content = rows(400) + rows(30) + [{"instruction": "x", "input": "", "output": ""}]
    prepared = make(content)
    told = prepared.ledger.to_json()
    assert told["rows"] == 431
    assert told["different"] == 400
    assert told["dropped"] == {"duplicate": 30, "no answer": 1}
    assert (told["trained"], told["watch"], told["proof"]) == (360, 20, 20)
    names = [item.id for item in prepared.train + prepared.watch + prepared.proof]
    assert sorted(names) == sorted(f"rows.json:{n}" for n in range(1, 401))
    assert {entry["row"] for entry in prepared.ledger.dropped} == set(range(401, 432))
    assert told["files"][0]["reader"] == "alpaca"
    assert told["tokens"]["total"] == sum(len(item.tokens[0]) for item in prepared.train)
    assert told["tokens"]["scored"] == sum(item.tokens[0].scored for item in prepared.train)


def test_copies_that_differ_in_spacing_are_counted_apart(make: Make) -> None:
    first = rows(40)
    spaced = [{**row, "output": row["output"] + " \n"} for row in first[:3]]
    prepared = make(first + spaced + first[:2] + spaced[:1])
    assert prepared.ledger.reasons() == {"duplicate but for spacing": 3, "duplicate": 3}
    told = "\n".join(prepared.ledger.lines())
    copied = {entry["row"]: Path(entry["of"]).name for entry in prepared.ledger.dropped}
    assert copied == {
        row: f"rows.json:{of}" for row, of in ((41, 1), (42, 2), (43, 3), (44, 1), (45, 2), (46, 1))
    }
    exact = "rows.json:44 ↔ rows.json:1, rows.json:45 ↔ rows.json:2, rows.json:46 ↔ rows.json:1"
    assert f"dropped 3: exact copies of an earlier row ({exact})" in told
    assert "copies of an earlier row but for spacing (rows.json:41 ↔ rows.json:1, " in told


def test_every_phase_that_is_shown_ends(tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(rows(40)), encoding="utf-8")
    at: dict[str, tuple[int, int]] = {}
    run = validate(
        {"model": "m", "data": str(tmp_path / "rows.json"), "out": "o", "objective": "sft"}
    )
    prepare(run, tokenizer, progress=lambda phase, done, total: at.update({phase: (done, total)}))
    assert len(at) == 2 and set(at.values()) == {(40, 40)}


def test_items_are_in_the_order_of_the_file_and_held_out_ones_keep_their_example(
    make: Make,
) -> None:
    content = rows(400)
    prepared = make(content)
    for part in (prepared.train, prepared.watch, prepared.proof):
        places = [int(item.id.split(":")[1]) for item in part]
        assert places == sorted(places)
    assert all(item.example is None for item in prepared.train)
    for item in prepared.watch + prepared.proof:
        assert isinstance(item.example, Chat)
        assert item.example.answer == content[int(item.id.split(":")[1]) - 1]["output"]
        assert item.tokens[0].ids_T.dtype == np.int32


def test_same_question_with_another_answer_stays_on_one_side(make: Make) -> None:
    content = rows(300)
    content += [row | {"output": "another " + row["output"]} for row in content]
    prepared = make(content)
    side = {
        item.id: name
        for name, part in vars(prepared).items()
        if isinstance(part, list)
        for item in part
    }
    assert len(side) == 600
    assert all(side[f"rows.json:{n}"] == side[f"rows.json:{n + 300}"] for n in range(1, 301))
    assert prepared.ledger.near == [
        (f"rows.json:{n}", f"rows.json:{n - 300}") for n in range(301, 601)
    ]


def test_rows_of_one_group_are_not_called_alike(make: Make) -> None:
    content = [row | {"patient": n % 50} for n, row in enumerate(rows(300))]
    assert make(content, split_by="patient").ledger.near == make(content).ledger.near == []


def test_question_of_every_row_is_an_instruction_and_joins_nothing(make: Make) -> None:
    prepared = make(
        [row | {"instruction": "Write a name.", "output": row["instruction"]} for row in rows(300)]
    )
    assert prepared.ledger.proof + prepared.ledger.watch == 30
    assert any("One question occurs in 300 rows" in note for note in prepared.ledger.notes)


def test_equal_values_of_a_column_stay_on_one_side(make: Make) -> None:
    prepared = make(rows(1000), split_by="patient")
    assert all(item.group for item in prepared.proof), "a proof draws rows of one group together"
    patients = [
        {(int(item.id.split(":")[1]) - 1) % 100 for item in part}
        for part in (prepared.train, prepared.watch, prepared.proof)
    ]
    assert (
        not patients[0] & patients[1]
        and not patients[0] & patients[2]
        and not patients[1] & patients[2]
    )
    assert sum(map(len, patients)) == 100
    with pytest.raises(
        DataError,
        match=(
            r"data.split_by: there is no column 'doctor' in .*rows.json:1; its columns are: "
            r"instruction, input, output"
        ),
    ):
        make(rows(5), split_by="doctor")


def test_few_or_no_held_out_rows_are_told(make: Make) -> None:
    few = make(rows(100))
    assert (few.watch, len(few.proof)) == ([], 10)
    assert any("Only 10 rows are held out" in note for note in few.ledger.notes)
    none = make(rows(100), held_out=0)
    assert (none.watch, none.proof, len(none.train)) == ([], [], 100)
    assert any("this run cannot be proved" in note for note in none.ledger.notes)
    assert len(make(rows(100), held_out=60).proof) == 30
    alone = make(rows(1)).ledger
    assert (
        alone.proof == 0
        and "There is a single row, so nothing can be held out: this run cannot be proved"
        in alone.notes
    )


def test_held_out_file(make: Make, tmp_path: Path) -> None:
    held = tmp_path / "held.json"
    held.write_text(json.dumps(rows(50, seed=1) + rows(3)), encoding="utf-8")
    prepared = make(rows(100), held_out=str(held))
    told = prepared.ledger.to_json()
    assert told["dropped"] == {"also in held-out file": 3}
    copied = [(entry["row"], entry["of"]) for entry in prepared.ledger.dropped]
    assert copied == [(row, f"{held}:{row + 50}") for row in (1, 2, 3)]
    assert (len(prepared.train), len(prepared.watch), len(prepared.proof)) == (97, 26, 27)
    assert prepared.proof[0].id.startswith("held.json:")
    assert prepared.proof[0].example is not None
    assert told["rows"] == 153


def test_what_is_near_a_held_out_file_is_not_trained(make: Make, tmp_path: Path) -> None:
    held = tmp_path / "held.json"
    near = [row | {"instruction": row["instruction"] + "!"} for row in rows(2)]
    kin = [row | {"patient": 7} for row in rows(1, seed=2)]
    held.write_text(json.dumps(rows(50, seed=1)[8:] + near + kin), encoding="utf-8")
    prepared = make(rows(20), held_out=str(held), split_by="patient")
    near_ones = [row for row in prepared.ledger.dropped if row["reason"] == "near a held-out row"]
    assert {row["row"] for row in near_ones} == {1, 2, *range(9, 21), 8}
    assert near_ones[0]["of"] == f"{held}:43", "the row with ! at its end"
    assert [item.id for item in prepared.train] == [f"rows.json:{number}" for number in range(3, 8)]


def test_weights_of_sources(make: Make, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 2), ("half", 3)):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows(200, seed=seed)), encoding="utf-8")
    weights = {"one": 1, "two": 2, "half": 0.5}
    prepared = make(
        [
            {"path": str(tmp_path / f"{name}.json"), "weight": weight}
            for name, weight in weights.items()
        ]
    )
    names = [item.id for item in prepared.train]
    assert len(names) == len(set(names))
    once = [name for name in names if name.startswith("two") and not name.endswith("#2")]
    assert [name + "#2" for name in once] == [
        name for name in names if name.startswith("two") and name.endswith("#2")
    ]
    assert prepared.ledger.trained == 540
    half = sum(name.startswith("half") for name in names)
    (note,) = [note for note in prepared.ledger.notes if note.startswith("half.json has weight")]
    trained = int(note.partition("its ")[2].split()[0])
    assert abs(half - trained / 2) <= 0.5 and f"{half} are used in each epoch" in note


def test_a_held_out_files_rows_are_counted_and_its_leak_is_said(make: Make, tmp_path: Path) -> None:
    own = rows(40)
    held = tmp_path / "held.json"
    held.write_text(json.dumps([*own[:15], *rows(10, seed=9)]), encoding="utf-8")
    prepared = make([*own, own[0], own[1]], held_out=str(held))
    ledger = prepared.ledger
    assert "15 of the 25 rows of the held-out file are also in the training files" in "".join(
        ledger.notes
    )
    assert (ledger.rows, ledger.different) == (67, 50)
    assert ledger.reasons()["also in held-out file"] == 17
    assert [entry["rows"] for entry in ledger.files] == [25, 42]


LONG = " ".join(WORDS * 8)


def test_up_to_one_percent_too_long_is_dropped_and_more_stops(make: Make) -> None:
    content = rows(300)
    content[7] = content[7] | {"instruction": LONG + " a"}
    prepared = make(content, max_length=256)
    assert prepared.ledger.reasons() == {"too long": 1}
    assert prepared.ledger.dropped[0]["row"] == 8
    for n in range(20, 30):
        content[n] = content[n] | {"instruction": f"{LONG} {n}"}
    with pytest.raises(DataError) as caught:
        make(content, max_length=256)
    text = str(caught.value)
    assert text.startswith(
        "data.max_length: 11 of 300 rows (3.7 %) are longer than 256 tokens (median "
    )
    assert "data.too_long=drop (leave them out), or data.too_long=truncate" in text
    assert "split" not in text
    assert make(content, max_length=256, too_long="drop").ledger.reasons() == {"too long": 11}
    with pytest.raises(DataError, match="1 of 300 rows"):
        make([*content[:20], *rows(300)[20:]], max_length=256, too_long="stop")
    with pytest.raises(DataError, match=r"data.too_long: only plain text \(objective=pretrain\)"):
        make(content, max_length=256, too_long="split")


def test_models_own_limit_counts_where_none_is_given(make: Make) -> None:
    assert make([*rows(300), rows(1)[0] | {"instruction": LONG}], limit=256).ledger.reasons() == {
        "too long": 1
    }


def test_truncate_keeps_the_answer_and_counts_what_is_lost(make: Make, tokenizer: Any) -> None:
    content = rows(50) + [
        {"instruction": LONG + f" {n}", "input": "", "output": "the end"} for n in range(50)
    ]
    whole, cut = (
        make(content, max_length=10_000),
        make(content, max_length=256, too_long="truncate"),
    )
    assert cut.ledger.reasons() == {}
    assert all(len(item.tokens[0]) <= 256 for item in cut.train)
    before = {item.id: item.tokens[0] for item in whole.train}
    lost = 0
    for item in cut.train:
        old, new = before[item.id], item.tokens[0]
        assert old.scored == new.scored
        assert new.ids_T[-1] == tokenizer.eos_token_id
        lost += len(old) - len(new)
    assert cut.ledger.tokens["lost"] == lost > 0


def test_truncate_by_hand() -> None:
    def tokens(context: int, answer: int) -> Tokens:
        ids_T = np.arange(context + answer, dtype=np.int32)
        return Tokens(
            ids_T, (ids_T >= context).astype(np.float32), {"mark_T": ids_T * 10, "label": 3}
        )

    kept = truncate(tokens(10, 4), 6, bos=(0,))
    assert kept.ids_T.tolist() == [0, 9, 10, 11, 12, 13]
    assert kept.columns["mark_T"].tolist() == [0, 90, 100, 110, 120, 130]
    assert kept.columns["label"] == 3
    assert truncate(tokens(10, 4), 6).ids_T.tolist() == [8, 9, 10, 11, 12, 13]
    long = truncate(tokens(10, 20), 8)
    assert long.ids_T.tolist() == [6, 7, 8, 9, 10, 11, 12, 13]
    assert long.scored == 4
    assert truncate(tokens(1, 20), 8).ids_T.tolist() == list(range(8))
    assert truncate(tokens(3, 2), 8).ids_T.tolist() == list(range(5))


def test_long_text_is_cut_into_windows_and_nothing_is_lost(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(
        "\n".join(" ".join(random.Random(n).choices(WORDS, k=60)) for n in range(20)),
        encoding="utf-8",
    )
    prepared = make(str(path), objective="pretrain", max_length=64, held_out=4)
    assert prepared.ledger.trained == 16
    assert len({item.id for item in prepared.train}) == len(prepared.train) > 32
    assert prepared.train[0].id.endswith("/1")
    assert all(len(item.tokens) == 1 and len(item.tokens[0]) <= 64 for item in prepared.train)
    assert isinstance(prepared.proof[0].example, Text)
    whole = make(str(path), objective="pretrain", max_length=10_000, held_out=4)
    assert prepared.ledger.tokens["scored"] == whole.ledger.tokens["scored"]
    assert any("nothing is lost" in note for note in prepared.ledger.notes)


def test_objective_that_eats_something_else_says_which_does_not(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("one line\nanother line\n", encoding="utf-8")
    with pytest.raises(
        DataError,
        match=(
            r"lines.txt:1: these rows are plain text: use objective=pretrain for them, or, for "
            r"objective=sft"
        ),
    ):
        make(str(path))


def test_a_column_that_a_template_misspells_is_told_once(make: Make) -> None:
    with pytest.raises(DataError) as caught:
        make(rows(30), template="{instruction} {answr}")
    told = str(caught.value)
    assert "rows.json:1: data.template: there is no column answr in this row; did you mean" in told
    assert "'answer'" in told and len(caught.value.problems) == 1


def test_nothing_to_train_anywhere_is_an_error(make: Make) -> None:
    content = [
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b", "train": False},
            ]
        }
    ] * 3
    with pytest.raises(
        DataError,
        match=r"data: no row has anything to learn: 3 rows, for instance .*rows.json:1",
    ):
        make(content)
    kept = make(
        [
            *content[:1],
            *(
                {
                    "messages": [
                        {"role": "user", "content": f"{n}"},
                        {"role": "assistant", "content": "b"},
                    ]
                }
                for n in range(20)
            ),
        ]
    )
    assert kept.ledger.reasons()["nothing to train"] == 1


def test_fingerprint_tells_a_changed_row(make: Make) -> None:
    content = rows(60)
    one = make(content).fingerprint
    assert make(content).fingerprint == one
    changed = [*content[:5], content[5] | {"output": "changed"}, *content[6:]]
    assert make(changed).fingerprint != one
    assert make(content, system="Be brief.").fingerprint != one


def test_model_that_thinks_is_asked_not_to_where_no_row_does(make: Make) -> None:
    plain = make(rows(50), using=byte_level(QWEN3, "<|im_end|>"))
    assert plain.render.data.reasoning == "drop"
    assert any("data.reasoning=drop" in note for note in plain.ledger.notes)
    thinking = [{"question": f"{n} a", "reasoning": "because", "answer": "b"} for n in range(50)]
    assert make(thinking, using=byte_level(QWEN3, "<|im_end|>")).render.data.reasoning == "think"
    assert make(rows(50)).render.data.reasoning == "think"


@pytest.mark.slow  # 9 s
def test_real_files_are_accounted_for(shared_data: Path, make: Make) -> None:
    reviews = make(str(shared_data / "chinese_reviews"), objective="pretrain", max_length=4096)
    assert reviews.ledger.leaked_share > 0.25
    assert reviews.ledger.rows == 6219
    medical = make(str(shared_data / "medical_llama_zh"), max_length=4096)
    assert medical.ledger.rows == 3500
    assert len(medical.watch) + len(medical.proof) == 350
