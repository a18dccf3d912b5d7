"""A classifier proved, asked and exported: equal to transformers' pipeline, its numbers
scikit-learn's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from conftest import tiny_model
from material.classified import rows, trained
from material.fast import slow_but
from material.headed import encoder
from material.proved import Counted
from tunesmith import api, words
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Outputs
from tunesmith.export.make import export
from tunesmith.predicting.classes import Meaning, best_cut, best_threshold, temperature
from tunesmith.proving.judge import metric
from tunesmith.proving.proof import class_lines
from tunesmith.report.build import build
from tunesmith.storage.run_folder import RunFolder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {
        "bert": encoder(place / "bert", cls="AutoModelForMaskedLM"),
        "roberta": encoder(
            place / "roberta", "roberta", pad_token_id=0, max_position_embeddings=130
        ),
        "llama": tiny_model(place / "llama"),
    }


@pytest.fixture(scope="module")
def single(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return trained(
        tmp_path_factory.mktemp("single"), models["bert"], questions=["red xyz", "a cat"]
    )


@pytest.fixture(scope="module")
def multi(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return trained(tmp_path_factory.mktemp("multi"), models["bert"], "multi", method="full")


def asked() -> list[dict[str, Any]]:
    return [
        {"id": n, "text": row["text"], "note": "kept"} for n, row in enumerate(rows(12, seed=1))
    ]


def pipeline(folder: Path) -> Any:
    from transformers import pipeline as make

    return make("text-classification", model=str(folder), top_k=None)


METHODS = {"lora": {"name": "lora", "rank": 4}, "loha": "loha", "bitfit": "bitfit"}
PIPED = [(kind, method) for kind in ("bert", "roberta", "llama") for method in METHODS]
ONCE = ("bert-lora", "llama-bitfit")
"""An encoder with an adapter, a decoder with weights of its own; all nine took 34 s."""


@pytest.mark.parametrize(("kind", "method"), slow_but(ONCE, PIPED, "-".join))
def test_predictions_are_those_of_the_pipeline_on_the_exported_folder(
    kind: str, method: str, models: dict[str, Path], tmp_path: Path
) -> None:
    run = trained(
        tmp_path,
        models[kind],
        method=METHODS[method],
        train={"steps": 8, "learning_rate": 2e-2, "keep": {"evaluate": 0}},
    )
    found = export(run, tmp_path / "exported")
    assert found.saved.relative < 1e-4 and "AutoModelForSequenceClassification" in found.load[0]
    assert "24 of 24 most likely classes the same" in found.lines()[1] and "greedy" not in "".join(
        found.lines()
    )
    ours = api.predict(run, asked())
    for row, theirs in zip(
        ours, pipeline(tmp_path / "exported")([row["text"] for row in asked()]), strict=True
    ):
        assert row["note"] == "kept" and row["prediction"] == theirs[0]["label"]
        assert row["probabilities"] == pytest.approx(
            {one["label"]: one["score"] for one in theirs}, abs=1e-5
        )
    # The rows in the sizes that a person would send, and as plain texts.
    batched = pipeline(tmp_path / "exported")([row["text"] for row in asked()], batch_size=5)
    assert batched[3][0]["label"] == ours[3]["prediction"]


@pytest.mark.slow  # 2 s
def test_pairs_are_read_as_the_pipeline_reads_them(models: dict[str, Path], tmp_path: Path) -> None:
    both = enumerate(zip(rows(80), rows(80, seed=2), strict=True))
    pairs = [
        {"sentence1": first["text"], "sentence2": second["text"], "label": str(n % 2)}
        for n, (first, second) in both
    ]
    (tmp_path / "rows.json").write_text(json.dumps(pairs))
    data = {"path": str(tmp_path / "rows.json"), "held_out": 0.2}
    train = {"steps": 8, "learning_rate": 2e-2, "keep": {"evaluate": 0}}
    asked = {
        "model": str(models["bert"]),
        "data": data,
        "objective": "classify",
        "out": str(tmp_path / "run"),
        "train": train,
    }
    run = api.train(asked)
    export(run, tmp_path / "exported")
    ours = api.predict(run, [{"sentence1": "red cat", "sentence2": "two"}])[0]
    theirs = pipeline(tmp_path / "exported")({"text": "red cat", "text_pair": "two"})
    assert ours["probabilities"] == pytest.approx(
        {one["label"]: one["score"] for one in theirs}, abs=1e-5
    )


def test_the_proof_has_rivals_classes_and_a_verdict(single: RunFolder) -> None:
    from sklearn.metrics import (
        accuracy_score,
        confusion_matrix,
        f1_score,
        precision_score,
        roc_auc_score,
    )

    counted = Counted()
    proof = api.prove(single, listen=[counted.hear])
    assert counted.told == len(counted.begun), counted.begun
    found = proof.found
    assert (
        list(found["contenders"]) == ["most_frequent", "tfidf", "tuned"]
        and found["against"] == "tfidf"
    )
    items = [json.loads(line) for line in single.items.read_text(encoding="utf-8").splitlines()]
    right, said = (
        [item["reference"] for item in items],
        [item["choices"]["tuned"] for item in items],
    )
    names = found["options"]
    chances = np.exp([[item["options"]["tuned"][name] for name in names] for item in items])
    tuned = found["contenders"]["tuned"]
    assert tuned["accuracy"] == pytest.approx(accuracy_score(right, said))
    assert tuned["macro_f1"] == pytest.approx(
        f1_score(right, said, average="macro", zero_division=0)
    )
    assert tuned["roc_auc"] == pytest.approx(
        roc_auc_score(right, chances, multi_class="ovr", labels=names), abs=1e-6
    )
    table = found["classes"]["tuned"]
    assert table["confusion"] == confusion_matrix(right, said, labels=names).tolist()
    wanted = precision_score(right, said, average=None, labels=names, zero_division=0)
    assert [row["precision"] for row in table["table"]] == pytest.approx(wanted.tolist())
    assert {"low", "high", "p"} <= set(found["differences"]["tfidf"]["accuracy"])
    assert found["differences"]["most_frequent"]["macro_f1"]["low"] is not None
    text = "\n".join(proof.lines())
    assert "against TF-IDF's" in text and "The base takes no part: its head is random" in text
    assert "precision  recall" in text and "Calibration error" in text
    page = build(single).read_text(encoding="utf-8")
    assert "Confusion matrix: tuned" in page and "By class: tuned" in page
    assert "各类别" in build(single, lang="zh").read_text(encoding="utf-8")


def test_what_was_fitted_on_the_watched_rows_is_saved_and_used(
    single: RunFolder, multi: RunFolder
) -> None:
    facts = json.loads((single.model / "tunesmith.json").read_text(encoding="utf-8"))
    assert (
        facts["outputs"]["names"] == ["animal", "color", "number"]
        and facts["fitted"]["temperature"] > 0
    )
    row = api.predict(single, [{"text": "red"}])[0]
    logits = np.log([row["probabilities"][name] for name in facts["outputs"]["names"]])
    assert row["confidence"] == pytest.approx(
        float(softmax(logits / facts["fitted"]["temperature"]).max()), abs=1e-6
    )
    fitted = json.loads((multi.model / "tunesmith.json").read_text(encoding="utf-8"))["fitted"]
    row = api.predict(multi, [{"text": "red cat"}])[0]
    limits = dict(zip(("animal", "color", "number"), fitted["thresholds"], strict=True))
    assert row["prediction"] == [
        name for name, limit in limits.items() if row["probabilities"][name] >= limit
    ]


def test_several_labels_are_proved_too(multi: RunFolder) -> None:
    proof = api.prove(multi)
    assert proof.found["primary"] == "macro_f1" and list(proof.found["classes"]["thresholds"]) == [
        "animal",
        "color",
        "number",
    ]
    assert "A class is named from this probability" in "\n".join(proof.lines())
    assert build(multi).is_file()


@pytest.mark.slow  # 4 s
def test_numbers_are_proved_by_their_distance(models: dict[str, Path], tmp_path: Path) -> None:
    run = trained(tmp_path, models["bert"], "regression")
    proof = api.prove(run)
    items = [json.loads(line) for line in run.items.read_text(encoding="utf-8").splitlines()]
    x, y = (
        np.array(part, float)
        for part in ([i["choices"]["tuned"] for i in items], [i["reference"] for i in items])
    )
    tuned = proof.found["contenders"]["tuned"]
    assert tuned["mean_absolute_error"] == pytest.approx(float(np.abs(x - y).mean()))
    assert tuned["pearson"] == pytest.approx(float(np.corrcoef(x, y)[0, 1]), abs=1e-6)
    assert proof.found["contenders"]["most_frequent"]["pearson"] == 0
    assert (
        isinstance(api.predict(run, [{"text": "red"}])[0]["prediction"], float)
        and build(run).is_file()
    )


def test_own_questions_are_put_into_classes(single: RunFolder) -> None:
    answers = [line["answers"] for line in single.steps() if line.get("event") == "answers"]
    assert len(answers) >= 2 and all("%)" in answer for answer in answers[-1])


@pytest.mark.slow  # 3 s
def test_a_run_that_goes_on_has_a_base_to_beat(single: RunFolder, tmp_path: Path) -> None:
    train = {"steps": 2, "learning_rate": 1e-3, "keep": {"evaluate": 0}}
    run = trained(tmp_path, single.path, train=train)
    assert json.loads((run.model / "tunesmith.json").read_text(encoding="utf-8"))["outputs"]["kept"]
    found = api.prove(run).found
    assert list(found["contenders"]) == ["most_frequent", "tfidf", "base", "tuned"]
    assert (
        found["contenders"]["base"]["accuracy"]
        == api.prove(single).found["contenders"]["tuned"]["accuracy"]
    )


def test_what_does_not_fit_is_said_before_anything_runs(
    single: RunFolder, models: dict[str, Path], tmp_path: Path
) -> None:
    from tunesmith.predicting.chat import Session

    with pytest.raises(SpecError, match="names classes and cannot chat"):
        Session(single)
    with pytest.raises(DataError, match=r"has no text to classify\. The row has the columns text"):
        api.predict(single, [{"text": " "}])
    with pytest.raises(
        DataError,
        match=(
            "The row has the columns foo; it needs those of the training file, without the label: "
            "text"
        ),
    ):
        api.predict(single, [{"foo": "red"}])
    assert api.predict(single, []) == []
    plan = api.plan(
        {
            "model": str(models["bert"]),
            "data": {
                "path": str(single.path.parent / "rows.json"),
                "system": "x",
                "too_long": "split",
            },
            "objective": "classify",
            "out": str(tmp_path / "x"),
            "train": {"keep": {"best_by": "bleu"}},
        }
    )
    told = {problem.where: problem.text for problem in plan.problems}
    assert "use loss or accuracy, calibration_error" in told["train.keep.best_by"]
    assert "writes no text" in told["data.system"] and "split" in told["data.too_long"]
    spoken = api.plan(
        {
            "model": str(models["bert"]),
            "data": str(single.path.parent / "rows.json"),
            "out": str(tmp_path / "y"),
        }
    )
    assert any(
        "is an encoder" in problem.text and "objective=classify" in problem.text
        for problem in spoken.problems
    )


@pytest.mark.slow  # 3 s
def test_two_classes_have_a_threshold_where_it_is_asked_for(
    models: dict[str, Path], tmp_path: Path
) -> None:
    from sklearn.metrics import f1_score

    # One row in four is a colour, and the words say so half of the time.
    rare = [
        ("red" if n % 8 < 3 else "cat", row["text"], n % 4 == 0) for n, row in enumerate(rows(160))
    ]
    few = [
        {"text": f"{word} {text}", "label": "color" if is_one else "other"}
        for word, text, is_one in rare
    ]
    (tmp_path / "rows.json").write_text(json.dumps(few), encoding="utf-8")
    data = {"path": str(tmp_path / "rows.json"), "held_out": 0.5}
    settings = {
        "model": str(models["bert"]),
        "data": data,
        "objective": {"name": "classify", "threshold": "fitted"},
    }
    settings["train"] = {"steps": 6, "learning_rate": 2e-2, "keep": {"evaluate": 0}}
    run = api.train(settings | {"out": str(tmp_path / "run")})
    below, above = json.loads((run.model / "tunesmith.json").read_text(encoding="utf-8"))["fitted"][
        "thresholds"
    ]
    assert below + above == pytest.approx(1) and above != 0.5
    for row in api.predict(run, [{"text": one["text"]} for one in few[:20]]):
        assert row["prediction"] == ("other" if row["probabilities"]["other"] >= above else "color")
    assert (
        f"from this probability on, chosen on the validation rows: color {below:.2f}"
        in "\n".join(api.prove(run).lines())
    )
    draw = np.random.default_rng(1)
    chances, labels = draw.random(60).round(2), draw.integers(0, 2, 60)

    def macro(cut: float) -> float:
        return float(f1_score(labels, chances >= cut, average="macro", zero_division=0))

    assert macro(best_cut(chances, labels)) == pytest.approx(
        max(map(macro, np.linspace(0, 1, 401)))
    )
    assert best_cut(np.full(4, 0.3), np.array([0, 0, 1, 1])) == 0.5
    settings["data"] = data | {"held_out": 0}
    plan = api.plan(settings | {"out": str(tmp_path / "none")})
    assert [problem.where for problem in plan.problems] == ["objective.threshold"]


def test_one_class_for_every_row_is_told() -> None:
    def table(matrix: list[list[int]]) -> str:
        part = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "rows": 10}
        rows = [{"label": name, **part} for name in ("cat", "dog")]
        return "\n".join(class_lines({"classes": {"tuned": {"table": rows, "confusion": matrix}}}))

    words.use("en")
    assert "Every row was given the class dog:" in table([[0, 9], [0, 11]])
    assert "Every row" not in table([[1, 8], [0, 11]])
    assert "Every row" not in table([[0, 0], [0, 11]]), "they are all dogs"


def test_calibration_and_thresholds_by_hand() -> None:
    draw = np.random.default_rng(0)
    true = draw.normal(size=(4000, 3))
    labels = np.array([draw.choice(3, p=row) for row in softmax(true, axis=-1)])
    assert temperature(3 * true, labels) == pytest.approx(3, rel=0.1)
    several = (draw.random((4000, 3)) < expit(true)).astype(float)
    assert temperature(2 * true, several) == pytest.approx(2, rel=0.1)
    chances = np.array([0.1, 0.3, 0.4, 0.9])
    assert best_threshold(chances, np.array([0, 1, 1, 1])) == pytest.approx(0.2)
    assert best_threshold(chances, np.zeros(4)) == 0.5
    # Two rows at 0.8 of which one is right, two at 0.6 of which both are: gaps 0.3 and 0.4.
    options = [{"a": np.log(p), "b": np.log(1 - p)} for p in (0.8, 0.8, 0.6, 0.6)]
    assert metric("calibration_error").over(options, ["a", "b", "a", "a"]) == pytest.approx(0.35)
    meaning = Meaning(Outputs(("a", "b"), "multi_label_classification"), thresholds=(0.9, 0.2))
    assert meaning.choices(np.array([[2.0, -1.0], [3.0, -2.0]])) == [["b"], ["a"]]


@pytest.mark.slow  # 2 s
def test_another_run_of_the_same_classes_is_a_contender(single: RunFolder, multi: RunFolder):
    own, counted = str(single.path), Counted()
    found = api.prove(single, items=20, against=own, listen=[counted.hear]).to_json()
    assert counted.told == len(counted.begun), counted.begun
    assert found["contenders"][own] == found["contenders"]["tuned"]
    with pytest.raises(SpecError, match="names other classes"):
        api.prove(single, items=20, against=str(multi.path))
