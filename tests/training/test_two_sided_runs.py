"""Runs of models with an encoder and a decoder: killed and resumed, answered, proved, exported,
read by plain transformers.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from material import runs
from material.fast import slow_but
from material.two_sided import tiny_pair
from tunesmith import api
from tunesmith.data.prepare import Prepared
from tunesmith.export.make import export
from tunesmith.predicting.predictor import Predictor
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train

METHODS = {
    "full": {"method": "full"},
    "lora": {"method": {"name": "lora", "rank": 4, "dropout": 0.1}},
}


@pytest.fixture(scope="module")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pair(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def prepared_t5(tiny_t5: Path) -> Prepared:
    return runs.data_of(runs.resolved(tiny_t5 / "unused", tiny_t5), watch=8)


@pytest.mark.parametrize("method", slow_but(["lora"], METHODS))
def test_a_killed_run_ends_alike_and_plain_transformers_answers_as_predict_does(
    method: str, tiny_t5: Path, prepared_t5: Prepared, tmp_path: Path
) -> None:
    whole, broken = (
        runs.resolved(tmp_path / name, tiny_t5, **METHODS[method]) for name in ("whole", "broken")
    )

    def killed(line: dict[str, Any]) -> None:
        if line["step"] == 5 and "loss" in line:
            os._exit(9)

    assert runs.in_child(lambda: train(whole, prepared_t5)) == 0
    assert runs.in_child(lambda: train(broken, prepared_t5, events=runs.on_step(killed))) == 9
    assert runs.in_child(lambda: train(broken, prepared_t5, resume=True)) == 0
    straight, resumed = (RunFolder(tmp_path / name) for name in ("whole", "broken"))
    assert runs.weights(resumed.model) == runs.weights(straight.model)
    assert runs.weights(resumed.best) == runs.weights(straight.best)
    assert runs.record(resumed) == runs.record(straight)
    losses = [line["loss"] for line in straight.steps() if "loss" in line]
    assert losses[-1] < losses[0]

    exported = export(straight, tmp_path / "out")
    assert exported.saved.relative < 1e-4 and "AutoModelForSeq2SeqLM" in exported.load[0]
    asked = [row["instruction"] for row in runs.rows(5)]
    predicted = [
        row["prediction"]
        for row in Predictor(straight).predict(
            [{"instruction": text, "input": ""} for text in asked]
        )
    ]
    assert predicted == plainly(exported.load, asked)


def plainly(lines: tuple[str, ...], asked: list[str]) -> list[str]:
    """The answers of the three lines that the export prints, with the folder's own settings."""
    space: dict[str, Any] = {}
    exec("\n".join(lines), space)
    answers = []
    for text in asked:
        with torch.no_grad():
            ids = space["model"].eval().generate(**space["tokenizer"](text, return_tensors="pt"))
        answers.append(space["tokenizer"].decode(ids[0], skip_special_tokens=True))
    return answers


@pytest.mark.slow  # 3 s
def test_a_real_translation_file_is_trained_on(
    tiny_t5: Path, shared_data: Path, tmp_path: Path
) -> None:
    data = {
        "path": f"{shared_data / 'translation_en_zh' / 'cmn.txt'}#200",
        "columns": {"source": "0", "target": "1"},
    }
    train = {"steps": 12, "batch": 16, "learning_rate": 3e-3, "keep": {"evaluate": 0.5, "save": 0}}
    settings = {
        "model": str(tiny_t5),
        "data": data | {"system": "translate:"},
        "out": str(tmp_path / "run"),
        "method": "full",
    }
    run = api.train(settings | {"train": train})
    watched = [line["evaluation"]["loss"] for line in run.steps() if "evaluation" in line]
    assert watched[-1] < watched[0]
    ledger = run.read(run.ledger)
    assert ledger["files"][0]["reader"] == "source_target" and ledger["files"][0]["rows"] == 200


