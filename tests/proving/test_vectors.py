"""Embeddings end to end: trained, proved against the base, asked, and loaded by
sentence-transformers with equal vectors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

import tunesmith as ts
from conftest import tiny_model
from material.headed import encoder
from material.proved import Counted
from material.written_rows import questions
from tunesmith.data.reading import examples
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import TextPair
from tunesmith.export.make import export
from tunesmith.metrics import METRICS
from tunesmith.predicting.predictor import Predictor
from tunesmith.proving.judge import judge
from tunesmith.settings.run import Data


def run_of(model: Path, data: Path, out: Path, **settings: Any) -> Any:
    train = {
        "steps": 20,
        "batch": 16,
        "micro_tokens": 128,
        "learning_rate": 3e-3,
        "machine": {"threads": 1},
    }
    return {
        "model": str(model),
        "data": {"path": str(data), "held_out": 40},
        "out": str(out),
        "objective": "embed",
        "method": "full",
        "train": train | {"keep": {"evaluate": 10, "best_by": "recall_at_1"}},
        **settings,
    }


@pytest.mark.parametrize(
    ("kind", "method", "objective"),
    [
        pytest.param("bert", "full", {}, marks=pytest.mark.slow),
        ("bert", "lora", {"pooling": "cls", "normalize": False}),
        pytest.param(
            "llama", {"name": "lora", "rank": 8}, {"pooling": "last"}, marks=pytest.mark.slow
        ),
    ],
)
def test_trained_proved_asked_and_loaded_by_sentence_transformers(
    kind: str, method: Any, objective: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from sentence_transformers import SentenceTransformer

    model = encoder(tmp_path / "base") if kind == "bert" else tiny_model(tmp_path / "base")
    data = questions(tmp_path / "pairs.jsonl")
    run = ts.train(
        run_of(
            model, data, tmp_path / "run", method=method, objective={"name": "embed", **objective}
        )
    )
    steps = [line for line in run.steps() if "learning_rate" in line]
    assert (
        steps[-1]["loss"] < steps[0]["loss"]
        and 0 <= steps[-1]["recall_at_1"] <= steps[-1]["recall_at_10"] <= 1
    )
    assert all("recall_at_10" in line["evaluation"] for line in run.steps() if "evaluation" in line)
    counted = Counted()
    proof = ts.prove(run, listen=[counted.hear])
    assert counted.told == len(counted.begun), counted.begun
    assert {*proof.found["contenders"]} == {"tfidf_cosine", "base", "tuned"} and proof.found[
        "primary"
    ] == "recall_at_1"
    assert "low" in proof.found["differences"]["base"]["recall_at_1"] and "recall@10" in "\n".join(
        proof.lines()
    )

    texts = ["who is the cat of 12", "the film is not very good and the book is big", "七 of 3"]
    rows = ts.predict(run, [{"question": text} for text in texts])
    both = Predictor(run).predict([{"question": texts[0], "positive": texts[1]}])[0]
    assert np.allclose(both["prediction_second"], rows[1]["prediction"], atol=1e-5)
    theirs = SentenceTransformer(str(run.model), device="cpu").encode(texts)
    assert np.allclose([row["prediction"] for row in rows], theirs, atol=1e-5)
    assert np.allclose(np.linalg.norm(theirs, axis=1), 1) == objective.get("normalize", True)
    if method == "lora":
        space: dict[str, Any] = {}
        exported = export(run, tmp_path / "exported")
        assert "LOAD REPORT" not in "".join(capfd.readouterr())
        told = "\n".join(exported.lines())
        assert "token vectors" in told and not any(
            word in told for word in ("logits", "most likely", "greedy")
        )
        exec("\n".join(exported.load), space)  # the lines that are printed, as printed
        assert np.allclose(space["model"].encode(texts), theirs, atol=1e-5)
    with pytest.raises(
        DataError, match=r"no text to embed: the row has the columns other; .*: question, positive$"
    ):
        ts.predict(run, [{"other": "x"}])
    assert ts.predict(run, []) == []


@pytest.mark.slow  # 8 s
def test_graded_pairs_are_proved_by_rank_correlation(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "pairs_stsb_zh/sts-b-train.txt"
    settings = run_of(encoder(tmp_path / "base"), path, tmp_path / "run")
    settings["data"] |= {"path": f"{path}#300", "held_out": 80, "unknown": "accept"}
    with pytest.raises(SpecError, match="cannot be measured on these pairs; use loss, spearman"):
        ts.plan(settings).require()
    settings["train"]["keep"]["best_by"] = "spearman"
    run = ts.train(settings)
    proof = ts.prove(run).found
    items = [json.loads(line) for line in run.items.read_text(encoding="utf-8").splitlines()]
    by_scipy = spearmanr(
        [item["choices"]["tuned"] for item in items], [item["reference"] for item in items]
    ).statistic
    assert (
        proof["contenders"]["tuned"]["spearman"] == pytest.approx(by_scipy)
        and proof["primary"] == "spearman"
    )
    compared = proof["differences"]["base"]["spearman"]
    assert compared["low"] <= compared["difference"] <= compared["high"]
    # The file has no header: rows that are asked about have its columns, 0 to 2, and mean the same.
    asked = [dict(zip("012", [*item["prompt"].split("\n"), "3"], strict=True)) for item in items]
    found = ts.predict(run, asked)
    assert [row["prediction_cosine"] for row in found] == pytest.approx(
        [item["choices"]["tuned"] for item in items], abs=1e-5
    )


def test_each_draw_of_items_is_ranked_anew() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(3, 30)).round(1), draw.integers(0, 5, (3, 30)).astype(float)
    spearman = METRICS.make(METRICS.config("spearman"))
    assert spearman.over_draws(x, y) == pytest.approx(
        [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    )
    right = np.arange(40.0)
    noisy = right + draw.normal(size=40) * 30
    items = [
        {
            "id": str(n),
            "reference": right[n],
            "choices": {"base": noisy[n], "tuned": right[n]},
            "predictions": {},
        }
        for n in range(40)
    ]
    found = judge(items, ["spearman", "pearson"], seed=0, resamples=400)["differences"]["base"]
    assert found["spearman"]["verdict"] == found["pearson"]["verdict"] == "improved"


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([{"sentence1": "a", "sentence2": "b", "score": 2.5}], TextPair("a", "b", 2.5)),
        (
            [{"query": "a", "pos": ["b", "c"], "neg": ["d", "e"]}],
            TextPair("a", "b", None, ("d", "e")),
        ),
        ([{"anchor": "a", "positive": "b", "negative": "c"}], TextPair("a", "b", None, ("c",))),
        ([{"question": "a", "answer": "b"}], TextPair("a", "b")),
    ],
    ids=lambda value: "" if isinstance(value, TextPair) else "+".join(value[0]),
)
def test_usual_names_are_read(rows: list[dict[str, Any]], wanted: TextPair, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = [example for _, example in examples(Data(path=str(path)), TextPair)]
    assert [
        (one.text, one.second, one.similarity, one.negatives)
        for one in found
        if isinstance(one, TextPair)
    ] == [(wanted.text, wanted.second, wanted.similarity, wanted.negatives)]


@pytest.mark.parametrize(
    ("file", "first", "grades"),
    [
        ("pairs_stsb_zh/sts-b-dev.txt", "一个戴着安全帽的男人在跳舞。", {0, 1, 2, 3, 4, 5}),
        ("pairs_afqmc_zh/dev.txt", "双十一花呗提额在哪", {0, 1}),
        (
            "pairs_pawsx_zh/dev_2k.tsv",
            "Four Rivers 委员会与 Audubon 委员会合并后，Shawnee Trails 委员会得以问世。",
            {0, 1},
        ),
        ("translation_en_zh/cmn.txt#200", None, {None}),
    ],
)
def test_real_files_are_read(
    file: str, first: str | None, grades: set[Any], shared_data: Path
) -> None:
    reading = examples(Data(path=str(shared_data / file)), TextPair)
    found = [example for _, example in reading if isinstance(example, TextPair)]
    assert {one.similarity for one in found} == grades and all(
        one.text and one.second for one in found
    )
    assert first is None or found[0].text == first


def test_rows_of_another_kind_say_both_ways_out(tiny_llama: Path, tmp_path: Path) -> None:
    path = questions(tmp_path / "pairs.jsonl", 3)
    with pytest.raises(SpecError, match="these rows are pairs of texts: use objective=embed"):
        ts.plan(
            {
                "model": str(tiny_llama),
                "data": str(path),
                "out": str(tmp_path / "run"),
                "objective": "dpo",
            }
        ).require()
