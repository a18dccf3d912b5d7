"""Entities: read in every form, tagged and told back, counted as seqeval does, found with offsets."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import tunesmith as ts
from material.headed import encoder
from tunesmith.data.columns.scripts import words_of
from tunesmith.data.columns.spans import spans_of, tags_of
from tunesmith.data.files.sources import rows
from tunesmith.data.readers.entities import Entities
from tunesmith.data.rendering.render import Render
from tunesmith.errors import DataError
from tunesmith.examples import Span, Tagged
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.objectives import OBJECTIVES
from tunesmith.proving.judge import metric
from tunesmith.settings.run import Data


@pytest.mark.parametrize(
    "row",
    [
        {"text": "张三在北京", "entities": [{"start": 0, "end": 2, "label": "PER"}, [3, 5, "LOC"]]},
        {"text": "张三在北京", "label": {"PER": {"张三": [[0, 1]]}, "LOC": {"北京": [[3, 4]]}}},
        {"tokens": [*"张三在北京"], "ner_tags": ["B-PER", "I-PER", "O", "B-LOC", "E-LOC"]},
    ],
)
def test_every_form_means_the_same(row: dict[str, object]) -> None:
    assert Entities.matches(frozenset(row), row)
    read = Entities().read(row)
    assert isinstance(read, Tagged) and read.text == "张三在北京"
    assert read.spans == (Span(0, 2, "PER"), Span(3, 5, "LOC"))


def test_columns_with_a_word_a_line_are_sentences(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text(
        "-DOCSTART- O\n\nJohn NNP B-PER\nlives VBZ O\n\nin IN O\nNew NNP I-LOC\nYork NNP I-LOC\n",
        encoding="utf-8",
    )
    read = [Entities().read(located.row) for located in rows(path)]
    assert [one.text for one in read] == ["John lives", "in New York"]
    assert [one.spans for one in read] == [(Span(0, 4, "PER"),), (Span(3, 11, "LOC"),)]


def test_numbers_are_read_by_the_names_that_datasets_writes(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    numbered = {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": names}}
    head = {"info": {"features": {"tokens": {"_type": "Sequence"}, "ner_tags": numbered}}}
    table = pyarrow.table({"tokens": [["Ann", "Lee", "in", "Rome"]], "ner_tags": [[1, 2, 0, 3]]})
    path = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps(head)}), path
    )
    (read,) = [Entities().read(located.row) for located in rows(path)]
    assert read.spans == (Span(0, 7, "PER"), Span(11, 15, "LOC"))
    pyarrow.parquet.write_table(table, path)
    (bare,) = [Entities().read(located.row) for located in rows(path)]
    assert bare.numbered == ("ner_tags", (1, 2, 0, 3)) and not bare.spans


CONLL = {"id": "0", "tokens": ["Ann", "", "Lee", "in", "Rome"], "ner_tags": [1, 0, 2, 0, 5]}
"""As Hugging Face's conll2003 has it in JSON, with an empty word."""


def of(labels: list[str], row: dict[str, object]) -> Tagged:
    """The row as a run with these labels reads it."""
    objective = OBJECTIVES.make(OBJECTIVES.config({"name": "classify_tokens", "labels": labels}))
    found = objective.meant(Entities().read(row))
    assert isinstance(found, Tagged) and found.numbered is None
    return found


@pytest.mark.parametrize(
    "labels",
    [
        ["PER", "ORG", "LOC", "MISC"],
        ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"],
    ],
)
def test_numbers_are_named_by_the_settings(labels: list[str]) -> None:
    read = of(labels, CONLL)
    assert read.text == "Ann Lee in Rome"
    assert read.spans == (Span(0, 7, "PER"), Span(11, 15, "LOC"))


