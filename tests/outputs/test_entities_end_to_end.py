"""Entities from the file to the exported folder: English columns and Chinese places in one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from conftest import tiny_model
from material.fast import slow_but
from material.headed import encoder
from material.proved import Counted
from material.tagged import written
from tunesmith.errors import SpecError
from tunesmith.export.make import export
from tunesmith.report.build import build
from tunesmith.storage.run_folder import RunFolder


def settings(place: Path, model: Path, **changes: Any) -> dict[str, Any]:
    return {
        "model": str(model),
        "data": {"path": written(place), "held_out": 0.3},
        "objective": "classify_tokens",
        "method": "full",
        "out": str(place / "run"),
        "train": {
            "epochs": 9,
            "batch": 8,
            "learning_rate": 5e-3,
            "machine": {"threads": 1, "memory": 8},
            "keep": {"evaluate": 0.25, "save": 0, "best_by": "entity_f1"},
        },
        "questions": ["the red cat", "酒店很好"],
    } | changes


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("entities")


@pytest.fixture(scope="module")
def run(place: Path) -> RunFolder:
    """Trained from its own plan, and proved."""
    model = encoder(place / "bert", cls="AutoModelForMaskedLM")
    planned = ts.plan(settings(place, model)).require()
    folder = ts.train(settings(place, model))
    assert folder.run_yaml.read_text(encoding="utf-8") == planned.resolved.dump()
    counted = Counted()
    ts.prove(folder, listen=[counted.hear])
    assert counted.told == len(counted.begun), counted.begun
    return folder


ASKED = ["the Blue dog of six", "很好的酒店是two书", "xyz", " ".join(["the red cat is"] * 60)]


def found_in(run: RunFolder, texts: list[str]) -> list[list[dict[str, Any]]]:
    """The entities of each text, each of them where it is said to be."""
    answers = ts.predict(run, [{"text": text} for text in texts])
    for text, answer in zip(texts, answers, strict=True):
        for one in answer["prediction"]:
            assert text[one["start"] : one["end"]] == one["text"] and 0 < one["score"] <= 1
    return [answer["prediction"] for answer in answers]


def test_the_proof_counts_what_was_found(run: RunFolder) -> None:
    proof = run.read(run.proof)
    items = [json.loads(line) for line in run.items.read_text(encoding="utf-8").splitlines()]
    said, right = (
        {(n, *span) for n, item in enumerate(items) for span in spans(item)}
        for spans in (lambda item: item["choices"]["tuned"], lambda item: item["reference"])
    )
    f1 = 2 * len(said & right) / (len(said) + len(right))
    assert f1 == pytest.approx(proof["contenders"]["tuned"]["entity_f1"]) and f1 > 0.95
    assert proof["primary"] == "entity_f1" and "dictionary" in proof["contenders"]
    table = {one["label"]: one["rows"] for one in proof["classes"]["tuned"]["table"]}
    assert table == {k: sum(s[3] == k for s in right) for k in sorted({s[3] for s in right})}


@pytest.mark.parametrize(("language", "header"), [("en", "entities"), ("zh", "实体数")])
def test_people_read_of_entities(run: RunFolder, language: str, header: str) -> None:
    build(run, lang=language)
    page = run.report.read_text(encoding="utf-8")
    assert f'<th class="num">{header}</th>' in page
    assert "(ANIMAL)" in page and "&#39;ANIMAL&#39;" not in page and "[[" not in page
    asked = [line for line in run.steps() if "answers" in line]
    assert "red cat (ANIMAL)" in str(asked[-1])


def test_what_is_found_is_where_it_is_said(run: RunFolder) -> None:
    found = [[(one["label"], one["text"]) for one in each] for each in found_in(run, ASKED)]
    assert found[:3] == [
        [("ANIMAL", "Blue dog"), ("NUMBER", "six")],
        [("PLACE", "酒店"), ("NUMBER", "two"), ("THING", "书")],
        [],
    ]
    # Longer than the model reads, and than any row that it was trained on.
    assert found[3].count(("ANIMAL", "red cat")) > 40 and found[3][-1] == ("ANIMAL", "red cat")


def test_what_it_names_is_anonymised_where_it_stands(run: RunFolder, tmp_path: Path) -> None:
    rows = [{"text": text} for text in ASKED[:2]]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    named = found_in(run, ASKED[:2])
    values = {one["text"] for entities in named for one in entities if one["label"] == "ANIMAL"}
    values = {value for value in values if len(value) > 1}
    assert values
    given = [f"model={run.path}", "labels={ANIMAL: record}", "how=mask"]
    account = ts.change_rows("anonymise", str(source), tmp_path / "out.jsonl", given)
    made = [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").open(encoding="utf-8")]
    assert not any(value in text for value in values for text in made)
    assert "[RECORD]" in made[0] or "[病历号]" in made[1]
    others = {one["label"] for entities in named for one in entities} - {"ANIMAL"}
    assert all(label in "\n".join(account.lines()) for label in others)
    quiet = [f"model={run.path}", "how=mask"]
    account = ts.change_rows("anonymise", str(source), tmp_path / "same.jsonl", quiet)
    assert not [*account.changes()], "labels that are no kinds are left alone"


def test_the_exported_folder_finds_the_same(run: RunFolder, tmp_path: Path) -> None:
    from transformers import pipeline

    exported = export(run, tmp_path / "merged")
    assert exported.saved.relative < 1e-4
    assert "AutoModelForTokenClassification" in exported.load[0]
    theirs = pipeline(
        "token-classification", model=str(tmp_path / "merged"), aggregation_strategy="first"
    )
    for text, found in zip(ASKED[:3], found_in(run, ASKED[:3]), strict=True):
        expected = [(one["start"], one["end"], one["entity_group"]) for one in theirs(text)]
        assert [(one["start"], one["end"], one["label"]) for one in found] == expected


def test_what_has_no_meaning_is_refused(run: RunFolder, place: Path, tmp_path: Path) -> None:
    (tmp_path / "hard.txt").write_text("Find: {text}", encoding="utf-8")
    with pytest.raises(SpecError, match="classify_tokens"):
        ts.prove(run, prompt=str(tmp_path / "hard.txt"))
    wanted = settings(place, place / "bert", out=str(tmp_path / "run"))
    wanted["data"] = wanted["data"] | {"system": "Find."}
    wanted["train"] = wanted["train"] | {"keep": {"best_by": "rouge_l"}}
    problems = {one.where: one.text for one in ts.plan(wanted).problems}
    assert set(problems) == {"data.system", "train.keep.best_by"}
    assert "entity_f1" in problems["train.keep.best_by"]


@pytest.mark.parametrize("method", slow_but(["prompt"], ["lora", "prompt", "prefix"]))
def test_a_decoder_finds_entities_too(method: str, tmp_path: Path) -> None:
    wanted = settings(tmp_path, tiny_model(tmp_path / "llama"), method=method, questions=[])
    wanted["train"] = {"steps": 3, "machine": {"threads": 1, "memory": 8}, "keep": {"save": 0}}
    folder = ts.train(wanted)
    assert len(found_in(folder, ASKED)) == len(ASKED)
