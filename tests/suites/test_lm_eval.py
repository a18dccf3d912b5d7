"""Tasks of lm-eval through this toolkit's loading: the same numbers as its own HFLM gives, and one
clear line where a task cannot be asked. The protocol is tested without the package.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tunesmith import api
from tunesmith.errors import DataError, SpecError
from tunesmith.models.saved import load_run
from tunesmith.settings.run import validate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.suites import suites_of
from tunesmith.suites._lm import cut, log_likelihoods, pair_of, written

THERE = importlib.util.find_spec("lm_eval") is not None
needs = pytest.mark.skipif(
    not THERE, reason="lm-eval is not installed: pip install tunesmith[lm-eval]"
)
RUN = validate({"model": "m", "data": "d.json", "out": "runs/x"})
CHOICES = ["color", "animal", "number"]


def quiet(done: int, of: int) -> None:
    """Hears how far it is."""


def test_a_continuation_is_as_likely_as_the_model_alone_says(adapter_run: RunFolder) -> None:
    loaded = load_run(adapter_run)
    asked = [("what is red? ", "color"), ("what is red? ", "animal"), ("a cat is", " an animal")]
    pairs = [pair_of(loaded, *one) for one in asked]
    found = log_likelihoods(loaded, pairs, quiet)
    for (start, scored), told in zip(pairs, found, strict=True):
        with torch.no_grad():
            logits = loaded.model(torch.tensor([[*start, *scored]])).logits[0].log_softmax(-1)
        places = range(len(start) - 1, len(start) + len(scored) - 1)
        alone = sum(float(logits[n, one]) for n, one in zip(places, scored, strict=True))
        assert told == pytest.approx(alone, abs=1e-4)
    decode = loaded.tokenizer.decode
    assert [decode(scored) for _, scored in pairs] == [" color", " animal", " an animal"]
    (start, scored) = pair_of(loaded, "", "color")
    assert len(start) == 1 and decode(scored) == "color"


def test_a_question_that_is_too_long_loses_its_beginning(adapter_run: RunFolder) -> None:
    loaded = load_run(adapter_run)
    start, scored = pair_of(loaded, "so it goes on " * 400 + "to its end", " color")
    assert len(start) + len(scored) == loaded.limit
    assert loaded.tokenizer.decode(start).endswith("to its end")


def test_answers_end_at_the_first_stop(adapter_run: RunFolder) -> None:
    assert cut("one\ntwo. three", ["\n", "."]) == "one" and cut("one", "\n") == "one"
    assert cut("Q: a", ["", "Q:"]) == ""
    loaded = load_run(adapter_run)
    (whole,) = written(loaded, [("red", {"max_gen_toks": 6})], (), quiet)
    (short,) = written(loaded, [("red", {"max_gen_toks": 6, "until": [whole[2]]})], (), quiet)
    assert len(whole) > 2 and short == whole[: whole.index(whole[2])]


@pytest.mark.skipif(THERE, reason="lm-eval is installed")
def test_without_the_package_the_line_to_install_it_is_told(tmp_path: Path) -> None:
    (suite,) = suites_of([f"lm_eval={tmp_path}"], RUN)
    with pytest.raises(SpecError, match=r"pip install 'tunesmith\[lm-eval\]'"):
        suite.questions()


def task(folder: Path, **changes: object) -> Path:
    """A task of 24 rows, as its users write it."""
    import yaml

    rows = [
        {"question": f"{word} {n}", "choices": CHOICES, "answer": n % 3}
        for n, word in enumerate(["red", "cat", "two"] * 8)
    ]
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings: dict[str, object] = {
        "task": "kinds_of_words",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}} is a",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc"}],
    }
    path = folder / "kinds.yaml"
    path.write_text(yaml.safe_dump(settings | changes), encoding="utf-8")
    return path


@needs
def test_the_proof_holds_what_lm_eval_says_of_the_model(
    adapter_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    path = task(tmp_path)
    proof = api.prove(adapter_run, shots=0, items=20, suites=[f"lm_eval={path}"])
    found = proof.to_json()["retention"]["suites"]["kinds"]
    assert found["items"] == 24 and set(found["kinds"]) == {"kinds_of_words"}
    assert found["verdict"] in ("kept", "lost", "not shown") and found["low"] <= found["high"]
    loaded = load_run(adapter_run)
    known = lm_eval.simple_evaluate(
        model=HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, device="cpu"),
        tasks=["kinds_of_words"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
    )
    assert known["results"]["kinds_of_words"]["acc,none"] == pytest.approx(found["tuned"])
    lines = [
        json.loads(line)
        for line in (adapter_run.path / "suites.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    theirs = {one["doc_id"]: one["acc"] for one in known["samples"]["kinds_of_words"]}
    assert [line["sums"]["tuned"][0] for line in lines] == [theirs[n] for n in range(24)]
    assert found["base"] == pytest.approx(np.mean([one["sums"]["base"][0] for one in lines]))
    assert {line["reference"] for line in lines} == set(CHOICES)


@needs
def test_written_answers_are_judged_by_the_task(adapter_run: RunFolder, tmp_path: Path) -> None:
    how = {
        "output_type": "generate_until",
        "doc_to_choice": None,
        "doc_to_target": "{{choices[answer]}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 5},
        "metric_list": [{"metric": "exact_match"}],
    }
    (suite,) = suites_of([f"lm_eval={task(tmp_path, **how)}"], RUN)
    told = suite.through(load_run(adapter_run), (2,), quiet)
    asked = suite.questions()
    assert len(told) == len(asked) == 24
    for one, question in zip(told, asked, strict=True):
        assert one["sums"] == [float(one["said"] == question.example.answer), 1.0]


@needs
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"output_type": "loglikelihood"}, "output_type loglikelihood, which is not asked"),
        ({"dataset_kwargs": {"data_files": {"test": "/absent.jsonl"}}}, "files of this machine"),
        ({"metric_list": [{"metric": "perplexity"}]}, "of which more is better"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    changes: dict[str, object], told: str, tmp_path: Path
) -> None:
    (suite,) = suites_of([f"lm_eval={task(tmp_path, **changes)}"], RUN)
    with pytest.raises(DataError, match=told) as caught:
        suite.questions()
    assert "\n" not in str(caught.value)


@needs
def test_a_folder_without_a_task_says_so(tmp_path: Path) -> None:
    (suite,) = suites_of([f"lm_eval={tmp_path}"], RUN)
    with pytest.raises(DataError, match="holds no task"):
        suite.questions()
