"""The proof end to end on tiny runs: every number follows from items.jsonl, and the verdict is what
the numbers say.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sklearn.metrics import accuracy_score, f1_score

from material.proved import Counted
from tunesmith import api, words
from tunesmith.errors import DataError, SpecError
from tunesmith.models.saved import load_run
from tunesmith.proving import answers, contest, judge, statistics, task
from tunesmith.proving.leaks import Leak
from tunesmith.storage.run_folder import RunFolder


def lines_of(folder: RunFolder) -> list[dict]:
    return [json.loads(line) for line in folder.items.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def proof(label_run):
    words.use("en")
    return api.prove(label_run)


def test_five_contenders_in_order_and_a_verdict(label_run, proof):
    found = proof.to_json()
    assert list(found["contenders"]) == ["most_frequent", "tfidf", "base", "few_shot", "tuned"]
    assert found["primary"] == "accuracy" and found["primary_reason"] == "labels"
    assert found["verdict"] == proof.verdict == "improved"
    assert (
        found["contenders"]["tuned"]["accuracy"]
        > 0.9
        > 0.6
        > found["contenders"]["base"]["accuracy"]
    )
    assert found["differences"]["base"]["accuracy"]["low"] > 0
    assert json.loads(label_run.proof.read_text(encoding="utf-8")) == found
    assert set(found["options"]) == {"color", "animal", "number"} and len(found["shots"]) == 6
    assert set(found["stopped"]) == set(found["seconds"]) - {"most_frequent", "tfidf"}


def test_every_number_follows_from_the_items(label_run, proof):
    found, items = proof.to_json(), lines_of(label_run)
    again = judge.judge(
        items,
        ["accuracy", "macro_f1", "exact_match", "nll"],
        seed=found["seed"],
        decides=(found["against"], found["primary"]),
        resamples=found["resamples"],
    )
    assert {key: found[key] for key in again} == again
    truth = [item["reference"] for item in items]
    for name, values in found["contenders"].items():
        choices = [item["choices"][name] for item in items]
        assert values["accuracy"] == pytest.approx(accuracy_score(truth, choices))
        f1 = f1_score(truth, choices, average="macro", labels=sorted(set(truth)), zero_division=0)
        assert values["macro_f1"] == pytest.approx(f1)
        written = [item["predictions"][name].strip() for item in items]
        assert values["exact_match"] == pytest.approx(
            np.mean([one == other for one, other in zip(written, truth, strict=True)])
        )
        for metric in ("accuracy", "exact_match"):
            assert values[metric] == pytest.approx(
                np.mean([item["scores"][name][metric] for item in items])
            )
    for name in ("base", "few_shot", "tuned"):
        sums = np.array([item["nll"][name] for item in items]).sum(0)
        assert found["contenders"][name]["nll"] == pytest.approx(sums[0] / sums[1])
        assert found["stopped"][name] == pytest.approx(
            np.mean([item["stopped"][name] for item in items])
        )
        assert all(
            item["choices"][name] == max(item["options"][name], key=item["options"][name].get)
            for item in items
        )
    right = {
        name: np.array([item["choices"][name] == item["reference"] for item in items], float)
        for name in ("tuned", "base")
    }
    test = statistics.mcnemar(right["tuned"], right["base"])
    assert found["differences"]["base"]["accuracy"]["p"] == test.p


@pytest.mark.parametrize("tuned", [True, False])
def test_likelihoods_are_those_of_plain_transformers(label_run, proof, tuned):
    loaded, name = load_run(label_run, tuned=tuned), "tuned" if tuned else "base"
    for item in lines_of(label_run)[:3]:
        chat = [{"role": "user", "content": item["prompt"]}]
        prompt = loaded.tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=False
        )
        start = loaded.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        for option, expected in item["options"][name].items():
            answer = loaded.tokenizer(option + "<|im_end|>", add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logits = loaded.model(torch.tensor([start + answer])).logits[0].log_softmax(-1)
            total = sum(float(logits[len(start) + n - 1, token]) for n, token in enumerate(answer))
            assert total == pytest.approx(expected, abs=1e-3)
            if option == item["reference"]:
                assert item["nll"][name] == pytest.approx([-total, len(answer)], abs=1e-3)


@pytest.mark.slow  # 2 s
def test_the_base_behind_an_adapter_is_the_base(adapter_run, tiny_llama):
    found = api.prove(adapter_run, shots=0).to_json()
    assert "few_shot" not in found["contenders"] and found["shots"] == []
    base = load_run(adapter_run, tuned=False)
    items = lines_of(adapter_run)
    for item in items[:3]:
        chat = [
            {"role": "user", "content": item["prompt"]},
            {"role": "assistant", "content": item["reference"]},
        ]
        text = base.tokenizer.apply_chat_template(chat, tokenize=False).removesuffix("\n")
        row = torch.tensor([base.tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            logits = base.model(row).logits[0].log_softmax(-1)
        count = int(item["nll"]["base"][1])
        ids = row[0].tolist()
        total = -sum(
            float(logits[place - 1, ids[place]]) for place in range(len(ids) - count, len(ids))
        )
        assert item["nll"]["base"][0] == pytest.approx(total, abs=1e-3)
    assert found["contenders"]["tuned"]["nll"] < found["contenders"]["base"]["nll"]


@pytest.mark.slow  # 3 s
def test_the_same_seed_gives_the_same_proof(label_run, proof):
    again = api.prove(label_run).to_json()
    timed = ("seconds", "efficiency")
    assert {k: v for k, v in again.items() if k not in timed} == {
        k: v for k, v in proof.to_json().items() if k not in timed
    }


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("label_run", {}),
        pytest.param("label_run", {"shots": 0}, marks=pytest.mark.slow),
        pytest.param("text_run", {"suites": ["probe"]}, marks=pytest.mark.slow),
    ],
)
def test_a_proof_has_as_many_parts_as_it_says(request, tmp_path, name, more):
    folder = shutil.copytree(request.getfixturevalue(name).path, tmp_path / "run")
    counted = Counted()
    api.prove(folder, items=10, **more, listen=[counted.hear])
    assert counted.told == len(counted.begun) > 3, counted.begun


def test_shots_are_training_rows_of_every_label_and_no_held_out_row(label_run, proof):
    rows = json.loads((label_run.path.parent / "rows.json").read_text(encoding="utf-8"))
    shown = [rows[int(name.rpartition(":")[2]) - 1] for name in proof.to_json()["shots"]]
    assert sorted(row["output"] for row in shown) == [
        "animal",
        "animal",
        "color",
        "color",
        "number",
        "number",
    ]
    asked = {item["prompt"] for item in lines_of(label_run)}
    assert not asked & {row["instruction"] for row in shown}


@pytest.mark.slow  # 10 s
def test_examples_that_do_not_fit_are_told(label_run):
    words.use("en")
    few = api.prove(label_run, items=20, shots=200)
    shown = len(few.to_json()["shots"])
    assert 0 < shown < 200
    assert any(
        line.startswith(f"Of the 200 examples that the base was to be shown, {shown} were")
        for line in few.lines()
    )
    assert not any(
        "that the base was to be shown" in line
        for line in api.prove(label_run, items=20, shots=2).lines()
    )


@pytest.mark.slow  # 2 s
def test_no_row_behind_examples_goes_beyond_the_limit(label_run, monkeypatch):
    """Rows that choose between the draws of examples may be longer than every held-out row."""
    limits, longest = [], []
    choose, likelihoods = task.choose_best_shots, task.likelihoods

    def chosen(made, loaded, seed):
        widest = max(len(made.prompt(index, shots=True)) for index in range(len(made.items)))
        made.limit = widest + made.longest + 2  # the held-out rows fit, some other rows do not
        limits.append(made.limit)
        choose(made, loaded, seed)

    def seen(loaded, sequences):
        longest.append(max(len(row.ids_T) for example in sequences for row in example))
        return likelihoods(loaded, sequences)

    monkeypatch.setattr(answers, "choose_best_shots", chosen)
    monkeypatch.setattr(task, "likelihoods", seen)
    api.prove(label_run, items=5, shots=3)
    assert longest and max(longest) <= limits[0]


def test_few_shot_tokens_are_scored_like_plain_ones(label_run, proof):
    for item in lines_of(label_run):
        assert item["nll"]["few_shot"][1] == item["nll"]["base"][1] == item["nll"]["tuned"][1]
    assert [item["nll"]["few_shot"] for item in lines_of(label_run)] != [
        item["nll"]["base"] for item in lines_of(label_run)
    ]


def test_the_table_is_read_in_both_languages(proof):
    words.use("en")
    english = proof.lines()
    assert re.match(
        r"Proof on \d+ held-out rows that were used neither for training nor for any choice\. accuracy "
        r"decides",
        english[0],
    )
    assert any(
        line.lstrip().startswith("TF-IDF + logistic regression") and "%" in line for line in english
    )
    told = next(line for line in english if line.startswith("Verdict: improved. accuracy"))
    assert told.endswith("] (Tango's score interval).")
    assert any(line.startswith("Answers that stop on their own within 1") for line in english)
    words.use("zh")
    try:
        chinese = proof.lines()
    finally:
        words.use("en")
    assert "]（Tango 得分区间）。" in "\n".join(chinese)
    assert "结论：更好" in "\n".join(chinese) and len(chinese) == len(english)


@pytest.mark.slow  # 3 s
def test_free_chinese_text_is_judged_by_rouge_of_characters(text_run):
    found, items = api.prove(text_run).to_json(), lines_of(text_run)
    assert list(found["contenders"]) == ["base", "few_shot", "tuned"] and found["options"] == []
    assert found["primary"] == "rouge_l" and found["primary_reason"] == "text"
    references = [item["reference"] for item in items]
    for name, values in found["contenders"].items():
        written = [item["predictions"][name] for item in items]
        assert values["bleu"] == pytest.approx(
            BLEU(tokenize="zh").corpus_score(written, [references]).score
        )
        assert values["chrf"] == pytest.approx(CHRF().corpus_score(written, [references]).score)
        assert values["rouge_l"] == pytest.approx(
            np.mean([item["scores"][name]["rouge_l"] for item in items])
        )
    assert all(reference.endswith("活血。") for reference in references)


def test_fewer_items_and_no_verdict_from_too_few(text_run):
    words.use("en")
    proof = api.prove(text_run, items=5, shots=0)
    assert len(lines_of(text_run)) == proof.to_json()["items"] == 5
    assert proof.verdict == "not shown"
    assert any(
        "5 rows are too few for a verdict, which takes at least 20" in line
        for line in proof.lines()
    )


def copy_of(run: RunFolder, folder, **changes: str) -> RunFolder:
    shutil.copytree(run.path, folder / "run")
    text = run.run_yaml.read_text(encoding="utf-8")
    for old, new in changes.values():
        assert re.search(old, text), f"{old} in {text}"
        text = re.sub(old, new, text)
    (folder / "run" / "run.yaml").write_text(text, encoding="utf-8")
    return RunFolder(folder / "run")


@pytest.mark.slow  # 2 s
def test_metrics_and_primary_are_the_users_own(label_run, tmp_path):
    metrics, primary = (
        (r"metrics: \[\].*", "metrics: [chrf, exact_match]"),
        (r"primary: null.*", "primary: nll"),
    )
    run = copy_of(label_run, tmp_path, metrics=metrics, primary=primary)
    found = api.prove(run, items=30, shots=0).to_json()
    assert found["primary"] == "nll" and found["primary_reason"] == "given"
    assert set(found["contenders"]["tuned"]) == {"chrf", "exact_match", "nll"}
    assert found["verdict"] == "improved" and found["differences"]["base"]["nll"]["high"] < 0


def test_label_metrics_of_free_text_are_refused(text_run, tmp_path):
    words.use("en")
    run = copy_of(text_run, tmp_path, metrics=(r"metrics: \[\].*", "metrics: [accuracy, rouge_l]"))
    told = (
        r"prove.metrics: accuracy needs answers from a small set.*For these answers use: bleu, chrf, "
        r".*exact_match, .*nll, .*rouge_l"
    )
    with pytest.raises(SpecError, match=told):
        api.prove(run)


def test_changed_data_is_refused(label_run, tmp_path):
    words.use("en")
    rows = json.loads((label_run.path.parent / "rows.json").read_text(encoding="utf-8"))
    changed = tmp_path / "rows.json"
    changed.write_text(
        json.dumps([*rows, {"instruction": "red new", "input": "", "output": "color"}]),
        encoding="utf-8",
    )
    run = copy_of(label_run, tmp_path, path=(r"path: \S*rows.json", f"path: {changed}"))
    run.proof.write_text('{"items": 20}', encoding="utf-8")
    with pytest.raises(
        DataError, match=r"data.path: the data, or how it is read, has changed since the training"
    ):
        api.prove(run)
    assert run.read(run.proof) == {"items": 20}, "the old proof stays"


def test_without_proof_rows_or_ledger_there_is_no_proof(label_run, tmp_path):
    words.use("en")
    run = copy_of(label_run, tmp_path)
    run.ledger.unlink()
    with pytest.raises(DataError, match=r"ledger.json: is missing"):
        api.prove(run)


def test_plain_text_is_proved_by_its_likelihood(tiny_llama, tmp_path):
    rows = [
        {"text": f"what is the name of person {n} and the answer {n * 7}" * 2} for n in range(120)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    train = {"epochs": 2, "learning_rate": 5e-3, "keep": {"evaluate": 0, "save": 0}}
    data = {"path": str(tmp_path / "rows.json"), "held_out": 0.5}
    settings = {"model": str(tiny_llama), "data": data, "out": str(tmp_path / "run")}
    run = api.train(settings | {"objective": "pretrain", "method": "full", "train": train})
    proof = api.prove(run)
    found = proof.to_json()
    assert (
        list(found["contenders"]) == ["base", "tuned"]
        and found["primary"] == "nll"
        and found["verdict"] == "improved"
    )
    assert found["generation"] is None and found["stopped"] == {}
    sums = np.array([item["nll"]["tuned"] for item in lines_of(run)]).sum(0)
    assert found["contenders"]["tuned"]["nll"] == pytest.approx(sums[0] / sums[1])
    assert any("loss per token" in line for line in proof.lines())


def test_require_is_met_by_the_verdict(proof):
    assert proof.meets(None) and proof.meets("improved") and proof.meets("not worse")


def test_a_gate_on_what_was_kept_is_shut_where_nothing_was_asked(proof):
    assert "retention" not in proof.found and proof.retains(None)
    assert not proof.retains("kept") and not proof.retains("not lost")


def test_windows_of_one_document_are_one_row():
    """Thirty windows of one article must not pass for thirty independent rows."""
    draw = np.random.default_rng(0)

    def records(ids: list[str]) -> list[dict[str, Any]]:
        return [
            {
                "id": one,
                "reference": "",
                "predictions": {},
                "choices": {},
                "nll": {"base": [2.0 + noise, 1.0], "tuned": [1.5, 1.0]},
            }
            for one, noise in zip(ids, draw.normal(0, 0.1, len(ids)), strict=True)
        ]

    windows = judge.judge(records([f"a.txt:4/{n}" for n in range(30)]), ["nll"], seed=0)[
        "differences"
    ]["base"]["nll"]
    rows = judge.judge(records([f"a.txt:{n}" for n in range(30)]), ["nll"], seed=0)["differences"][
        "base"
    ]["nll"]
    assert windows["verdict"] == "not shown" and rows["verdict"] == "improved"
    assert windows["difference"] == pytest.approx(-0.5, abs=0.1)


def test_a_held_out_row_that_a_training_row_quotes_is_left_out_and_named(
    label_run, proof, tmp_path, monkeypatch
):
    words.use("en")
    before = [item["id"] for item in lines_of(label_run)]
    monkeypatch.setattr(
        contest, "leaks", lambda held, train, texts: [Leak(held[0].id, train[0].id, 0.75)]
    )
    run = copy_of(label_run, tmp_path)
    proof = api.prove(run)
    after = [item["id"] for item in lines_of(run)]
    (leak,) = proof.to_json()["leaked"]
    assert set(before) - set(after) == {leak["id"]} and leak["share"] == 0.75
    assert "1 held-out row was left out of the proof" in "\n".join(proof.lines())
    assert f"{leak['id']} ({leak['beside']})" in "\n".join(proof.lines())


def test_held_out_rows_that_all_leak_prove_nothing(label_run, tmp_path, monkeypatch):
    words.use("en")
    monkeypatch.setattr(
        contest,
        "leaks",
        lambda held, train, texts: [Leak(one.id, train[0].id, 1.0) for one in held],
    )
    with pytest.raises(DataError, match=r"data.held_out: all \d+ held-out rows stand"):
        api.prove(copy_of(label_run, tmp_path))
