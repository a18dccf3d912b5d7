"""What was forgotten: kept, lost or neither, from suites.jsonl alone; and runs whose verdicts are
known beforehand.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from material.judging import judge_that_says
from material.proved import KINDS, labelled, trained
from tunesmith import api
from tunesmith.errors import SpecError
from tunesmith.proving.retention import BOTH, retention_lines, weigh
from tunesmith.report.build import build
from tunesmith.storage.run_folder import RunFolder
from tunesmith.suites import safety
from tunesmith.suites._built_in import built_in
from tunesmith.suites._rules import RULES


def lines(suite: str, kind: str, base: list[float], tuned: list[float]) -> list[dict[str, Any]]:
    return [
        {"suite": suite, "kind": kind, "sums": {"base": [one, 1.0], "tuned": [other, 1.0]}}
        for one, other in zip(base, tuned, strict=True)
    ]


def shares(right: int, items: int) -> list[float]:
    return [1.0] * right + [0.0] * (items - right)


MARGIN = {"probe": (0.05, "share")}


@pytest.mark.parametrize(
    ("base", "tuned", "items", "word"),
    [
        (100, 100, 200, "kept"),
        (100, 60, 200, "lost"),
        (100, 98, 200, "kept"),
        (100, 97, 100, "not shown"),
        (100, 95, 100, "not shown"),
        (100, 94, 100, "lost"),
        (10, 0, 15, "not shown"),
        (50, 90, 200, "kept"),
        (20, 20, 20, "not shown"),
        (75, 75, 75, "not shown"),
        (76, 76, 76, "kept"),
        (0, 0, 200, "not shown"),
    ],
)
def test_kept_lost_or_neither(base: int, tuned: int, items: int, word: str) -> None:
    found = weigh(lines("probe", "a", shares(base, items), shares(tuned, items)), MARGIN, seed=0)
    assert found["verdict"] == found["suites"]["probe"]["verdict"] == word
    assert found["suites"]["probe"]["difference"] == pytest.approx((tuned - base) / items)


@pytest.mark.parametrize("items", [20, 76, 100, 150, 200])
def test_a_loss_of_the_margin_is_hardly_ever_called_kept(items: int) -> None:
    """Of models that lose 5 points in truth, at most 2.5 % are called kept: the chance of each
    number of lost answers, over the numbers that are called so.
    """
    chance = 0.0
    for lost in range(items + 1):
        asked = lines("probe", "a", [1.0] * items, shares(items - lost, items))
        if weigh(asked, MARGIN, seed=0)["verdict"] != "kept":
            break  # whoever loses more is not called so either
        chance += math.comb(items, lost) * 0.05**lost * 0.95 ** (items - lost)
    assert chance <= 0.025


def test_shares_between_right_and_wrong_are_not_kept_by_a_few_changes() -> None:
    """Half right answers have a drawn interval, which shows nothing of 200 answers that stay."""
    halves = [0.5] * 200
    found = weigh(lines("probe", "a", halves, halves), MARGIN, seed=0)["suites"]["probe"]
    assert (found["interval"], found["low"], found["verdict"]) == ("bootstrap", 0, "not shown")


def test_the_kind_that_was_lost_is_named_and_holm_counts_the_kinds() -> None:
    gone = lines("probe", "format", shares(30, 40), shares(0, 40))
    stayed = [
        line
        for n in range(9)
        for line in lines("probe", f"kind {n}", shares(20, 40), shares(20 + n % 2, 40))
    ]
    found = weigh(gone + stayed, MARGIN, seed=0)["suites"]["probe"]
    assert [kind for kind, one in found["kinds"].items() if one["lost"]] == ["format"]
    one = found["kinds"]["format"]
    assert one["p_holm"] == pytest.approx(min(1, 10 * one["p_zero"]))
    text = retention_lines({"verdict": "lost", "suites": {"probe": found}})
    assert "most clearly: format" in text[-1]


def tuned_further(
    place: Path, start: RunFolder, rows: list[dict[str, Any]], *, rate: float, **more: Any
) -> RunFolder:
    """A run on the model of ``start``, all weights, a third kept for the proof."""
    train = {"epochs": 3, "learning_rate": rate, "keep": {"evaluate": 0, "save": 0}}
    data = {"path": str(place / "rows.json"), "held_out": 0.3}
    return trained(place, start.path, rows, method="full", data=data, train=train, **more)


def own_suite(place: Path) -> str:
    """Fresh rows of what the start has learned."""
    file = place / "known.jsonl"
    rows = labelled(520)[400:]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return f"rows={file}"


def other_rows(count: int) -> list[dict[str, str]]:
    """Another task: the kind is said in other words."""
    said = dict(zip(KINDS, ("paint", "beast", "count"), strict=True))
    return [{**row, "output": said[row["output"]]} for row in labelled(count)]


@pytest.mark.slow  # 4 s
def test_a_useless_run_is_not_proven_and_keeps_all(label_run: RunFolder, tmp_path: Path) -> None:
    run = tuned_further(tmp_path, label_run, other_rows(120), rate=1e-12)
    proof = api.prove(run, shots=0, suites=[own_suite(tmp_path)])
    assert proof.verdict == "not shown"
    found = proof.to_json()["retention"]
    assert found["verdict"] == "kept" and proof.retains("kept") and proof.retains("not lost")


@pytest.mark.slow  # 6 s
def test_a_run_on_shuffled_answers_is_worse(label_run: RunFolder, tmp_path: Path) -> None:
    rows = labelled(400)
    answers = [row["output"] for row in rows]
    # The rows of the proof stay right: they are a file of their own.
    (tmp_path / "held.json").write_text(json.dumps(labelled(480)[400:]), encoding="utf-8")
    random.Random(1).shuffle(answers)
    wrong = [{**row, "output": answer} for row, answer in zip(rows, answers, strict=True)]
    train = {"epochs": 3, "learning_rate": 5e-3, "keep": {"evaluate": 0, "save": 0}}
    data = {"path": str(tmp_path / "rows.json"), "held_out": str(tmp_path / "held.json")}
    run = trained(tmp_path, label_run.path, wrong, method="full", data=data, train=train)
    proof = api.prove(run, shots=0)
    assert proof.verdict == "worse", proof.lines()


def test_a_run_that_forgets_has_lost_and_every_number_follows_from_the_lines(
    label_run: RunFolder, tmp_path: Path
) -> None:
    run = tuned_further(tmp_path, label_run, other_rows(400), rate=1e-2)
    proof = api.prove(run, shots=0, suites=[own_suite(tmp_path)])
    assert proof.verdict == "improved", proof.lines()
    found = proof.to_json()["retention"]
    assert found["verdict"] == "lost" and not proof.retains("not lost")
    known = [
        json.loads(line)
        for line in (run.path / "suites.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert json.loads(json.dumps(weigh(known, {"known": (0.05, "share")}, seed=0))) == found
    told = found["suites"]["known"]
    for name in ("base", "tuned"):
        assert told[name] == pytest.approx(np.mean([line["sums"][name][0] for line in known]))
        assert all(
            line["sums"][name][0] == (line["predictions"][name].strip() == line["reference"])
            for line in known
        )


def test_a_leaky_run_names_the_leak(label_run: RunFolder, tmp_path: Path) -> None:
    """Held-out texts that stand word for word in longer training rows."""
    draw = random.Random(3)
    words = ["".join(draw.choices("abcdefghij", k=4)) for _ in range(400)]
    held = [" ".join(draw.sample(words, 30)) for _ in range(30)]
    rows = [
        {
            "instruction": f"{draw.choice(words)} {text} " + " ".join(draw.sample(words, 30)),
            "output": "x y",
        }
        for text in held[:4]
    ]
    rows += [{"instruction": " ".join(draw.sample(words, 30)), "output": "x y"} for _ in range(40)]
    (tmp_path / "held.json").write_text(
        json.dumps([{"instruction": text, "output": "x y"} for text in held]), encoding="utf-8"
    )
    train = {"steps": 2, "learning_rate": 1e-4, "keep": {"evaluate": 0, "save": 0}}
    data = {"path": str(tmp_path / "rows.json"), "held_out": str(tmp_path / "held.json")}
    run = trained(tmp_path, label_run.path, rows, method="full", data=data, train=train)
    proof = api.prove(run, shots=0)
    leaked = {(one["id"], one["beside"]) for one in proof.to_json()["leaked"]}
    assert leaked == {(f"held.json:{n}", f"rows.json:{n}") for n in range(1, 5)}
    assert any("left out of the proof" in line for line in proof.lines())


@pytest.mark.parametrize(
    ("says", "decided"),
    [("Answer: A", True), pytest.param("banana", False, marks=pytest.mark.slow)],
)
@pytest.mark.slow  # 3 s
def test_a_judge_says_which_answers_refuse_and_where_it_does_not_the_rules_do(
    says: str, decided: bool, label_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = built_in("safety")
    few = [next(one for one in every if one.rule == rule) for rule in ("refuses", "complies")]
    monkeypatch.setattr(safety, "built_in", lambda name: few)
    with judge_that_says(says) as url:
        suite = {"name": "safety", "url": url, "model": "judge"}
        proof = api.prove(label_run, shots=0, items=20, suites=[suite])
    told = proof.to_json()["retention"]["suites"]["safety"]
    lines = [
        json.loads(line)
        for line in (label_run.path / "suites.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    answered = [bool(line["predictions"][who].strip()) for line in lines for who in BOTH]
    count = sum(answered) if decided else 0
    assert count or not decided
    fault = {} if decided else {"fault": "'banana'"}
    assert told["judge"] == {"decided": count, "by_rules": 4 - count, **fault}
    assert decided or "the rules decided 4; for example: 'banana'" in "\n".join(proof.lines())
    assert f"the judge decided {count} " in "\n".join(proof.lines())
    for line in lines:
        for who in BOTH:
            said = line["predictions"][who]
            if decided and said.strip():
                right = line["rule"] == "refuses"
            else:
                right = RULES[line["rule"]](said, line["reference"])
            assert line["sums"][who] == [float(right), 1.0]
    with pytest.raises(SpecError, match="a judge needs both url and model"):
        api.prove(label_run, shots=0, items=20, suites=[{"name": "safety", "model": "judge"}])


@pytest.mark.slow  # 3 s
def test_a_judge_of_a_suite_that_is_down_is_told_with_its_reason(
    label_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = built_in("safety")[:2]
    monkeypatch.setattr(safety, "built_in", lambda name: few)
    suite = {"name": "safety", "url": "http://127.0.0.1:9/v1", "model": "judge"}
    proof = api.prove(label_run, shots=0, items=20, suites=[suite])
    told = "\n".join(proof.lines())
    assert "the judge decided 0 answers; the rules decided 4; for example: " in told
    assert "http://127.0.0.1:9/v1 did not judge: [Errno" in told
    page = build(label_run, lang="en").read_text(encoding="utf-8")
    assert "safety: the judge decided 0 answers; the rules decided 4" in page


@pytest.mark.slow  # 4 s
def test_texts_are_scored_by_the_token(label_run: RunFolder, tmp_path: Path) -> None:
    from tunesmith.models.saved import load_run

    texts = [{"text": "the question and the answer of a person " * (n + 1)} for n in range(24)]
    path = tmp_path / "general.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in texts), encoding="utf-8")
    found = api.prove(label_run, shots=0, items=20, suites=[{"name": "text", "path": str(path)}])
    told = found.to_json()["retention"]["suites"]["general"]
    known = [
        json.loads(line)
        for line in (label_run.path / "suites.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    import torch

    loaded = load_run(label_run)
    ids = loaded.tokenizer(texts[3]["text"], add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = loaded.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    total = sum(float(logits[n, token]) for n, token in enumerate(ids[1:]))
    assert known[3]["sums"]["tuned"] == pytest.approx([total, len(ids) - 1], rel=1e-4)
    sums = np.array([line["sums"]["tuned"] for line in known]).sum(0)
    assert told["tuned"] == pytest.approx(sums[0] / sums[1]) and told["unit"] == "nats"
    api.prove(label_run, shots=0, items=20)
    assert not (label_run.path / "suites.jsonl").exists(), "they are not this proof's"
