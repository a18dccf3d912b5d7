"""Rows as the documents of other toolkits show them: each read as what it is there, and where the
objective is another one, told which learns it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import prepared, written
from material.read_rows import read, read_as, values
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Text

ROWS = 8


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


Make = Callable[[int], Any]
# name: objective, a row, what it says
LAYOUTS: dict[str, tuple[str, Make, Make]] = {
    "LLaMA-Factory, a column for pictures that is empty": (
        "sft",
        lambda n: {"instruction": f"q{n}", "input": "", "output": f"a{n}", "images": []},
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "the same, judged": (
        "kto",
        lambda n: {"messages": [user(f"q{n}"), assistant("a")], "kto_tag": n % 2, "videos": []},
        lambda n: ([f"q{n}", "a"], n % 2 == 1),
    ),
    "the same, compared": (
        "dpo",
        lambda n: {"prompt": f"q{n}", "chosen": "good", "rejected": "bad", "images": None},
        lambda n: ([f"q{n}"], ["good"], ["bad"]),
    ),
    "ms-swift, a class": (
        "classify",
        lambda n: {"messages": [user(f"今天{n}")], "label": n % 2},
        lambda n: (f"今天{n}", None, (str(n % 2),)),
    ),
    "ms-swift, several classes, a system prompt and parts": (
        "classify",
        lambda n: {
            "messages": [{"role": "system", "content": "judge"}, user([part("a"), part(f"b{n}")])],
            "label": [n % 3, 3],
        },
        lambda n: (f"judge\n\na\n\nb{n}", None, (str(n % 3), "3")),
    ),
    "ms-swift, a number": (
        "classify",
        lambda n: {"messages": [user(f"t{n}")], "label": n / 2},
        lambda n: (f"t{n}", None, n / 2),
    ),
    "ms-swift, partners": (
        "embed",
        lambda n: {
            "messages": [user(f"t{n}")],
            "positive_messages": [[user(f"yes {n}")]],
            "negative_messages": [[user("no")], [user(f"no {n}")]],
        },
        lambda n: (f"t{n}", f"yes {n}", None, ("no", f"no {n}")),
    ),
    "ms-swift, a grade": (
        "embed",
        lambda n: {
            "messages": [user(f"t{n}")],
            "positive_messages": [[user(f"u {n}")]],
            "label": n / 8,
        },
        lambda n: (f"t{n}", f"u {n}", n / 8, ()),
    ),
    "ms-swift, partners as answers": (
        "embed",
        lambda n: {"query": f"t{n}", "response": f"u{n}", "rejected_response": [f"v{n}", "w"]},
        lambda n: (f"t{n}", f"u{n}", None, (f"v{n}", "w")),
    ),
    "ms-swift, two conversations": (
        "dpo",
        lambda n: {
            "messages": [user(f"q{n}"), assistant("good")],
            "rejected_messages": [user(f"q{n}"), assistant("bad")],
        },
        lambda n: ([f"q{n}"], ["good"], ["bad"]),
    ),
    "ms-swift, a document": (
        "pretrain",
        lambda n: {"messages": [assistant(f"text {n}")]},
        lambda n: Text(f"text {n}"),
    ),
    "ms-swift, for rewards": (
        "sft",
        lambda n: {"messages": [user(f"{n} + 1?")], "solution": str(n + 1)},
        lambda n: [f"{n} + 1?", str(n + 1)],
    ),
    "TRL, two texts that begin alike": (
        "reward",
        lambda n: {"chosen": f"The sky {n} is blue.", "rejected": f"The sky {n} is black."},
        lambda n: ([f"The sky {n} is"], [" blue."], [" black."]),
    ),
    "TRL, two Chinese texts that begin alike": (
        "dpo",
        lambda n: {"chosen": f"天空{n}是蓝色的。", "rejected": f"天空{n}是绿色的。"},
        lambda n: ([f"天空{n}是"], ["蓝色的。"], ["绿色的。"]),
    ),
    "TRL, answers to one prompt that 1 and 0 judge": (
        "kto",
        lambda n: {"prompt": "q?", "completion": f"a{n}", "label": n % 2},
        lambda n: (["q?", f"a{n}"], n % 2 == 1),
    ),
    "an answer beside what is known of it": (
        "dpo",
        lambda n: {
            "prompt": f"q{n}",
            "chosen": {"text": "good", "model": "a"},
            "rejected": {"text": "bad", "model": "b"},
        },
        lambda n: ([f"q{n}"], ["good"], ["bad"]),
    ),
    "axolotl, roles with values": (
        "sft",
        lambda n: {
            "conversations": [
                {"role": "prompter", "value": f"q{n}"},
                {"role": "bot", "value": f"a{n}"},
            ]
        },
        lambda n: [f"q{n}", f"a{n}"],
    ),
    "Prodigy, places": (
        "classify_tokens",
        lambda n: {
            "text": f"Tom went {n}",
            "tokens": [{"text": "Tom", "start": 0, "end": 3, "id": 0}],
            "spans": [{"start": 0, "end": 3, "label": "PER", "token_start": 0, "token_end": 0}],
            "answer": "accept",
            "_task_hash": n,
        },
        lambda n: [("Tom", "PER")],
    ),
    "Prodigy, options": (
        "classify",
        lambda n: {
            "text": f"t{n}",
            "options": [{"id": "A", "text": "first"}, {"id": "B", "text": "second"}],
            "accept": ["AB"[n % 2]],
            "answer": "accept",
            "_task_hash": n,
        },
        lambda n: (f"t{n}", None, ("AB"[n % 2],)),
    ),
    "passages that were found for a question": (
        "sft",
        lambda n: {"question": f"who {n}?", "contexts": [f"a{n}", "b"], "answer": f"he {n}"},
        lambda n: [f"who {n}?\n\na{n}\n\nb", f"he {n}"],
    ),
    "a document for a question": (
        "sft",
        lambda n: {"question": f"who {n}?", "document": f"doc {n}", "answer": f"he {n}"},
        lambda n: [f"who {n}?\n\ndoc {n}", f"he {n}"],
    ),
    "KILT": (
        "sft",
        lambda n: {
            "input": f"why {n}?",
            "output": [{"answer": f"so {n}"}, {"provenance": [{"wikipedia_id": "1"}]}],
        },
        lambda n: [f"why {n}?", f"so {n}"],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read_by_itself(tmp_path: Path, name: str) -> None:
    objective, row, right = LAYOUTS[name]
    found = read_as(tmp_path, objective, [row(n) for n in range(ROWS)])
    assert found == [right(n) for n in range(ROWS)]


def steps(n: int) -> dict[str, Any]:
    judged = [True, n % 2 == 0, False][: 3 if n % 2 == 0 else 2]
    return {
        "prompt": f"q{n}",
        "completions": ["one", "two", "three"][: len(judged)],
        "labels": judged,
    }


def test_judged_steps_are_answers_up_to_the_first_wrong_one(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [steps(0), steps(1)])
    assert [values(example) for _, example in read(path, "kto")] == [
        (["q0", "one"], True),
        (["q0", "one\ntwo"], True),
        (["q0", "one\ntwo\nthree"], False),
        (["q1", "one"], True),
        (["q1", "one\ntwo"], False),
    ]


def annotated(n: int, answer: str) -> dict[str, Any]:
    return {"text": f"t{n}", "label": "AB"[n % 2], "answer": answer, "_task_hash": n}


def test_what_an_annotator_rejected_is_left_out(tmp_path: Path) -> None:
    answers = ["accept", "accept", "reject", "ignore", "accept", "accept"]
    rows = [annotated(n, answer) for n, answer in enumerate(answers)]
    found = read(written(tmp_path / "rows.jsonl", rows), "classify")
    assert [values(example) for _, example in found] == [
        (f"t{n}", None, ("AB"[n % 2],)) for n in (0, 1, 4, 5)
    ]
    assert "2 lines hold no row" in "\n".join(found.notes)


@pytest.mark.parametrize(
    ("objective", "row", "said"),
    [
        ("sft", lambda n: {"messages": [user(f"t{n}")], "label": n % 2}, "objective=classify"),
        ("sft", steps, "objective=kto"),
        ("sft", lambda n: {"messages": [assistant(f"text {n}")]}, "objective=pretrain"),
        ("sft", lambda n: {"text": f"t{n}", "sentiment": "ab"[n % 2]}, "objective=classify"),
        (
            "classify",
            lambda n: {"text": f"Tom {n}", "label": [[0, 3, "PER"]]},
            "objective=classify_tokens",
        ),
        (
            "sft",
            lambda n: {"segments": [{"label": True, "text": f"hi {n}"}]},
            "rows of segments have no reader: write each as messages",
        ),
        (
            "sft",
            lambda n: {"input_ids": [1, n], "labels": [-100, n]},
            "give the texts that they were made from",
        ),
        (
            "dpo",
            lambda n: {"prompt": f"q{n}", "chosen": "a", "rejected": ["b", f"c{n}"]},
            "is a list of 2 answers, and each row compares one better with one worse answer",
        ),
    ],
)
def test_what_learns_other_rows_is_told(
    tmp_path: Path, objective: str, row: Make, said: str
) -> None:
    path = written(tmp_path / "rows.jsonl", [row(n) for n in range(ROWS)])
    with pytest.raises((DataError, SpecError)) as caught:
        prepared(path, objective)
    assert said in str(caught.value)
