"""Small files that were once read wrongly, and what is right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import SHARED_DATA
from material.chat_templates import byte_level
from material.prepared_rows import prepared, written
from tunesmith.api import check
from tunesmith.data.find import held_part
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.errors import DataError, SpecError
from tunesmith.settings.run import validate

CASES = SHARED_DATA.parent / "cases"


def case(name: str) -> Path:
    if not (CASES / name).exists():
        pytest.skip(f"there is no {CASES / name}")
    return CASES / name


def learned(found: Prepared) -> list[str]:
    """The trained text of each row."""
    return [
        "".join(
            found.render.tokenizer.decode([int(token)])
            for one in item.tokens
            for token, weight in zip(one.ids_T, one.weights_T, strict=True)
            if weight
        )
        for item in found.train
    ]


def notes(found: Prepared) -> str:
    return "\n".join(found.ledger.notes)


def chat(*turns: Any) -> dict[str, Any]:
    who = ["user", "assistant"]
    return {
        "messages": [
            {"role": who[n % 2], **(turn if isinstance(turn, dict) else {"content": turn})}
            for n, turn in enumerate(turns)
        ]
    }


@pytest.mark.parametrize(
    ("word", "trained"),
    [
        *((word, True) for word in ("true", "True", "yes", "1", 1, True, 1.0)),
        *((word, False) for word in ("false", "False", "NO", "0", 0, False)),
    ],
)
@pytest.mark.parametrize("key", ["loss", "train"])
def test_words_for_yes_and_no_are_read(tmp_path: Path, word: Any, trained: bool, key: str) -> None:
    rows = [chat("a", {"content": "one", key: word}, "b", "two"), chat("c", "three")]
    found = prepared(written(tmp_path / "rows.jsonl", rows))
    assert ("one" in learned(found)[0]) == trained and "two" in learned(found)[0]


def test_another_word_is_an_error_with_its_place(tmp_path: Path) -> None:
    rows = [chat("a", "b"), chat("a", {"content": "one", "loss": "perhaps"})]
    with pytest.raises(DataError, match=r"rows.jsonl:2:messages\[1\]\.loss.*perhaps"):
        prepared(written(tmp_path / "rows.jsonl", rows))


def test_turns_that_say_no_in_words_are_context() -> None:
    answers = [
        text.split("<|im_end|>")[:-1] for text in learned(prepared(case("turn_loss_words.jsonl")))
    ]
    alone = [["eight"], ["four"], ["six"], ["ten"], ["two"]]
    assert sorted(answers) == sorted([*alone, ["eleven", "twelve"]])


def test_an_answer_without_a_word_is_context_and_an_empty_end_alone_is_cut(tmp_path: Path) -> None:
    rows = [chat("a", "", "b", "two"), chat("c", "three", "d", "  "), chat("e", "")]
    rows.append({"messages": [{"role": "system", "content": " "}, *chat("f", "six")["messages"]]})
    found = prepared(written(tmp_path / "rows.jsonl", rows))
    assert learned(found) == ["two<|im_end|>", "three<|im_end|>", "six<|im_end|>"]
    assert found.ledger.reasons() == {"no answer": 1}
    text = found.render.tokenizer.decode(found.train[2].tokens[0].ids_T.tolist())
    assert "system" not in text
    assert "earlier answer is empty" in notes(found) and "ends with an empty answer" in notes(found)
    assert prepared(case("empty_last_reply.jsonl")).ledger.trained == 30


def test_a_pair_whose_last_answer_is_empty_is_not_compared_by_an_earlier_one(
    tmp_path: Path,
) -> None:
    start = chat("a", "b", "c")["messages"]
    good, bad = ([*start, {"role": "assistant", "content": text}] for text in ("good", ""))
    rows = [{"chosen": good, "rejected": bad}, {"prompt": "q", "chosen": "x", "rejected": "y"}]
    rows[1] = {"chosen": chat("q", "x")["messages"], "rejected": chat("q", "y")["messages"]}
    rows += [
        {"chosen": chat("q", f"{n}")["messages"], "rejected": chat("q", "y")["messages"]}
        for n in range(3)
    ]
    found = prepared(written(tmp_path / "rows.jsonl", rows), "dpo")
    assert found.ledger.reasons() == {"no answer": 1}


@pytest.mark.parametrize("reasoning", ["drop", "think", "plain"])
def test_a_block_of_thinking_in_the_text_is_the_reasoning(tmp_path: Path, reasoning: str) -> None:
    rows = [chat("a", "<think>\nhm one\n</think>\n\nfirst"), {"instruction": "b", "output": "c"}]
    rows[1] = chat("b", "<think></think>second")
    found = prepared(written(tmp_path / "rows.jsonl", rows), reasoning=reasoning)
    first, second = learned(found)
    assert first.endswith("first<|im_end|>") and second == "second<|im_end|>"
    assert ("hm one" in first) == (reasoning != "drop")
    assert first.count("<think>") == (reasoning == "think")
    assert "begins with <think>" in notes(found)


def test_alpaca_answers_are_read_so_as_well(tmp_path: Path) -> None:
    rows = [{"instruction": "a", "output": "<think>hm</think>yes"}] * 2
    found = prepared(written(tmp_path / "rows.jsonl", rows), reasoning="drop")
    assert learned(found) == ["yes<|im_end|>"]


def test_reasoning_that_is_dropped_and_written_by_the_template_is_refused(tmp_path: Path) -> None:
    rows = [{"question": "a", "reasoning": "hm", "answer": "yes"}]
    with pytest.raises(SpecError, match=r"data.reasoning: .*template"):
        prepared(
            written(tmp_path / "rows.jsonl", rows),
            reasoning="drop",
            template="{question} {reasoning} {answer}",
        )


def test_a_header_that_the_template_always_writes_is_asked_and_not_learned(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] "
        "+ '<|im_end|>\n' }}{% endfor %}"
    )
    tokenizer = byte_level(template, "<|im_end|>")
    asked = {"model": "m", "out": "o", "data": {"path": "", "held_out": 0}}
    asked["data"]["path"] = str(written(tmp_path / "rows.jsonl", [chat("a", "b", "c", "d")]))
    found = prepare(validate(asked), tokenizer)
    assert learned(found) == ["b<|im_end|>d<|im_end|>"]


def test_what_is_odd_about_pairs_is_said(tmp_path: Path) -> None:
    assert "opposite of another" in notes(prepared(case("pairs_swapped.jsonl"), "dpo"))
    found = prepared(case("pairs_with_prompt.jsonl"), "dpo")
    assert "6 rows repeat the question" in notes(found)
    pair = {"prompt": "which?", "chosen": "this", "rejected": "that"}
    scores = [(3, 1), (1, 1), (1, 3), ("2", "4")]
    rows = [
        {**pair, "prompt": f"which {n}?", "score_chosen": good, "score_rejected": bad}
        for n, (good, bad) in enumerate(scores)
    ]
    found = prepared(written(tmp_path / "rows.jsonl", rows), "dpo")
    assert "2 pairs have a higher score for the rejected" in notes(found)
    assert "1 pair has the same score" in notes(found)
    assert "not used" not in notes(found), "the scores are compared"
    quiet = prepared(written(tmp_path / "quiet.jsonl", rows[:1]), "dpo")
    assert "pair" not in notes(quiet)


def test_a_margin_that_is_no_finite_number_is_an_error_with_its_row() -> None:
    with pytest.raises(DataError, match=r"margin_nan.jsonl:8:margin.*nan"):
        prepared(case("margin_nan.jsonl"), "dpo")


def test_judgements_of_one_kind_are_warned_of(tmp_path: Path) -> None:
    assert "All 8 rows are judged good" in notes(prepared(case("kto_one_kind.jsonl"), "kto"))
    rows = [{"prompt": f"q{n}", "completion": "a", "label": n % 2 == 0} for n in range(6)]
    rows.append({"prompt": "q1", "completion": "a", "label": True})
    found = prepared(written(tmp_path / "rows.jsonl", rows), "kto")
    assert "judged good in one row and bad in another" in notes(found)
    assert "All" not in notes(found)


def test_labels_made_of_others_are_said_and_split_where_asked() -> None:
    found = prepared(case("labels_comma.jsonl"), "classify")
    assert "objective.split_labels=','" in notes(found)
    split = prepared(case("labels_comma.jsonl"), {"name": "classify", "split_labels": ","})
    assert split.objective.classes.names == ("a", "b", "c")
    assert split.objective.classes.problem == "multi_label_classification"
    assert "objective.split_labels" not in notes(split)


def labelled(path: Path, labels: Sequence[Any]) -> Path:
    words = ["red", "green", "blue", "black", "white", "brown", "grey", "pink"]
    rows = [
        {"text": f"{words[n % 8]} {n} {words[n // 8 % 8]} {n * 7919}", "label": label}
        for n, label in enumerate(labels)
    ]
    return written(path, rows)


def test_a_list_as_a_table_writes_it_is_several_labels(tmp_path: Path) -> None:
    found = prepared(labelled(tmp_path / "a.jsonl", ["['x', 'y']", "['y']", "[]"] * 4), "classify")
    assert found.objective.classes.names == ("x", "y")


def test_labels_that_differ_in_case_alone_are_said(tmp_path: Path) -> None:
    found = prepared(labelled(tmp_path / "a.jsonl", ["Good", "good", "bad"] * 4), "classify")
    assert "'Good', 'good' differ only in letter case" in notes(found)
    found = prepared(labelled(tmp_path / "b.jsonl", ["A级", "Ａ级", "B级"] * 4), "classify")
    assert "'A级', 'Ａ级' differ only in letter case, width or spaces" in notes(found)


@pytest.mark.parametrize(
    ("labels", "said"), [(["a", "b", "a b"], True), (["good", "not good", "bad"], False)]
)
def test_labels_that_spaces_join_are_said(tmp_path: Path, labels: list[str], said: bool) -> None:
    found = prepared(labelled(tmp_path / "a.jsonl", labels * 4), "classify")
    assert ("objective.split_labels=' '" in notes(found)) is said


@pytest.mark.parametrize(
    ("labels", "said"), [([0, 1, 2, -1], True), (["yes", "no", -1], True), ([-1, 0, 1], False)]
)
def test_a_label_of_minus_one_may_be_none(tmp_path: Path, labels: list[Any], said: bool) -> None:
    found = prepared(labelled(tmp_path / "a.jsonl", labels * 4), "classify")
    assert ("4 rows have the label -1" in notes(found)) is said


def test_every_class_has_its_share_of_the_held_out_rows(tmp_path: Path) -> None:
    labels = ["often"] * 300 + ["seldom"] * 100 + ["once"]
    path = labelled(tmp_path / "a.jsonl", labels)
    held = prepared(path, "classify", held_out=0.1)
    counts = [
        sum(item.example.labels == (name,) for item in (*held.watch, *held.proof))
        for name in ("often", "seldom", "once")
    ]
    assert counts == [30, 10, 0]
    drawn = prepared(path, {"name": "classify", "stratify": False}, held_out=0.1)
    assert {item.id for item in held.proof} != {item.id for item in drawn.proof}


def test_a_class_without_a_training_row_is_said(tmp_path: Path) -> None:
    rows = labelled(tmp_path / "a.jsonl", ["x", "y"] * 6)
    other = labelled(tmp_path / "b.jsonl", ["z"] * 3 + ["x"] * 3)
    found = prepared(rows, "classify", held_out=str(other))
    assert "no training row has the class z" in notes(found)


@pytest.mark.parametrize("written_as", [int, str, bool])
def test_a_column_of_0_and_1_for_each_class_is_read(tmp_path: Path, written_as: Any) -> None:
    flags = [(0, 1), (1, 1), (0, 0)] * 8
    rows = [
        {"id": n, "review": f"text {n * 77}", "toxic": written_as(one), "rude": written_as(other)}
        for n, (one, other) in enumerate(flags)
    ]
    found = prepared(written(tmp_path / "rows.jsonl", rows), "classify")
    assert found.objective.classes.names == ("rude", "toxic")
    assert found.objective.classes.problem == "multi_label_classification"
    given = [item.tokens[0].columns["label"].tolist() for item in found.train]
    assert given[:3] == [[1, 0], [1, 1], [0, 0]] and len(given) == 24


def test_a_number_beside_a_label_is_no_class(tmp_path: Path) -> None:
    rows = [
        {"text": f"text {n * 77}", "label": "xy"[n % 2], "a": n % 2, "b": n % 3 % 2}
        for n in range(24)
    ]
    found = prepared(written(tmp_path / "rows.jsonl", rows), "classify")
    assert found.objective.classes.names == ("x", "y")


def test_one_label_under_another_name_is_found_or_proposed(tmp_path: Path) -> None:
    rows = [{"review": f"text {n * 77}", "verdict": "xy"[n % 2]} for n in range(24)]
    found = prepared(written(tmp_path / "rows.jsonl", rows), "classify")
    assert found.objective.classes.names == ("x", "y")
    with pytest.raises(DataError, match=r"data.columns={text: review, label: verdict}"):
        prepared(written(tmp_path / "few.jsonl", rows[:4]), "classify")


def pair_of(found: Prepared) -> list[str]:
    """The answers of the first pair, the better one first."""
    tokens = found.train[0].tokens
    text = found.render.pieces.text
    return [text(one.ids_T[one.weights_T > 0]).removesuffix("<|im_end|>") for one in tokens]


def test_a_list_of_two_answers_is_proposed_and_read(tmp_path: Path) -> None:
    rows = [{"instruction": f"q{n}", "input": "", "output": ["good", "bad"]} for n in range(6)]
    path = written(tmp_path / "rows.jsonl", rows)
    with pytest.raises(DataError, match=r"data.columns={ranked: output}"):
        prepared(path, "dpo")
    assert pair_of(prepared(path, "dpo", columns={"ranked": "output"})) == ["good", "bad"]
    rows[3]["output"] = ["good", "bad", "worse"]
    with pytest.raises(DataError, match=r"rows.jsonl:4:.*not a list of two answers"):
        prepared(written(path, rows), "dpo", columns={"ranked": "output"})


@pytest.mark.parametrize("better", [1, "1", "good"])
def test_responses_with_the_better_one_named_are_read(tmp_path: Path, better: Any) -> None:
    row = {"responses": ["bad", "good"], "better": better}
    rows = [{"prompt": f"q{n}", **row} for n in range(6)]
    found = prepared(written(tmp_path / "rows.jsonl", rows), "dpo")
    assert pair_of(found) == ["good", "bad"] and "not used" not in notes(found)
    rows[2]["better"] = 7
    with pytest.raises(DataError, match=r"rows.jsonl:3:better: .*names no side"):
        prepared(written(tmp_path / "rows.jsonl", rows), "dpo")


def test_pairs_of_typed_turns_are_read() -> None:
    assert pair_of(prepared(case("typed_pairs.jsonl"), "dpo")) == ["number 0", "no"]


def test_the_rows_of_the_files_are_those_of_the_ledger(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [chat(f"q{n}", "a") for n in range(3)])
    path.write_text(path.read_text("utf-8") + "......\n......\n", "utf-8")
    ledger = prepared(path).ledger
    assert ledger.files[0]["rows"] == ledger.rows == 5


@pytest.mark.slow  # 4 s
def test_a_test_part_of_a_file_is_held_out() -> None:
    path = case("nested_split.json")
    assert held_part(str(path)) == f"{path}#test"
    whole = json.loads(path.read_text("utf-8"))
    found = prepared(path, held_out=f"{path}#test")
    assert len(found.train) == len(whole["train"])
    assert len(found.watch) + len(found.proof) == len(whole["test"])
    assert "'test' of its own" in notes(found)
    with pytest.raises(DataError, match=r"no part 'nope'.*train, test"):
        prepared(path, held_out=f"{path}#nope")
    told = check({"data": str(path)}).ledger
    assert (told.trained, told.watch + told.proof) == (len(whole["train"]), len(whole["test"]))
    drawn = check({"data": {"path": str(path), "held_out": 0}}).ledger
    assert (drawn.trained, drawn.proof) == (len(whole["train"]), 0)


@pytest.mark.parametrize("names", [("train/a.jsonl", "test/a.jsonl"), ("train.jsonl", "dev.jsonl")])
def test_a_test_part_of_a_folder_is_held_out_and_never_trained(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    for place, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path / name, [chat(f"q{place}{n}", "a") for n in range(9 - place)])
    told = check({"data": str(tmp_path)}).ledger
    assert (told.trained, told.watch + told.proof) == (9, 8)
    assert any(f"not trained: {names[1]}" in note for note in told.notes)
    (tmp_path / names[0]).unlink()
    assert held_part(str(tmp_path)) is None
