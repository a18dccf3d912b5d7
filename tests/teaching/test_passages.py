"""Questions written from passages: what the passage does not support is refused, by an endpoint of
ours and by a tiny model that knows its answers by heart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import tiny_model
from material.teaching_server import Teacher, teaching
from tunesmith import words
from tunesmith.api import change_rows, check
from tunesmith.errors import DataError, SpecError, Stopped
from tunesmith.teaching import passages
from tunesmith.teaching.pairs import pairs_in, share_in, unsupported

ENGLISH = (
    "The pump holds 12 litres of water and is filled once a week. Rinse the filter with warm "
    "water before the first use."
)
CHINESE = "本品每次口服2片，每日3次，饭后服用。孕妇慎用，超过25℃时应放入冰箱保存。服药期间请多喝温水，注意休息。"
SAID = {
    ENGLISH: "Here they are:\n\n**Q1:** How much water does the pump hold?\n**A1:** It holds 12 litres of "
    "water.\nQ: How often is it filled?\nA: Twice a day, every morning by a trained engineer.\n"
    "Q: What does the passage say of the filter?\nA: Rinse it with warm water.\n"
    "3. Q: How warm may the water be?\nA: Up to 60 degrees.",
    CHINESE: "问：本品每次服用多少？\n答：每次口服2片。\n问：超过多少度时放入冰箱？\n答：超过25℃时应放入冰箱保存。\n"
    "问：多少天为一个疗程？\n答：服用14天。",
}


@pytest.fixture(autouse=True)
def english():
    words.use("en")
    yield
    words.use("auto")


def write(path: Path, texts: list[str]) -> str:
    rows = [{"text": text, "document": f"{n}.pdf", "page": n} for n, text in enumerate(texts, 1)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("question", "answer", "passage", "why"),
    [
        ("How much does it hold?", "12 litres", ENGLISH, None),
        ("How much does it hold?", "1,2 litres of water", ENGLISH, "number"),
        ("What holds 13 litres?", "The pump.", ENGLISH, "number"),
        ("What is rinsed?", "The filters are rinsed with warm water.", ENGLISH, None),
        ("What is rinsed?", "A ceramic membrane cleaned by technicians", ENGLISH, "words"),
        ("Is it filled daily?", "No.", ENGLISH, "negation"),
        ("What does this text say?", "Rinse the filter.", ENGLISH, "points"),
        ("每日几次？", "每日3次，饭后服用。", CHINESE, None),
        ("每日几次？", "每日三十次，饭后服用。", CHINESE, "number"),
        ("谁要慎用？", "肝功能受损的老年患者", CHINESE, "words"),
        ("饭前能吃吗？", "不能，应饭后服用。", CHINESE, "negation"),
        ("这段文字说了什么？", "饭后服用。", CHINESE, "points"),
    ],
)
def test_a_pair_rests_on_its_passage(question: str, answer: str, passage: str, why: str | None):
    assert unsupported(question, answer, passage, 0.7) == why


def test_a_share_counts_words_and_pairs_of_characters():
    assert share_in("red boats sail", "two red boats") == 0.5  # boats, not sail; red is short
    assert share_in("饭后喝水", "饭后服用，多喝水") == 2 / 3  # 饭后 and 喝水, not 后喝
    assert share_in("12", "12 boats") == 1.0


def test_pairs_are_read_as_teachers_write_them():
    text = SAID[ENGLISH]
    found = [*pairs_in(text, cut=False)]
    assert found[0] == ("How much water does the pump hold?", "It holds 12 litres of water.")
    assert len(found) == 4 and [*pairs_in(text, cut=True)] == found[:3]
    assert [*pairs_in("1. 问题：甲？\n   答案：乙\n丙。\n", cut=False)] == [("甲？", "乙\n丙。")]
    assert [*pairs_in("A: no question before it\nQ: no answer behind it", cut=False)] == []


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with teaching(monkeypatch, SAID, "I cannot help with that.") as there:
        yield there


def test_an_endpoint_writes_pairs_of_both_languages(tmp_path: Path, endpoint: list[str]) -> None:
    other = "A passage to which the teacher has nothing to say, as long as the shortest one is."
    source = write(tmp_path / "in.jsonl", [ENGLISH, "short", CHINESE, other])
    account = change_rows("questions", source, tmp_path / "out.jsonl", [*endpoint, "shortest=40"])
    made = read(tmp_path / "out.jsonl")
    assert [(row["question"], row["answer"]) for row in made] == [
        ("How much water does the pump hold?", "It holds 12 litres of water."),
        ("本品每次服用多少？", "每次口服2片。"),
        ("超过多少度时放入冰箱？", "超过25℃时应放入冰箱保存。"),
    ]
    assert [row["passage"] for row in made] == [ENGLISH, CHINESE, CHINESE]
    assert [(row["document"], row["page"], row["teacher"]) for row in made] == [
        ("1.pdf", 1, "big"),
        ("3.pdf", 3, "big"),
        ("3.pdf", 3, "big"),
    ]
    assert made[1]["tunesmith_from"] == {"file": "in.jsonl", "row": 3, "steps": ["questions"]}
    assert (account.read, account.added, account.written) == (4, 1, 3)
    told = "\n".join(account.lines())
    for part in ("2 pairs refused: a number", "1 pair refused: the question cannot be read"):
        assert part in told
    assert "1 pair refused: too few" in told and "1 answer of the teacher held no" in told
    assert not (tmp_path / "out.jsonl.partial").exists()
    assert "data.columns={instruction: question, input: passage, output: answer}" in told
    learned = {
        "path": str(tmp_path / "out.jsonl"),
        "columns": {"question": "question", "answer": "answer"},
    }
    assert check({"data": learned}).ledger.rows == 3


def test_what_was_answered_before_an_endpoint_went_down_is_kept(
    tmp_path: Path, endpoint: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = write(tmp_path / "in.jsonl", [ENGLISH, CHINESE]), tmp_path / "out.jsonl"
    how = [*endpoint, "teacher.attempts=1", "teacher.requests=1", "shortest=40"]
    monkeypatch.setattr(Teacher, "down", CHINESE)
    with pytest.raises(Stopped, match="out of memory"):
        change_rows("questions", source, out, how)
    assert not out.exists()
    monkeypatch.setattr(Teacher, "down", "")
    Teacher.asked.clear()
    with pytest.raises(SpecError, match="questions"):  # what was asked otherwise is not mixed in
        change_rows("questions", source, out, [*how, "questions=7"])
    change_rows("questions", source, out, how)
    assert Teacher.asked == [CHINESE] and len(read(out)) == 3


def test_answers_that_may_not_stand_are_not_asked_for_again(
    tmp_path: Path, endpoint: list[str]
) -> None:
    passage = ENGLISH.replace("12", "15").replace("Rinse", "Clean")
    SAID[passage] = "Q: What is done to the filter?\nA: Somebody cleans the filter carefully today."
    source, out = write(tmp_path / "in.jsonl", [passage]), tmp_path / "out.jsonl"
    with pytest.raises(DataError, match="too few of the answer's words"):
        change_rows("questions", source, out, endpoint)
    assert not out.exists() and len(Teacher.asked) == 1
    change_rows("questions", source, out, [*endpoint, "supported=0.2"])
    assert len(read(out)) == 1 and len(Teacher.asked) == 1


def test_a_model_on_this_machine_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # A short prompt, which a tiny model learns in no time.
    monkeypatch.setattr(passages, "ASKED", {"zh": "{passage}"})
    passage = "饭后服用，每日3次。"
    folder = tiny_model(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    said = "问：每日几次？\n答：每日3次。"
    messages = [{"role": "user", "content": passage}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(said, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    row = torch.tensor([ids + answer])
    labels = torch.tensor([[-100] * len(ids) + answer])
    step = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        loss = model(input_ids=row, labels=labels).loss
        step.zero_grad()
        loss.backward()
        step.step()
        if loss.item() < 0.02:
            break
    model.save_pretrained(folder)
    source, out = write(tmp_path / "in.jsonl", [passage]), tmp_path / "out.csv"
    how = [f"model={folder}", "questions=1", "shortest=5"]
    change_rows("questions", source, out, how)
    assert "每日几次？,每日3次。" in out.read_text("utf-8")


def test_what_is_missing_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", ["short"]), tmp_path / "out.jsonl"
    (tmp_path / "no.jsonl").write_text('{"number": 1}\n', "utf-8")
    for given, how, told in [
        (source, ["model=starter"], "no passage has 80 characters"),
        (source, [], "model"),
        (str(tmp_path / "no.jsonl"), ["model=starter"], "no.jsonl:1 has no passage.*number"),
    ]:
        with pytest.raises((SpecError, DataError), match=told):
            change_rows("questions", given, out, how)
    assert not out.exists()
