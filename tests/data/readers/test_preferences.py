"""Preference pairs and judged answers: every form a file may have, and what becomes of a pair on
its way to a model.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.batches.batch import Tokens
from tunesmith.data.check import of
from tunesmith.data.columns.finishing import finished
from tunesmith.data.lengths import truncate_row
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.data.readers import READERS
from tunesmith.data.reading import examples
from tunesmith.errors import DataError
from tunesmith.examples import Feedback, Preference
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.settings.run import Data, validate

ASKED = [("user", "Hi")]
SIDES = (("assistant", "good"), ("assistant", "bad"))
OPENAI = [{"role": "user", "content": "Hi"}]
SHAREGPT = [{"from": "human", "value": "Hi"}]
HUMAN = "\n\nHuman: Hi\n\nAssistant: "


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def told(turns: Any) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in turns]


PAIRS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "texts": ({"prompt": "Hi", "chosen": "good", "rejected": "bad"}, ASKED),
    "question": (
        {"question": "Hi", "chosen": ["good"], "rejected": "bad", "system": "s"},
        [("system", "s"), *ASKED],
    ),
    "alpaca": (
        {"instruction": "Say", "input": "it", "chosen": "good", "rejected": "bad"},
        [("user", "Say\n\nit")],
    ),
    "turns": (
        {
            "prompt": OPENAI,
            "chosen": [said("assistant", "good")],
            "rejected": [said("assistant", "bad")],
        },
        ASKED,
    ),
    "sharegpt": (
        {
            "conversations": SHAREGPT,
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
        },
        ASKED,
    ),
    "sharegpt with texts": (
        {"conversations": SHAREGPT, "chosen": "good", "rejected": "bad"},
        ASKED,
    ),
    "whole": (
        {
            "chosen": [*OPENAI, said("assistant", "good")],
            "rejected": [*OPENAI, said("assistant", "bad")],
        },
        ASKED,
    ),
    "whole, and the prompt": (
        {
            "prompt": "Hi",
            "chosen": [*OPENAI, said("assistant", "good")],
            "rejected": [*OPENAI, said("assistant", "bad")],
        },
        ASKED,
    ),
    "whole, as texts": ({"chosen": HUMAN + "good", "rejected": HUMAN + "bad"}, ASKED),
    "messages with a rejected response": (
        {"messages": [*OPENAI, said("assistant", "good")], "rejected_response": "bad"},
        ASKED,
    ),
    "query with a rejected response": (
        {"query": "Hi", "response": "good", "rejected_response": "bad"},
        ASKED,
    ),
    "history": (
        {"prompt": "Hi", "history": [["a", "b"]], "chosen": "good", "rejected": "bad"},
        [("user", "a"), ("assistant", "b"), *ASKED],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_every_form_of_a_pair_is_read(name: str, tmp_path: Path) -> None:
    row, asked = PAIRS[name]
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([row]), encoding="utf-8")
    ((_, pair),) = examples(Data(path=str(path)))
    assert isinstance(pair, Preference) and told(pair.prompt.turns) == asked
    assert (*told(pair.chosen), *told(pair.rejected)) == SIDES


def test_a_margin_is_a_number_and_an_answer_of_several_turns_stays_whole() -> None:
    read = READERS.get("preference")().read
    assert read({"prompt": "Hi", "chosen": "a", "rejected": "b", "margin": 2}).margin == 2.0
    with pytest.raises(DataError, match="margin: is not a number: much"):
        read({"prompt": "Hi", "chosen": "a", "rejected": "b", "margin": "much"})
    longer = [*OPENAI, said("assistant", "a"), said("user", "b"), said("assistant", "c")]
    pair, _ = finished(read({"chosen": longer, "rejected": [*OPENAI, said("assistant", "d")]}))
    assert (
        isinstance(pair, Preference)
        and len(pair.chosen) == 3
        and told(pair.rejected) == [("assistant", "d")]
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "Hi", "chosen": "same", "rejected": "same"}, "same answers"),
        ({"prompt": "Hi", "chosen": "a", "rejected": ""}, "no answer"),
        ({"prompt": "", "chosen": "a", "rejected": "b"}, "no question"),
        (
            {
                "chosen": [*OPENAI, said("assistant", "a")],
                "rejected": [said("user", "Ho"), said("assistant", "a")],
            },
            "no common question",
        ),
    ],
)
def test_a_pair_that_teaches_nothing_is_dropped_with_its_reason(
    row: dict[str, Any], reason: str
) -> None:
    assert finished(READERS.get("preference")().read(row))[0] == reason


JUDGED = [
    {"messages": [*OPENAI, said("assistant", "good")], "label": True},
    {"conversations": [*SHAREGPT, {"from": "gpt", "value": "good"}], "label": "true"},
    {"prompt": "Hi", "completion": "good", "label": True},
    {"prompt": OPENAI, "completion": [said("assistant", "good")], "label": True},
    {"instruction": "Hi", "input": "", "output": "good", "kto_tag": 1},
    {"question": "Hi", "answer": "good", "kto_tag": "True"},
]


@pytest.mark.parametrize("row", JUDGED, ids=lambda row: "-".join(row))
def test_every_form_of_a_judged_answer_is_read(row: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "judged.json"
    path.write_text(
        json.dumps(
            [row, {name: False if name in ("label", "kto_tag") else row[name] for name in row}]
        ),
        "utf-8",
    )
    found = [example for _, example in examples(Data(path=str(path)))]
    assert [one.desirable for one in found if isinstance(one, Feedback)] == [True, False]
    assert all(
        told(one.chat.turns) == [*ASKED, SIDES[0]] for one in found if isinstance(one, Feedback)
    )


def test_a_label_that_is_no_truth_value_is_an_error() -> None:
    with pytest.raises(DataError, match="kto_tag: does not say whether the answer is good: maybe"):
        READERS.get("feedback")().read({"prompt": "Hi", "completion": "good", "kto_tag": "maybe"})


REAL = {
    "dpo_en/dpo_en_demo.json": 160,
    "dpo_zh/dpo_zh_demo.json": 200,
    "reward_zh/dpo_zh_500.jsonl": 299,
    "reward_stackexchange_en/stack_exchange_paired_tiny.json": 25,
}


@pytest.mark.parametrize("name", REAL)
def test_real_pairs_are_read(name: str, shared_data: Path) -> None:
    data = Data(path=str(shared_data / name))
    if "stack_exchange" in name:
        with pytest.raises(DataError) as caught:
            examples(data)
        line = "data.columns: {prompt: question, chosen: response_j, rejected: response_k}"
        assert str(caught.value).endswith(line)
        data = data.model_copy(
            update={
                "columns": {"prompt": "question", "chosen": "response_j", "rejected": "response_k"}
            }
        )
    reading = examples(data)
    found = [example for _, example in reading]
    assert len(found) + len(reading.dropped) == REAL[name] and len(found) > 0.95 * REAL[name]
    assert all(isinstance(one, Preference) and one.prompt.turns[-1].role == "user" for one in found)


def test_real_judged_answers_are_read(shared_data: Path) -> None:
    found = [
        example for _, example in examples(Data(path=str(shared_data / "kto_en/kto_en_demo.json")))
    ]
    assert Counter(one.desirable for one in found if isinstance(one, Feedback)) == {
        True: 107,
        False: 93,
    }


def prepared(rows: list[dict[str, Any]], folder: Path, model: Path, **settings: Any) -> Prepared:
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    objective = settings.pop("objective", "dpo")
    data = {"path": str(path), "held_out": 0, **settings}
    run = validate(
        {"model": str(model), "data": data, "objective": objective, "out": str(folder / "run")}
    )
    return prepare(run, load_tokenizer(model))


def test_a_pair_is_one_row_whose_sides_share_their_prompt(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": f"How far is it to number {n}?", "chosen": f"{n} km", "rejected": "I don't know"}
        for n in range(4)
    ]
    made = prepared([*rows, rows[0], {**rows[1], "chosen": "2 km, I think"}], tmp_path, tiny_llama)
    assert (
        made.ledger.rows == 6 and made.ledger.reasons() == {"duplicate": 1} and len(made.train) == 5
    )
    for item in made.train:
        chosen, rejected = item.tokens
        assert [one.columns["side"] for one in item.tokens] == [0, 1]
        first = int(np.argmax(chosen.weights_T != 0))
        assert (
            np.array_equal(chosen.ids_T[:first], rejected.ids_T[:first])
            and int(np.argmax(rejected.weights_T != 0)) == first
        )
        stop = made.render.stop_ids[0]
        assert (
            chosen.ids_T[chosen.weights_T != 0][-1]
            == rejected.ids_T[rejected.weights_T != 0][-1]
            == stop
        )
    shown = of(made).to_json()["samples"]
    assert [sample["id"] for sample in shown[:2]] == [
        "rows.json:1  chosen",
        "rows.json:1  rejected",
    ]
    trained = [sample["text"][slice(*sample["trained"][0])] for sample in shown[:2]]
    assert trained == ["0 km<|im_end|>", "I don't know<|im_end|>"]


def test_the_same_answer_judged_otherwise_is_no_copy_and_stays_on_its_side(
    tiny_llama: Path, tmp_path: Path
) -> None:
    rows = [
        {
            "prompt": f"Which city is number {n % 20}?",
            "completion": f"City {n % 20}.",
            "label": n < 20,
        }
        for n in range(40)
    ]
    made = prepared(rows, tmp_path, tiny_llama, held_out=10, objective="kto")
    assert made.ledger.reasons() == {} and len(made.ledger.near) >= 20
    held = {item.id for item in [*made.watch, *made.proof]}
    numbers = Counter(int(name.split(":")[1]) % 20 for name in held)
    assert set(numbers.values()) == {2}, "an answer and its twin are held out together"
    assert {one.columns["desirable"] for item in made.train for one in item.tokens} == {0, 1}


def test_a_user_s_own_format_fits_both_sides(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "Hi", "chosen": "good", "rejected": "bad"}]
    for template in ("Q: {prompt}\nA: {chosen}", "Q: {question}\nA: {answer}"):
        made = prepared(rows, tmp_path, tiny_llama, template=template)
        texts = [made.render.pieces.text(one.ids_T) for one in made.train[0].tokens]
        assert texts == ["Q: Hi\nA: good<|im_end|>", "Q: Hi\nA: bad<|im_end|>"]
        assert [one.scored for one in made.train[0].tokens] == [
            len(made.render.pieces.more(t)) + 1 for t in ("good", "bad")
        ]


def test_truncation_keeps_the_prompt_of_a_pair_common() -> None:
    def side(answer: int, number: int) -> Tokens:
        ids = np.arange(20 + answer, dtype=np.int32) + 100
        ids[20:] += 1000 * number
        return Tokens(
            ids, np.r_[np.zeros(20), np.ones(answer)].astype(np.float32), {"side": number}
        )

    for lengths in ((4, 9), (9, 4), (2, 30)):
        cut = truncate_row([side(length, n) for n, length in enumerate(lengths)], 20)
        prompts = [one.ids_T[one.weights_T == 0].tolist() for one in cut]
        assert prompts[0] == prompts[1] == list(range(120 - len(prompts[0]), 120)) and prompts[0]
        assert max(map(len, cut)) <= 20
        assert all(
            one.scored == min(length, 20 - len(prompts[0]))
            for one, length in zip(cut, lengths, strict=True)
        )
    whole = [side(4, 0), side(5, 1)]
    assert truncate_row(whole, 30) == tuple(whole)


@pytest.mark.parametrize(
    ("objective", "row", "text"),
    [
        (
            "sft",
            {"prompt": "a", "chosen": "b", "rejected": "c"},
            ("these rows are preference pairs: use objective=.*dpo"),
        ),
        (
            "dpo",
            {"prompt": "a", "completion": "b"},
            ("use objective=sft .*, or, for objective=dpo, give rows with a prompt"),
        ),
        (
            "dpo",
            {"prompt": "a", "completion": "b", "label": True},
            ("rows are answers judged one by one: use objective=kto"),
        ),
    ],
)
def test_rows_that_do_not_fit_name_the_two_ways_out(
    objective: str, row: dict[str, Any], text: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=text):
        prepared([row], tmp_path, tiny_llama, objective=objective)


@pytest.mark.parametrize("margin", ["nan", "inf", "-Infinity"])
def test_a_margin_that_is_no_finite_number_is_refused(margin: str) -> None:
    with pytest.raises(DataError, match="margin: is not a number"):
        READERS.get("preference")().read(
            {"prompt": "Hi", "chosen": "a", "rejected": "b", "margin": margin}
        )


def test_a_margin_that_a_table_left_empty_is_none() -> None:
    row = {"prompt": "Hi", "chosen": "a", "rejected": "b", "margin": float("nan")}
    assert READERS.get("preference")().read(row).margin is None


@pytest.mark.parametrize(
    ("better", "chosen"),
    [
        *((1, "bad"), ("0", "good"), ("B", "bad"), ("model_b", "bad"), ("Response A", "good")),
        *(("second", "bad"), ("回答B", "bad"), ("good", "good"), (1.0, "bad")),
    ],
)
def test_two_answers_in_columns_of_their_own(better: Any, chosen: str) -> None:
    row = {"prompt": "q", "response_0": "good", "response_1": "bad", "better_response_id": better}
    pair = READERS.get("ranked")().read(row)
    assert pair.chosen[0].content == chosen and pair.rejected[0].content != chosen
    with pytest.raises(DataError, match="better_response_id"):
        READERS.get("ranked")().read(row | {"better_response_id": -1})


def test_a_pair_that_its_row_calls_a_tie_is_left_out() -> None:
    row = {"prompt": "q", "answer_a": "good", "answer_b": "bad"}
    assert READERS.get("ranked").matches(frozenset({*row, "preference"}), row)
    left_out = [
        finished(READERS.get("ranked")().read(row | {"preference": said}))[0]
        for said in ("tie", "Tie (bothbad)", "neither")
    ]
    assert left_out == ["tie"] * 3
    pair, _ = finished(READERS.get("ranked")().read(row | {"preference": "A"}))
    assert pair.chosen[0].content == "good"
