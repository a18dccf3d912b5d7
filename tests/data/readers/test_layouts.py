"""Layouts in which data sets are published, each read as what it is: by value, for the objective
that it is meant for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import written
from material.read_rows import read, read_as, values
from tunesmith.data.columns.transcripts import written_out
from tunesmith.errors import DataError
from tunesmith.examples import Labelled, Text

Make = Callable[[int], Any]
ROWS = 8


def boxes(kind: str, n: int, key: str = "text") -> list[dict[str, Any]]:
    return [{"docid": f"{n}", "title": "t", key: f"{kind} {n}"}]


def span(n: int) -> dict[str, Any]:
    return {"start_idx": 3, "end_idx": 6, "type": "pro", "entity": "房室结消"}


# name: objective, a row, what it says
LAYOUTS: dict[str, tuple[str, Make, Make]] = {
    "several answers": (
        "sft",
        lambda n: {"question": f"q{n}", "answers": [f"a{n}", f"b{n}"]},
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "NQ open": (
        "sft",
        lambda n: {"question": f"q{n}", "answer": [f"a{n}", f"b{n}"]},
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "an instruction with several outputs": (
        "sft",
        lambda n: {"instruction": f"q{n}", "input": "", "output": [f"a{n}", f"b{n}"]},
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "VQA": (
        "sft",
        lambda n: {"question": f"q{n}", "answers": [{"answer": f"a{n}", "answer_id": 1}] * 3},
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "TriviaQA": (
        "sft",
        lambda n: {"question": f"q{n}", "answer": {"aliases": [f"b{n}"], "value": f"a{n}"}},
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "Huatuo": (
        "sft",
        lambda n: {"questions": [[f"问{n}"]], "answers": [f"答{n}"]},
        lambda n: [f"问{n}", f"答{n}"],
    ),
    "Belle's dialogues": (
        "sft",
        lambda n: {
            "instruction": f"Human:你好{n}\nAssistant:您好{n}\nHuman:再讲\nAssistant:",
            "input": "",
            "output": f"好{n}",
        },
        lambda n: [f"你好{n}", f"您好{n}", "再讲", f"好{n}"],
    ),
    "MOSS": (
        "sft",
        lambda n: {"plain_text": f"[Human]: 问{n}<eoh> [MOSS]: 答{n}<eoa>", "num_turns": 1},
        lambda n: [f"问{n}", f"答{n}"],
    ),
    "Guanaco": (
        "sft",
        lambda n: {"text": f"### Human: q{n}### Assistant: a{n}### Human: r### Assistant: s"},
        lambda n: [f"q{n}", f"a{n}", "r", "s"],
    ),
    "Vicuna": (
        "sft",
        lambda n: {"text": f"A chat. USER: q{n} ASSISTANT: a{n}</s>"},
        lambda n: ["A chat.", f"q{n}", f"a{n}"],
    ),
    "Llama 2": (
        "sft",
        lambda n: {"text": f"<s>[INST] q{n} [/INST] a{n} </s>"},
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "ChatML": (
        "sft",
        lambda n: {
            "text": f"<|im_start|>user\nq{n}<|im_end|>\n<|im_start|>assistant\na{n}<|im_end|>\n"
        },
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "a transcript of HH-RLHF": (
        "sft",
        lambda n: {"transcript": f"\n\nHuman: q{n}\n\nAssistant: a{n}\nmore", "rating": 4.0},
        lambda n: [f"q{n}", f"a{n}\nmore"],
    ),
    "a tree of OpenAssistant": (
        "sft",
        lambda n: {
            "message_tree_id": f"t{n}",
            "prompt": {
                "text": f"q{n}",
                "role": "prompter",
                "replies": [
                    {"text": "worse", "role": "assistant", "rank": 1, "replies": []},
                    {"text": f"a{n}", "role": "assistant", "rank": 0, "replies": []},
                ],
            },
        },
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "Capybara": (
        "sft",
        lambda n: {"conversation": [{"input": f"q{n}", "output": f"a{n}"}] * 2, "source": "x"},
        lambda n: [f"q{n}", f"a{n}"] * 2,
    ),
    "Capybara, preferences": (
        "dpo",
        lambda n: {
            "prompt": f"q{n}",
            "conversation": [{"input": f"q{n}", "output": None}],
            "chosen": f"good {n}",
            "rejected": f"bad {n}",
        },
        lambda n: ([f"q{n}"], [f"good {n}"], [f"bad {n}"]),
    ),
    "answers of a forum with their scores": (
        "dpo",
        lambda n: {
            "question": f"q{n}",
            "answers": [{"text": f"bad {n}", "pm_score": 1}, {"text": f"good {n}", "pm_score": 3}],
        },
        lambda n: ([f"q{n}"], [f"good {n}"], [f"bad {n}"]),
    ),
    "BeaverTails": (
        "kto",
        lambda n: {"prompt": f"q{n}", "response": f"a{n}", "is_safe": n % 2 == 0},
        lambda n: ([f"q{n}", f"a{n}"], n % 2 == 0),
    ),
    "BoolQ": (
        "classify",
        lambda n: {"question": f"is {n} odd", "passage": f"the {n}", "idx": n, "label": n % 2 == 0},
        lambda n: (f"is {n} odd", f"the {n}", ("true" if n % 2 == 0 else "false",)),
    ),
    "XNLI": (
        "classify",
        lambda n: {"premise": f"前提{n}", "hypo": f"假设{n}", "label": "ab"[n % 2]},
        lambda n: (f"前提{n}", f"假设{n}", ("ab"[n % 2],)),
    ),
    "CMeEE": (
        "classify_tokens",
        lambda n: {"text": f"（{n}）房室结消融", "entities": [span(n)]},
        lambda n: [("房室结消", "pro")],
    ),
    "Quora": (
        "embed",
        lambda n: {"question1": f"a{n}", "question2": f"b{n}", "is_duplicate": n % 2},
        lambda n: (f"a{n}", f"b{n}", float(n % 2), ()),
    ),
    "正例 and 负例": (
        "embed",
        lambda n: {"问题": f"什么是{n}？", "正例": f"是{n}", "负例": [f"非{n}", f"无{n}"]},
        lambda n: (f"什么是{n}？", f"是{n}", None, (f"非{n}", f"无{n}")),
    ),
    "正样本 and 负样本": (
        "embed",
        lambda n: {"文本": f"什么是{n}？", "正样本": f"是{n}", "负样本": f"非{n}"},
        lambda n: (f"什么是{n}？", f"是{n}", None, (f"非{n}",)),
    ),
    "passages of a search": (
        "embed",
        lambda n: {
            "query": f"q{n}",
            "positive_passages": boxes("yes", n),
            "negative_passages": boxes("no", n),
        },
        lambda n: (f"q{n}", f"yes {n}", None, (f"no {n}",)),
    ),
    "DPR": (
        "embed",
        lambda n: {
            "question": f"q{n}",
            "answers": [f"a{n}"],
            "positive_ctxs": boxes("yes", n),
            "negative_ctxs": [],
            "hard_negative_ctxs": boxes("no", n),
        },
        lambda n: (f"q{n}", f"yes {n}", None, (f"no {n}",)),
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read_by_itself(tmp_path: Path, name: str) -> None:
    objective, row, right = LAYOUTS[name]
    found = read_as(tmp_path, objective, [row(n) for n in range(ROWS)])
    assert found == [right(n) for n in range(ROWS)]


def test_race_asks_several_questions_on_one_article(tmp_path: Path) -> None:
    rows = [
        {
            "article": f"article {n}",
            "id": f"high{n}.txt",
            "questions": [f"first {n}?", f"second {n}?"],
            "options": [["a", "b", "c"], ["d", "e", "f"]],
            "answers": ["C", "A"],
        }
        for n in range(3)
    ]
    found = read(written(tmp_path / "race.jsonl", rows), "sft")
    assert [values(example) for _, example in found] == [
        said
        for n in range(3)
        for said in (
            [f"article {n}\nfirst {n}?\nA. a\nB. b\nC. c", "C"],
            [f"article {n}\nsecond {n}?\nA. d\nB. e\nC. f", "A"],
        )
    ]
    rows[2]["answers"] = ["C"]
    with pytest.raises(DataError, match=r"race.jsonl:3.*questions: 2, options: 2, answers: 1"):
        list(read(written(tmp_path / "race.jsonl", rows), "sft"))


SIGNS: dict[str, tuple[list[Any], list[str]]] = {
    "annotators did not agree": (
        ["neutral", "-", "entailment", "contradiction"],
        ["neutral", "entailment", "contradiction"],
    ),
    "a sign that is a class": (["+", "-"], ["+", "-"]),
}


@pytest.mark.parametrize("name", SIGNS)
def test_a_sign_in_place_of_a_label_is_no_class(tmp_path: Path, name: str) -> None:
    labels, kept = SIGNS[name]
    rows = [
        {"premise": f"a{n}", "hypothesis": f"b{n}", "label": labels[n % len(labels)]}
        for n in range(12)
    ]
    found = read(written(tmp_path / "rows.jsonl", rows), "classify")
    seen = [example.labels for _, example in found if isinstance(example, Labelled)]
    assert set(seen) == {(label,) for label in kept}
    left = 12 - len(seen)
    assert [row.reason for row in found.dropped] == ["no agreed label"] * left
    assert left == (0 if len(kept) == len(labels) else 3)


def refused(path: Path, objective: str) -> str:
    with pytest.raises(DataError) as caught:
        list(read(path, objective))
    return str(caught.value)


# name: objective, a row, the columns of the line that is offered
OFFERED: dict[str, tuple[str, Make, str]] = {
    "several answers that were made": (
        "sft",
        lambda n: {"question": f"q{n}", "responses": [f"a{n}", f"b{n}"]},
        "{question: question, answer: responses}",
    ),
    "a forum": (
        "sft",
        lambda n: {"qid": n, "title": f"q{n}", "desc": f"more {n}", "content": f"a{n}"},
        "{instruction: title, input: desc, output: content}",
    ),
    "a text that neither prompt nor question names": (
        "dpo",
        lambda n: {"文本": f"文{n}", "正样本": f"好{n}", "负样本": f"坏{n}"},
        "{prompt: 文本, chosen: 正样本, rejected: 负样本}",
    ),
    "answers with a verdict, under sft": (
        "sft",
        lambda n: {"问题": f"问{n}", "回答": f"答{n}", "是否满意": "是否"[n % 2]},
        "{question: 问题, answer: 回答}",
    ),
}


@pytest.mark.parametrize("name", OFFERED)
def test_the_line_that_is_offered_reads_the_rows(tmp_path: Path, name: str) -> None:
    objective, row, line = OFFERED[name]
    path = written(tmp_path / "rows.jsonl", [row(n) for n in range(ROWS)])
    told = refused(path, objective)
    assert f"data.columns: {line}" in told
    columns = dict(pair.split(": ") for pair in line.strip("{}").split(", "))
    assert len(list(read(path, objective, columns=columns))) == ROWS


def test_columns_of_lists_that_are_no_questions_stay_lists(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": f"a{n}", "tags": ["x", "y"]} for n in range(3)]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows), "utf-8")
    assert len(list(read(path, "sft"))) == 3


def message(name: str, parent: str | None, role: str, text: str, **more: Any) -> dict[str, Any]:
    tree = {"message_tree_id": name[0], **more}
    return {"message_id": name, "parent_id": parent, "role": role, "text": text, **tree}


def test_messages_of_trees_become_conversations_along_the_best_replies(tmp_path: Path) -> None:
    rows = [
        message("a", None, "prompter", "q"),
        message("b", None, "prompter", "other"),
        message("a1", "a", "assistant", "worse", rank=1),
        message("a2", "a", "assistant", "better", rank=0),
        message("a3", "a", "assistant", "deleted", rank=0, deleted=True),
        message("b1", "b", "assistant", "without a rank", rank=None),
        message("a4", "a2", "prompter", "and then?", rank=None),
        message("a5", "a4", "assistant", "then", rank=None),
        message("a6", "a1", "prompter", "to the worse", rank=None),
    ]
    found = read(written(tmp_path / "rows.jsonl", rows), "sft")
    assert [values(example) for _, example in found] == [
        ["q", "better", "and then?", "then"],
        ["other", "without a rank"],
    ]
    assert "trees" in " ".join(found.notes)


FAQ = {
    "english": ("Q: What is {n}?\nA: It is {n}.\nMore: of it.\n\n", "It is {n}.\nMore: of it."),
    "chinese": ("问：什么是{n}？\n答：是{n}。\n\n", "是{n}。"),
    "markdown": ("**Q: What is {n}?**\n\nA: It is {n}.\n\n", "It is {n}."),
    "numbered": ("问题{n}：什么是{n}？\n答案{n}：是{n}。\n", "是{n}。"),
}


@pytest.mark.parametrize("name", FAQ)
@pytest.mark.parametrize("title", ["", "# Questions\n\n"])
def test_a_text_of_questions_and_answers_is_rows(tmp_path: Path, name: str, title: str) -> None:
    block, answer = FAQ[name]
    path = tmp_path / "faq.md"
    path.write_text(title + "".join(block.format(n=n) for n in range(6)), "utf-8")
    found = [values(example) for _, example in read(path, "sft")]
    asked = "什么是{n}？" if "什么" in block else "What is {n}?"
    assert found == [[asked.format(n=n), answer.format(n=n)] for n in range(6)]
    # Under pretrain they are the texts that were written.
    texts = [example for _, example in read(path, "pretrain")]
    assert len(texts) == 6 and isinstance(texts[0], Text)
    assert texts[0].text == block.format(n=0).rstrip("\n")


@pytest.mark.parametrize(
    "lines",
    [
        ["Q: only one", "A: answer"],
        ["A. an option", "B. another"] * 4,
        ["He said: go", "Then Q: he asked", "A: note"] * 3,
        ["Answer: 1", "Question: 2"] * 3,
    ],
)
def test_a_text_that_only_looks_so_stays_text(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "book.txt"
    path.write_text("\n".join(lines), "utf-8")
    texts = [example for _, example in read(path, "pretrain")]
    assert texts == [Text(line) for line in lines]


@pytest.mark.parametrize(
    "text",
    [
        "Human: we are all human",
        "The user: a person. The assistant: none.",
        "### Response: first\n### Human: last",
        "He wrote [INST] once.",
    ],
)
def test_a_text_that_is_no_dialogue_is_none(text: str) -> None:
    assert written_out(text) == []
