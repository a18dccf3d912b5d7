"""Rows that no column explains, as sets publish them, are read as what they mean, and what is
proposed of the rest keeps what is asked and learns no id, code, licence or constant.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import written
from material.read_rows import read, read_as, values
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Text
from tunesmith.settings.yaml_file import read_yaml

ROWS = 8


def moss(n: int, thought: str = "None", command: str = "None", result: str = "None") -> Any:
    return {
        "Human": f"<|Human|>: 问{n}<eoh>\n",
        "Inner Thoughts": f"<|Inner Thoughts|>: {thought}<eot>\n",
        "Commands": f"<|Commands|>: {command}<eoc>\n",
        "Tool Responses": f"<|Results|>: {result}<eor>\n",
        "MOSS": f"<|MOSS|>: 答{n}<eom>\n",
    }


def annotated(name: str, kind: str, **value: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": kind, "value": value}


def studio(n: int, *results: Any, **more: Any) -> dict[str, Any]:
    done = [{"id": n, "was_cancelled": False, "result": list(results)}]
    return {"id": n, "annotations": done, "data": {"text": f"Ada {n} came"}, "meta": {}, **more}


READ: dict[str, tuple[str, Callable[[int], Any], Callable[[int], Any]]] = {
    "moss": (
        "sft",
        lambda n: {
            "conversation_id": n,
            "meta_instruction": "You are MOSS.",
            "num_turns": 2,
            "chat": {"turn_1": moss(n), "turn_2": moss(n + 100)},
            "category": "chat",
        },
        lambda n: ["You are MOSS.", f"问{n}", f"答{n}", f"问{n + 100}", f"答{n + 100}"],
    ),
    "moss with tools": (
        "sft",
        lambda n: {"chat": {"turn_1": moss(n, "要查", 'Search("天气")', "晴")}},
        lambda n: [f"问{n}", 'Search("天气")', "晴", f"答{n}"],
    ),
    "label studio": (
        "classify",
        lambda n: studio(n, annotated("mood", "choices", choices=["好" if n % 2 else "坏"])),
        lambda n: (f"Ada {n} came", None, ("好" if n % 2 else "坏",)),
    ),
    "label studio entities": (
        "classify_tokens",
        lambda n: studio(
            n, annotated("label", "labels", start=0, end=3, text="Ada", labels=["PER"])
        ),
        lambda n: [("Ada", "PER")],
    ),
    "label studio answers": (
        "sft",
        lambda n: studio(
            n, annotated("answer", "textarea", text=[f"a{n}"]), data={"question": f"q{n}"}
        ),
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "coqa": (
        "sft",
        lambda n: {
            "source": "mctest",
            "id": f"x{n}",
            "story": f"story {n}",
            "questions": [{"input_text": t, "turn_id": 1} for t in (f"q{n}?", "who?")],
            "answers": [{"span_text": "s", "input_text": t} for t in (f"a{n}", "she")],
            "name": "mc160.txt",
        },
        lambda n: [f"story {n}\n\nq{n}?", f"a{n}", "who?", "she"],
    ),
    "coqa by columns": (
        "sft",
        lambda n: {
            "story": f"story {n}",
            "questions": [f"q{n}?", "who?"],
            "answers": {"input_text": [f"a{n}", "she"], "answer_start": [0, 1]},
        },
        lambda n: [f"story {n}\n\nq{n}?", f"a{n}", "who?", "she"],
    ),
    "summaries": (
        "dpo",
        lambda n: {
            "info": {"id": f"t3_{n}", "post": f"post {n}", "title": "t", "article": None},
            "summaries": [{"text": f" a{n}", "policy": "p"}, {"text": f" b{n}", "policy": "q"}],
            "choice": n % 2,
            "worker": "w",
        },
        lambda n: ([f"post {n}"], [f"{'ab'[n % 2]}{n}"], [f"{'ba'[n % 2]}{n}"]),
    ),
    "natural instructions": (
        "sft",
        lambda n: {
            "Definition": [f"Do {n}."],
            "Positive Examples": [{"input": "x", "output": "y"}],
            "Instances": [{"id": f"t-{n}", "input": f"in {n}", "output": [f"out {n}"]}],
        },
        lambda n: [f"Do {n}.\n\nin {n}", f"out {n}"],
    ),
    "coig translated": (
        "sft",
        lambda n: {
            "task_name": f"task{n}_x",
            "trans_definition": f"指令{n}",
            "trans_input": f"段落{n}",
            "trans_output": f"结果{n}",
        },
        lambda n: [f"指令{n}\n\n段落{n}", f"结果{n}"],
    ),
    "coig textbox": (
        "sft",
        lambda n: {
            "textbox_q_instruction": "回答下面的历史题。",
            "textbox_q_context": "",
            "textbox_question": f"题{n}",
            "textbox_answer": "ABCD"[n % 4],
            "textbox_answer_analysis": f"因为{n}",
            "subject": "历史",
        },
        lambda n: [f"回答下面的历史题。\n\n题{n}", "ABCD"[n % 4]],
    ),
    "spider": (
        "sft",
        lambda n: {
            "db_id": "dept",
            "query": f"SELECT name FROM t WHERE n > {n}",
            "question": f"more than {n}?",
            "query_toks": ["SELECT"],
            "sql": {"from": {}},
        },
        lambda n: [f"more than {n}?", f"SELECT name FROM t WHERE n > {n}"],
    ),
    "turns without speakers": (
        "sft",
        lambda n: {"messages": [{"message": f"听过{n}吗"}, {"message": "听过", "attrs": []}]},
        lambda n: [f"听过{n}吗", "听过"],
    ),
    "ape210k": (
        "sft",
        lambda n: {
            "id": str(1000 + n),
            "original_text": f"有几个{n}",
            "segmented_text": f"有 几个 {n}",
            "equation": f"x=3+{n}",
            "ans": str(n + 3),
        },
        lambda n: [f"有几个{n}", str(n + 3)],
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_known_layout_is_read_as_what_it_means(tmp_path: Path, name: str) -> None:
    objective, row, said = READ[name]
    found = read_as(tmp_path, objective, [row(n) for n in range(ROWS)])
    assert found == [said(n) for n in range(ROWS)]


def test_thoughts_before_a_command_are_reasoning(tmp_path: Path) -> None:
    rows = [{"chat": {"turn_1": moss(n, "要查", 'Search("天气")', "晴")}} for n in range(ROWS)]
    (_, example), *_ = read(written(tmp_path / "rows.jsonl", rows), "sft")
    assert isinstance(example, Chat)
    assert [(turn.role, turn.reasoning) for turn in example.turns] == [
        ("user", None),
        ("assistant", "要查"),
        ("tool", None),
        ("assistant", None),
    ]


def test_each_blank_of_chid_is_a_question_of_its_own(tmp_path: Path) -> None:
    rows = [
        {
            "content": f"水平{n}#idiom577157#，他#idiom577158#。",
            "candidates": ["凤毛麟角", "异曲同工", "新陈代谢"],
            "groundTruth": ["异曲同工", "凤毛麟角"],
        }
        for n in range(ROWS)
    ]
    found = [values(one) for _, one in read(written(tmp_path / "rows.jsonl", rows), "sft")]
    options = "A. 凤毛麟角\nB. 异曲同工\nC. 新陈代谢"
    assert found[:2] == [
        [f"水平0____，他（略）。\n{options}", "B"],
        [f"水平0（略），他____。\n{options}", "A"],
    ]
    assert len(found) == 2 * ROWS


def test_passages_by_their_keys_are_rows(tmp_path: Path) -> None:
    made = {
        f"Q_{n}": {
            "question": f"问{n}？",
            "evidences": {
                f"Q_{n}#00": {"answer": [f"答{n}"], "evidence": f"文{n}"},
                f"Q_{n}#01": {"answer": ["no_answer"], "evidence": f"无关{n}"},
            },
        }
        for n in range(ROWS)
    }
    path = tmp_path / "webqa.json"
    path.write_text(json.dumps(made, ensure_ascii=False), "utf-8")
    found = [values(one) for _, one in read(path, "sft")]
    assert found[:2] == [["问0？\n\n文0", "答0"], ["问0？\n\n无关0", "no_answer"]]
    assert len(found) == 2 * ROWS


def test_dialogues_of_different_lengths_are_no_table(tmp_path: Path) -> None:
    said = [
        [f"你好{n}", f"好{n}", f"吃了吗{n}", f"吃了{n}"][: 2 + 2 * (n % 2)] for n in range(ROWS)
    ]
    path = tmp_path / "lccc.json"
    path.write_text(json.dumps({"train": said, "valid": said[:1]}), "utf-8")
    assert [values(one) for _, one in read(path, "sft")] == said


def test_verses_are_the_lines_of_a_poem(tmp_path: Path) -> None:
    rows = [
        {"author": "李白", "paragraphs": [f"床前{n}，", "疑是。"], "title": f"诗{n}", "id": f"{n}"}
        for n in range(ROWS)
    ]
    found = [one for _, one in read(written(tmp_path / "rows.jsonl", rows), "pretrain")]
    assert found[0] == Text("床前0，\n疑是。")


def test_what_nobody_annotated_is_counted(tmp_path: Path) -> None:
    good = annotated("sentiment", "choices", choices=["好"])
    rows = [
        studio(0, good),
        studio(1, annotations=[]),
        studio(2, annotations=[{"was_cancelled": True, "result": [good]}]),
        studio(3, annotated("sentiment", "choices", choices=["坏"])),
    ]
    reading = read(written(tmp_path / "rows.jsonl", rows), "classify")
    assert [values(one)[2] for _, one in reading] == [("好",), ("坏",)]
    assert [(one.number, one.reason) for one in reading.dropped] == [
        (2, "not a row"),
        (3, "not a row"),
    ]


def test_a_row_of_another_layout_is_named(tmp_path: Path) -> None:
    rows = [{"chat": {"turn_1": moss(n)}} for n in range(30)] + [{"chat": {"turn_1": "text"}}]
    with pytest.raises(DataError, match=r"rows\.jsonl:31: does not have the layout of MOSS-003"):
        list(read(written(tmp_path / "rows.jsonl", rows), "sft"))


def message(name: str, parent: str | None, role: str, **more: Any) -> dict[str, Any]:
    return {"message_id": name, "parent_id": parent, "role": role, "text": name.upper(), **more}


TREE = [
    message("q", None, "prompter", rank=None),
    message("good", "q", "assistant", rank=0),
    message("bad", "q", "assistant", rank=1),
    message("more", "good", "prompter", rank=0),
    message("other", "good", "prompter", rank=1),
    message("worst", "more", "assistant", rank=2),
    message("best", "more", "assistant", rank=0),
    message("gone", "more", "assistant", rank=3, deleted=True),
    message("only", "bad", "prompter", rank=None),
]


@pytest.mark.parametrize("whole", [False, True])
def test_replies_of_trees_are_compared(tmp_path: Path, whole: bool) -> None:
    def nested(one: dict[str, Any]) -> dict[str, Any]:
        below = [nested(other) for other in TREE if other["parent_id"] == one["message_id"]]
        return {**one, "replies": below}

    rows = [{"message_tree_id": "q", "prompt": nested(TREE[0])}] if whole else TREE
    reading = read(written(tmp_path / "rows.jsonl", rows), "dpo")
    assert [values(one) for _, one in reading] == [
        (["Q"], ["GOOD"], ["BAD"]),
        (["Q", "GOOD", "MORE"], ["BEST"], ["WORST"]),
    ]
    assert "trees" in " ".join(reading.notes)


def test_trees_without_ranks_say_so_under_dpo(tmp_path: Path) -> None:
    rows = [{**one, "rank": None} for one in TREE]
    with pytest.raises(DataError, match="no message has two replies with a rank"):
        read(written(tmp_path / "rows.jsonl", rows), "dpo")


def column(*values: Any) -> Callable[[int], Any]:
    return lambda n: values[n % len(values)]


LICENCE = "CC-BY 2.0 (France) Attribution: tatoeba.org #{0} (CM) & #{1} (Martha)"
PROPOSED: dict[str, tuple[str, str, Callable[[int], Any], str, Callable[[int], Any]]] = {
    "an attribution": (
        "sft",
        ".tsv",
        lambda n: f"Hi {n}.\t嗨{n}。\t" + LICENCE.format(n, n + 50),
        "{question: '0', answer: '1'}",
        lambda n: [f"Hi {n}.", f"嗨{n}。"],
    ),
    "numbers of sentences": (
        "sft",
        ".tsv",
        lambda n: f"127{n}\tI sleep {n}.\t18{n}\t我睡{n}。",
        "{question: '1', answer: '3'}",
        lambda n: [f"I sleep {n}.", f"我睡{n}。"],
    ),
    "a code beside its class": (
        "classify",
        ".txt",
        lambda n: f"655{n}_!_10{n % 2}_!_news_{'ab'[n % 2]}_!_标题{n}如何_!_词{n},词",
        "{text: '3', second: '4', label: '2'}",
        lambda n: (f"标题{n}如何", f"词{n},词", (f"news_{'ab'[n % 2]}",)),
    ),
    "three bars": (
        "sft",
        ".txt",
        lambda n: f"I go {n} . ||| 我走{n}。",
        "{question: '0', answer: '1'}",
        lambda n: [f"I go {n} .", f"我走{n}。"],
    ),
    "fields in objects": (
        "sft",
        ".jsonl",
        lambda n: {
            "document": {"id": f"d{n}", "summary": {"text": f"story {n}"}},
            "question": {"text": f"who {n}?", "tokens": ["who"]},
            "answers": [{"text": f"he {n}", "tokens": ["he"]}, {"text": "him", "tokens": []}],
        },
        "{instruction: question.text, input: document.summary.text, output: answers}",
        lambda n: [f"who {n}?\n\nstory {n}", f"he {n}"],
    ),
    "a question of a forum": (
        "sft",
        ".jsonl",
        lambda n: {
            "title": f"why {n}?",
            "selftext": f"more {n}",
            "document": "",
            "answers": {"a_id": ["x", "y"], "text": [f"so {n}", "no"], "score": [5, 3]},
        },
        "{instruction: title, input: selftext, output: answers}",
        lambda n: [f"why {n}?\n\nmore {n}", f"so {n}"],
    ),
    "a label in an object": (
        "classify",
        ".jsonl",
        lambda n: {
            "fact": f"指控{n}被告人",
            "meta": {"accusation": ["盗窃" if n % 2 else "抢劫"], "punish_of_money": 0},
        },
        "{text: fact, label: meta.accusation}",
        lambda n: (f"指控{n}被告人", None, ("盗窃" if n % 2 else "抢劫",)),
    ),
    "the name of a label": (
        "classify",
        ".jsonl",
        lambda n: {"text": f"text {n} here", "label": {"id": n % 2, "name": "ab"[n % 2]}},
        "{text: text, label: label.name}",
        lambda n: (f"text {n} here", None, ("ab"[n % 2],)),
    ),
    "answers in an object": (
        "dpo",
        ".jsonl",
        lambda n: {"q": {"text": f"q{n}"}, "answers": {"chosen": f"a{n}", "rejected": f"b{n}"}},
        "{prompt: q.text, chosen: answers.chosen, rejected: answers.rejected}",
        lambda n: ([f"q{n}"], [f"a{n}"], [f"b{n}"]),
    ),
    "texts in turn": (
        "sft",
        ".jsonl",
        lambda n: {"dialog_id": f"0_{n}", "content": [f"嗨{n}", "你好"]},
        "{messages: content}",
        lambda n: [f"嗨{n}", "你好"],
    ),
}


@pytest.mark.parametrize("name", PROPOSED)
def test_the_proposed_line_learns_what_is_meant(tmp_path: Path, name: str) -> None:
    objective, suffix, row, line, said = PROPOSED[name]
    rows = [row(n) for n in range(ROWS)]
    path = tmp_path / f"rows{suffix}"
    lines = [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in rows]
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(DataError) as caught:
        read(path, objective)
    assert f"data.columns: {line}" in str(caught.value)
    found = [values(one) for _, one in read(path, objective, columns=read_yaml(line))]
    assert found == [said(n) for n in range(ROWS)]


def test_an_instruction_beside_question_and_context_is_kept_by_the_template(
    tmp_path: Path,
) -> None:
    rows = [
        {"instruction": "Answer.", "context": f"p{n}", "question": f"q{n}?", "answer": f"a{n}"}
        for n in range(ROWS)
    ]
    with pytest.raises(DataError) as caught:
        read(written(tmp_path / "rows.jsonl", rows), "sft")
    said = str(caught.value)
    assert "data.columns: {instruction: question, input: context, output: answer}" in said
    assert 'data.template: "{instruction}\\n{context}\\n{question}\\n{answer}"' in said


@pytest.mark.parametrize(
    "row",
    [
        # The label says whether the keywords belong to the text: without them nothing is learned.
        lambda n: {"id": n, "abst": f"摘要{n}", "keyword": ["a", f"k{n}"], "label": str(n % 2)},
        # Codes, a class and keywords: nothing of these is an answer.
        lambda n: [f"655{n}", f"10{n % 2}", f"news_{'ab'[n % 2]}", f"标题{n}", f"词{n}"],
        # ChID as CLUE publishes it: texts with blanks, whose answers are in another file.
        lambda n: {"candidates": ["甲", "乙"], "content": [f"#idiom{n}#了。", f"他#idiom{n}#。"]},
    ],
)
def test_what_is_no_answer_is_not_proposed(tmp_path: Path, row: Callable[[int], Any]) -> None:
    with pytest.raises(DataError) as caught:
        read(written(tmp_path / "rows.jsonl", [row(n) for n in range(ROWS)]), "sft")
    assert "{question: …, answer: …}" in str(caught.value)