def test_tags_in_another_order_mean_what_their_order_says() -> None:
    read = of(["B-LOC", "I-LOC", "B-PER", "I-PER", "O"], CONLL | {"ner_tags": [2, 4, 3, 4, 0]})
    assert read.spans == (Span(0, 7, "PER"), Span(11, 15, "LOC"))


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([], r"ner_tags: holds the number 1.*objective\.labels=\[O,B-PER,I-PER\]"),
        (
            ["PER", "ORG"],
            "ner_tags: holds the number 5, but objective.labels names only 0 to 4: O, ",
        ),
    ],
)
def test_numbers_without_a_name_are_refused(labels: list[str], told: str) -> None:
    with pytest.raises(DataError, match=told):
        of(labels, CONLL)


def test_a_run_reads_rows_whose_tags_are_numbers(tmp_path: Path) -> None:
    lines = [{"tokens": ["the", "cat", str(n)], "ner_tags": [0, 1, 0]} for n in range(8)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    settings = {"model": str(encoder(tmp_path / "bert")), "out": str(tmp_path / "run")}
    settings |= {"data": {"path": str(path), "held_out": 0.25}, "objective": "classify_tokens"}
    told = "\n".join(str(problem) for problem in ts.plan(settings).problems)
    assert "rows.jsonl:1:ner_tags: holds the number 0" in told
    settings["objective"] = {"name": "classify_tokens", "labels": ["O", "B-ANIMAL", "I-ANIMAL"]}
    made = ts.plan(settings).require()
    assert made.prepared is not None and made.prepared.objective.outputs is not None
    assert made.prepared.objective.outputs.names == ("O", "B-ANIMAL", "I-ANIMAL")
    held = [*made.prepared.watch, *made.prepared.proof]
    examples = [item.example for item in held]
    assert examples and all(
        isinstance(one, Tagged) and one.spans == (Span(4, 7, "ANIMAL"),) for one in examples
    )


@pytest.mark.parametrize(
    ("entities", "told"),
    [
        ([[0, 9, "PER"]], "not in the text"),
        ([[0, 2, "PER"], [1, 3, "PER"]], "overlap"),
        ({"a": 1}, 'must be a list of entities.*"a": 1'),
        ({"PER": {"Ann": 0}}, 'must be a list of entities.*"Ann": 0'),
        ({"PER": {"Ann": [[0]]}}, "must be a list of entities"),
        ([{"start": 1, "end": 3, "label": "PER", "text": "ab"}], "should read 'ab'"),
    ],
)
def test_places_that_are_not_of_the_text_are_refused(entities: list[object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        Entities().read({"text": "abcd", "entities": entities})


def test_entities_are_counted_as_seqeval_counts_them() -> None:
    seqeval = pytest.importorskip("seqeval.metrics")
    draw = random.Random(0)
    tags = ["O", "O", "B-A", "I-A", "B-B", "I-B", "I-C"]
    said, right = ([[draw.choice(tags) for _ in range(9)] for _ in range(80)] for _ in range(2))
    words = [(2 * n, 2 * n + 1) for n in range(9)]

    def spans(rows: list[list[str]]) -> list[list[list[object]]]:
        return [[[s.start, s.end, s.label] for s in spans_of(row, words)] for row in rows]

    for name, theirs, how in (
        ("entity_f1", seqeval.f1_score, "micro"),
        ("entity_precision", seqeval.precision_score, "micro"),
        ("entity_recall", seqeval.recall_score, "micro"),
        ("entity_macro_f1", seqeval.f1_score, "macro"),
    ):
        ours = metric(name).over(spans(said), spans(right))
        assert ours == pytest.approx(theirs(right, said, average=how)), name
    assert spans([tags_of(spans_of(row, words), words) for row in right]) == spans(right)


def test_each_word_has_its_first_token(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(encoder(tmp_path / "bert"))
    render = Render(tokenizer, Data(path="x"), head="tokens", chats=False)
    text = "the zebra 很好"
    tokens, first, words = render.marked(text, words_of(text))
    assert [text[start:end] for start, end in words] == ["the", "zebra", "很", "好"]
    pieces = tokenizer.convert_ids_to_tokens(tokens.ids_T[first].tolist())
    assert pieces == ["the", "z", "很", "好"] and len(tokens) > 4 + 2
