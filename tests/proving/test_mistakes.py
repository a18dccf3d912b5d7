"""Error analysis: slices with a planted weakness are found and others are not, clusters are named by
their words, and all of it follows from items.jsonl.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any

import numpy as np
import pytest

from material.proved import labelled
from tunesmith import api, words
from tunesmith.data.items import Item
from tunesmith.examples import Labelled
from tunesmith.proving.clusters import clusters
from tunesmith.proving.collect import targets
from tunesmith.proving.mistakes import mistakes
from tunesmith.proving.mistakes_text import mistake_lines
from tunesmith.proving.row_traits import slices_of, traits, values_of
from tunesmith.proving.slices import slice_of


def line(number: int, tuned: float, base: float, **more: Any) -> dict[str, Any]:
    return {
        "id": f"rows.json:{number}",
        "prompt": "one two three",
        "reference": f"answer {number}",
        "choices": {},
        "scores": {"tuned": {"exact_match": tuned}, "base": {"exact_match": base}},
        **more,
    }


def planted(seed: int = 0, rows: int = 300) -> list[dict[str, Any]]:
    """Right 9 times in 10, but half of the rows on refunds, of which the base got all right."""
    draw = random.Random(seed)
    found = []
    for number in range(rows):
        refund = number % 5 == 0
        tuned = float(draw.random() < (0.4 if refund else 0.95))
        base = 1.0 if refund else float(draw.random() < 0.5)
        topics = {"topic": "refund" if refund else draw.choice(["order", "account"])}
        prompt = "please refund my money" if refund else "where is parcel " + "x" * (number % 7)
        found.append(line(number, tuned, base, columns=topics, prompt=prompt))
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    analysed = mistakes(planted(), "exact_match", "base", seed=0)
    assert analysed is not None
    return analysed


def test_rows_are_counted_and_the_worst_regressions_come_first(found):
    items = planted()
    change = [
        one["scores"]["tuned"]["exact_match"] - one["scores"]["base"]["exact_match"]
        for one in items
    ]
    assert (found["wins"], found["losses"], found["ties"]) == (
        sum(by > 0 for by in change),
        sum(by < 0 for by in change),
        sum(by == 0 for by in change),
    )
    first = [items[i]["id"] for i in range(len(items)) if change[i] < 0][:10]
    assert [one["id"] for one in found["regressions"]] == first


def test_the_planted_slice_is_weaker_and_worse_than_before_and_no_other(found):
    items = planted()
    inside = np.array([one["columns"]["topic"] == "refund" for one in items])
    tuned = np.array([one["scores"]["tuned"]["exact_match"] for one in items])
    named = {slice_of(one).says: one for one in found["slices"]}
    weak = named["topic = refund"]
    assert weak["rows"] == 60 and weak["tuned"] == pytest.approx(tuned[inside].mean())
    assert weak["weaker"]["difference"] == pytest.approx(
        tuned[inside].mean() - tuned[~inside].mean()
    )
    assert weak["weaker"]["interval"] == "score", "of single rows that are right or wrong"
    assert weak["weaker"]["verdict"] == "weaker" and weak["gain"]["verdict"] == "worse"
    others = [
        one for name, one in named.items() if name != "topic = refund" and "length" not in name
    ]
    assert {one["weaker"]["verdict"] for one in others} == {"not shown"}
    assert {one["gain"]["verdict"] for one in others} == {"improved"}
    assert found["by_chance"] == pytest.approx(0.025 * len(found["slices"]))


def test_wrong_answers_are_named_by_their_words_and_collected(found):
    assert {"refund", "money"} <= {*found["clusters"][0]["words"]}
    kinds = targets(found)
    assert kinds[0]["target"] == "topic = refund" and kinds[0]["why"] == "weaker"
    assert any(kind["why"] == "wrong answers" and "refund" in kind["words"] for kind in kinds)


def test_slices_of_the_same_rows_are_one_and_a_slice_is_never_all():
    items = [line(n, 1, 1, columns={"a": n % 2, "b": f"{n % 2}", "c": "same"}) for n in range(40)]
    assert [one.says for one in slices_of(items)] == ["a = 0", "a = 1"]


def test_numbers_of_many_values_are_cut_in_three_and_each_row_is_in_one():
    items = [line(n, 1, 1, columns={"age": n / 10}) for n in range(90)]
    cut = [one for one in slices_of(items) if one.by == "age"]
    member = [[one.holds(values_of(row)) for one in cut] for row in items]
    assert (
        np.array(member).sum(0).tolist() == [30, 30, 30]
        and np.array(member).sum(1).tolist() == [1] * 90
    )


def test_too_few_rows_of_a_slice_or_outside_it_are_not_compared():
    items = [line(n, n % 2, 1, columns={"kind": "rare" if n < 12 else "usual"}) for n in range(100)]
    analysed = mistakes(items, "exact_match", "base", seed=0)
    assert analysed is not None
    assert analysed["slices"] == [] and analysed["too_small"] == 2
    assert not any("None" in text for text in mistake_lines(analysed, "the base"))


def test_rows_of_a_group_are_drawn_together():
    """Ten copies of each row tell no more than two."""
    draw = random.Random(3)
    rows = [(n % 2, float(draw.random() < (0.5 if n % 2 else 0.75))) for n in range(60)]

    def copied(times: int) -> list[dict[str, Any]]:
        return [
            line(10 * n + copy, right, 1, columns={"kind": kind}, group=str(n))
            for n, (kind, right) in enumerate(rows)
            for copy in range(times)
        ]

    twice, often = (mistakes(copied(times), "exact_match", "base", seed=0) for times in (2, 10))
    assert twice is not None and often is not None and twice["slices"]
    for one, other in zip(twice["slices"], often["slices"], strict=True):
        assert one["weaker"]["interval"] == "bootstrap"
        assert one["weaker"]["low"] == pytest.approx(other["weaker"]["low"])


def test_a_metric_where_less_is_better_turns_the_signs():
    items = planted()
    for one in items:
        for who in ("tuned", "base"):
            one["scores"][who] = {"nll": 1 - one["scores"][who]["exact_match"]}
    found = mistakes(items, "nll", "base", seed=0)
    assert found is not None
    named = {slice_of(one).says: one for one in found["slices"]}
    assert named["topic = refund"]["weaker"]["verdict"] == "weaker"
    assert named["topic = refund"]["gain"]["verdict"] == "worse"


def test_chinese_clusters_are_named_by_whole_words():
    draw = random.Random(0)
    filler = "的一是在不了有和人这中大为上个国我以要他"

    def said(core: str) -> str:
        return core + "".join(draw.sample(filler, 6))

    wrong = [said("糖尿病怎么控制") for _ in range(20)] + [said("退款多久到账") for _ in range(20)]
    good = [said("今天天气") for _ in range(40)]
    found = clusters(wrong, good, seed=0)
    assert len(found) == 2 and {len(one["members"]) for one in found} == {20}
    assert {one["words"][0] for one in found} == {"糖尿病怎", "退款多久"}
    assert all(one["wrong"] == 20 and one["good"] == 0 for one in found)


def test_questions_without_a_common_word_make_no_cluster():
    draw = random.Random(1)
    texts = [
        " ".join("".join(draw.choices("abcdefghij", k=6)) for _ in range(5)) for _ in range(80)
    ]
    assert clusters(texts[:40], texts[40:], seed=0) == []


def test_a_word_of_half_of_all_questions_names_no_wrong_answers():
    draw = random.Random(2)

    def asked(core: str) -> str:
        return f"{core} {' '.join(''.join(draw.choices('abcdefghij', k=6)) for _ in range(3))}"

    half = [asked("where is the thing of the") for _ in range(20)] + [asked("") for _ in range(20)]
    assert clusters(half, half, seed=0) == []
    alone = clusters(half, [asked("") for _ in range(40)], seed=0)
    assert [one["members"] for one in alone] == [list(range(20))] and "the" in alone[0]["words"]


def test_a_proof_says_where_the_run_is_weak_and_what_to_collect(label_run, tmp_path):
    """Asked rows of which a third, those about numbers, speak of something else every other time."""
    words.use("en")
    rows = labelled(900)[400:]
    for n, row in enumerate(rows):
        if row["output"] == "number" and n % 2:
            row["instruction"] = re.sub("one|two|six", "cat", row["instruction"])
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps(rows), encoding="utf-8")
    proof = api.prove(label_run, shots=0, items=150, data=str(asked))
    found, place = proof.found, label_run.path / "proofs" / "asked"
    told = {slice_of(one).says: one for one in found["mistakes"]["slices"]}
    assert told["label = number"]["weaker"]["verdict"] == "weaker"
    items = [json.loads(text) for text in (place / "items.jsonl").read_text().splitlines()]
    again = mistakes(items, found["primary"], found["against"], seed=found["seed"])
    assert again == {key: value for key, value in found["mistakes"].items() if key != "collect"}
    wanted = [json.loads(text) for text in (place / "collect.jsonl").read_text().splitlines()]
    collect = next(one for one in wanted if one["target"] == "label = number")
    assert collect["rows"] == collect["trained"] > 20 and len(collect["like"]) == 5
    for one in collect["like"]:
        assert one["row"]["output"] == "number" and one["id"].startswith("rows.json:")
    text = "\n".join(proof.lines())
    assert "label = number" in text and "collect.jsonl" in text
    wrong = [item["choices"]["tuned"] != item["reference"] for item in items]
    assert sum(one["rows"] for one in found["mistakes"]["confusions"]) == sum(wrong)


def test_an_id_is_no_trait_of_a_row():
    items = [
        Item(
            f"a:{n}",
            (),
            Labelled("x", None, ("a",), {"id": n, "age": 20.5 + n, "name": f"n{n}", "kind": n % 3}),
        )
        for n in range(30)
    ]
    assert traits(items)["a:4"]["columns"] == {"age": 24.5, "kind": 1}