@pytest.mark.slow  # 5 s
def test_a_finished_run_is_a_model_to_go_on_from(
    bart_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForSeq2SeqLM

    from tunesmith.models.finding.hub import find_model

    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    folder = find_model(str(bart_run.path))
    merged, ids = AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), torch.arange(3, 20)[None]
    tuned = Predictor(bart_run).loaded.model
    with torch.no_grad():
        wanted, found = (
            model(input_ids=ids, decoder_input_ids=ids[:, :5]).logits for model in (tuned, merged)
        )
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def bart_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A BART, whose answers begin with <s> and whose positions end; few labels, so that options are
    scored.
    """
    folder = tmp_path_factory.mktemp("bart_run")
    model = tiny_pair(folder / "model", "bart")
    rows = [
        f"{word} {n % 7} {n}\t{kind}"
        for n in range(60)
        for word, kind in (("near", "yes"), ("sea", "no"))
    ]
    (folder / "rows.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    settings = {
        "model": str(model),
        "data": {
            "path": str(folder / "rows.tsv"),
            "columns": {"source": "0", "target": "1"},
            "system": "how far?",
            "held_out": 0.3,
        },
        "out": str(folder / "run"),
        "method": {"name": "lora", "rank": 8},
        "train": {
            "epochs": 3,
            "learning_rate": 1e-2,
            "keep": {"best_by": "accuracy", "evaluate": 0.5, "save": 0},
        },
        "generate": {"max_new_tokens": 6},
        "questions": ["near the sea?"],
    }
    return api.train(settings)


@pytest.mark.slow  # 3 s
def test_labels_are_proved_against_rivals_and_examples_in_the_source(bart_run: RunFolder) -> None:
    proof = api.prove(bart_run)
    assert {"base", "tuned", "few_shot", "tfidf"} <= proof.found["contenders"].keys()
    assert (
        proof.found["contenders"]["tuned"]["accuracy"]
        > proof.found["contenders"]["base"]["accuracy"]
    )
    assert "near the sea?" in bart_run.questions.read_text(encoding="utf-8")


@pytest.mark.slow  # 2 s
def test_answers_begin_as_the_decoder_is_begun(bart_run: RunFolder, tmp_path: Path) -> None:
    from tunesmith.predicting.chat import Session

    exported = export(bart_run, tmp_path / "out")
    asked = ["near 3 9", "sea 1 2"]
    predictor = Predictor(bart_run)
    predicted = [row["prediction"] for row in predictor.predict([{"0": text} for text in asked])]
    assert predicted == plainly(exported.load, [f"how far?\n{text}" for text in asked])
    assert predictor.chat([{"role": "user", "content": asked[0]}]) == predicted[0]
    assert "".join(Session(bart_run).say(asked[0])) == predicted[0]
    saved = json.loads((tmp_path / "out" / "generation_config.json").read_text(encoding="utf-8"))
    names = ("decoder_start_token_id", "forced_bos_token_id", "max_new_tokens")
    assert [saved[name] for name in names] == [1, 2, 7], (
        "the <s> that an answer begins with counts as written there"
    )
    told = predictor.loaded.tokenizer.init_kwargs["encoder_decoder"]
    assert told == {"start": 1, "end": 1} and predictor.render.start == (1, 2)


@pytest.mark.parametrize(
    ("changes", "where", "text"),
    [
        (
            {"objective": "pretrain"},
            "objective",
            "pretrain cannot train a model with an encoder and a decoder; use sft",
        ),
        (
            {"data.train_on": "everything"},
            "data.train_on",
            "reads it in its encoder and predicts only the answer",
        ),
    ],
)
def test_what_does_not_apply_is_refused_by_the_plan(
    changes: dict[str, Any], where: str, text: str, tiny_t5: Path
) -> None:
    one = runs.resolved(tiny_t5 / "unused", tiny_t5, **changes)
    problems = api.plan(one.run.model_dump()).problems
    assert any(problem.where == where and text in problem.text for problem in problems), problems
