"""A teacher on this machine: what it writes is what plain transformers writes, and trains a student
of another vocabulary.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from conftest import tiny_model
from tunesmith import api
from tunesmith.errors import DataError, SpecError, Stopped
from tunesmith.export.make import export
from tunesmith.machine.signals import StopSignal
from tunesmith.settings.given import settings_of
from tunesmith.storage.run_folder import RunFolder
from tunesmith.teaching import local, write
from tunesmith.teaching import questions as asking

ROWS = [
    {
        "instruction": f"{'short' if n % 3 else 'long'} name" + " please" * (n % 4),
        "output": f"own {n}",
        "n": n,
    }
    for n in range(20)
]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose model ends some answers early, and others never."""
    folder = tmp_path_factory.mktemp("teacher")
    base = tiny_model(folder / "base")
    kinds = ("short", "yes"), ("long", "no" * 16)
    rows = [
        {"instruction": f"{kinds[n % 2][0]} name {n}", "output": kinds[n % 2][1]} for n in range(80)
    ]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    train = {"steps": 100, "batch": 8, "learning_rate": 5e-3, "keep": {"evaluate": 0, "save": 0}}
    data = {"path": str(folder / "rows.json"), "held_out": 0, "system": "Answer."}
    asked = {"model": str(base), "data": data, "out": str(folder / "run"), "train": train}
    return api.train({**asked, "method": "full", "generate": {"max_new_tokens": 12}})


def settings(folder: Path, model: Path | str, rows: Any = ROWS, **more: Any) -> dict[str, Any]:
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    out = str(folder / "answers.jsonl")
    return {"model": str(model), "data": str(folder / "rows.json"), "out": out, **more}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def plainly(folder: Path, questions: list[str], new: int = 12) -> list[tuple[str, bool]]:
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    answers = []
    for question in questions:
        chat = [{"role": "system", "content": "Answer."}, {"role": "user", "content": question}]
        row = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")[
            "input_ids"
        ]
        output = model.generate(
            row, attention_mask=torch.ones_like(row), do_sample=False, max_new_tokens=new
        )
        ids = output[0, row.shape[1] :].tolist()
        answers.append(
            (tokenizer.decode(ids, skip_special_tokens=True).strip(), tokenizer.eos_token_id in ids)
        )
    return answers


def test_a_folder_and_a_run_answer_as_plain_transformers(
    teacher: RunFolder, tmp_path: Path
) -> None:
    export(teacher, tmp_path / "merged")
    expected = plainly(tmp_path / "merged", [row["instruction"] for row in ROWS])
    ended = {n: text for n, (text, whole) in enumerate(expected) if whole and text}
    assert 0 < len(ended) < len(ROWS), (
        "some of the answers must be cut for this test to say something"
    )
    by_run = api.generate(settings(tmp_path, teacher.path))
    rows = read(tmp_path / "answers.jsonl")
    assert {row["n"]: row["messages"][-1]["content"] for row in rows} == ended
    assert rows[0]["messages"][:2] == [
        {"role": "system", "content": "Answer."},
        {"role": "user", "content": ROWS[rows[0]["n"]]["instruction"]},
    ]
    assert by_run.finishes.get("length", 0) == sum(
        not whole for _, whole in expected
    ) and by_run.written == len(ended)
    (tmp_path / "answers.jsonl").unlink()
    asked = settings(
        tmp_path, tmp_path / "merged", teacher={"cut": "keep"}, generate={"max_new_tokens": 12}
    )
    api.generate(asked, ["data.system=Answer."])
    rows = read(tmp_path / "answers.jsonl")
    assert [(row["messages"][-1]["content"], row["finish"] == "stop") for row in rows] == [
        one for one in expected if one[0]
    ]


def test_samples_that_were_interrupted_are_those_that_were_not(
    teacher: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "TOGETHER", 4)
    sampled = {"max_new_tokens": 6, "temperature": 1.5, "samples": 2}
    rows = [*ROWS[:5], {"instruction": "中医" * 300, "output": ""}, *ROWS[6:]]
    asked = settings(tmp_path, teacher.path, rows, generate=sampled, teacher={"cut": "keep"})
    assert api.generate(asked).finishes["too long"] == 2
    whole = (tmp_path / "answers.jsonl").read_bytes()
    (tmp_path / "answers.jsonl").unlink()

    class Heard(StopSignal):
        """Hears a signal after eleven answers."""

        looks = 0

        @property
        def received(self) -> str | None:
            self.looks += 1
            return "SIGTERM" if self.looks > 13 else None

        @received.setter
        def received(self, value: str | None) -> None:
            """As it is."""

    with monkeypatch.context() as patched:
        patched.setattr(write, "StopSignal", Heard)
        with pytest.raises(Stopped, match="SIGTERM: stopped after"):
            api.generate(asked)
    assert not (tmp_path / "answers.jsonl").exists()
    account = api.generate(asked)
    assert 12 <= account.earlier < 16, (
        "it stopped within rows that are answered together, after the one too long"
    )
    assert account.finishes["too long"] == 2
    assert (tmp_path / "answers.jsonl").read_bytes() == whole
    texts = [row["messages"][-1]["content"] for row in read(tmp_path / "answers.jsonl")]
    assert len(set(texts)) > 10


@pytest.mark.slow  # 2 s
def test_a_student_of_another_vocabulary_trains_on_the_text(
    teacher: RunFolder, tmp_path: Path
) -> None:
    student = tiny_model(tmp_path / "student")
    text = (
        (student / "tokenizer.json").read_text(encoding="utf-8").replace("<|endoftext|>", "<|end|>")
    )
    (student / "tokenizer.json").write_text(text, encoding="utf-8")
    asked = settings(tmp_path, teacher.path)
    distill = {"model": str(student), "data": asked["data"], "out": str(tmp_path / "d")}
    made = api.plan({**distill, "objective": {"name": "distill", "teacher": str(teacher.path)}})
    (told,) = [problem.text for problem in made.problems if problem.where == "objective.teacher"]
    commands = (
        f"tunesmith generate model={teacher.path} data={asked['data']} out=answers.jsonl, then "
        f"tunesmith sft model={student}"
    )
    assert commands in told
    written = api.generate(asked).written
    run = api.train(
        {
            "model": str(student),
            "data": asked["out"],
            "out": str(tmp_path / "run"),
            "train": {"steps": 2, "batch": 2},
        }
    )
    ledger = run.read(run.ledger)
    assert ledger["files"][0]["reader"] == "messages" and ledger["rows"] == written


TURNS = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
]
FORMS: dict[str, Any] = {
    "instruction alone": {"instruction": "a c"},
    "question with another column": {"question": "a c", "label": "x", "text": "y", "id": 3},
    "prompt": {"prompt": "a c"},
    "turns that end with a question": {"messages": TURNS},
    "turns that end with an answer": {"messages": [*TURNS, {"role": "assistant", "content": "d"}]},
    "sharegpt": {
        "conversations": [{"from": "human", "value": "a c"}, {"from": "gpt", "value": "d"}]
    },
    "a pair": {"prompt": "a c", "chosen": "d", "rejected": "e"},
    "history": {
        "instruction": "c",
        "input": "",
        "output": "d",
        "history": [["a", "b"]],
        "system": "s",
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_with_and_without_answers_are_asked_and_trained_on(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.data.reading import examples
    from tunesmith.settings.run import Data
    from tunesmith.teaching.questions import Questions
    from tunesmith.teaching.written import row_of, written

    (tmp_path / "rows.json").write_text(json.dumps([FORMS[form]] * 3), encoding="utf-8")
    asked = list(Questions(Data(path=str(tmp_path / "rows.json"))).asked())
    assert len(asked) == 3
    row = row_of(
        asked[0],
        written("<think>\nhm\n</think>\n\nx", cut=False, tokens=1),
        teacher="t",
        system=None,
    )
    assert row["messages"][-1] == {"role": "assistant", "reasoning_content": "hm", "content": "x"}
    assert " ".join(turn["content"] for turn in row["messages"] if turn["role"] == "user") == "a c"
    assert row.get("reference") == ("d" if '"d"' in json.dumps(FORMS[form]) else None)
    assert [turn.get("weight") for turn in row["messages"] if turn.get("content") == "b"] in (
        [],
        [0],
    )
    if "label" in FORMS[form]:
        assert (row["row_label"], row["row_text"], row["id"]) == ("x", "y", 3)
    (tmp_path / "answers.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    ((_, chat),) = examples(Data(path=str(tmp_path / "answers.jsonl")))
    assert chat.answer == "x" and chat.turns[-1].reasoning == "hm"  # type: ignore[union-attr]


def test_an_answer_under_another_name_is_asked_for(tmp_path: Path) -> None:
    from tunesmith.settings.run import Data
    from tunesmith.teaching.questions import Questions

    (tmp_path / "rows.json").write_text(
        json.dumps([{"instruction": "a", "reply": "b", "response": "b"}] * 3), encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"data.columns.*question: instruction, answer: response"):
        Questions(Data(path=str(tmp_path / "rows.json")))
    named = {"question": "instruction", "answer": "response"}
    (first, *_) = Questions(Data(path=str(tmp_path / "rows.json"), columns=named)).asked()
    assert (first.chat.turns[-1].content, first.reference, first.columns) == (
        "a",
        "b",
        {"reply": "b"},
    )


@pytest.mark.slow  # 2 s
def test_an_adapter_is_told_from_its_base_and_from_another(
    tiny_llama: Path, tmp_path: Path
) -> None:
    found = []
    for seed in (0, 1):
        asked = settings(tmp_path, tiny_llama) | {"out": str(tmp_path / f"run{seed}")}
        run = api.train(asked | {"train": {"steps": 1, "batch": 2, "seed": seed}})
        found.append(local.Local(settings_of(settings(tmp_path, run.path))).identity())
    found.append(local.Local(settings_of(settings(tmp_path, tiny_llama))).identity())
    assert len({one["model"] for one in found}) == 3


def test_what_asks_nothing_is_left_out_or_refused(teacher: RunFolder, tmp_path: Path) -> None:
    call = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}],
    }
    rows = [
        {"messages": [{"role": "user", "content": "name 1"}]},
        {"messages": [{"role": "user", "content": " "}]},
    ]
    rows.append(
        {"messages": [{"role": "user", "content": "x"}, call, {"role": "tool", "content": "1"}]}
    )
    long = {"messages": [{"role": "user", "content": "中医" * 300}]}
    account = api.generate(settings(tmp_path, teacher.path, [*rows, long], teacher={"cut": "keep"}))
    assert (account.rows, account.left) == (4, {"no question": 1, "tools": 1})
    assert account.finishes["too long"] == 1 and account.written == 1
    assert [line.split(":")[0] for line in account.lines()[1:3]] == ["left out 1", "left out 1"]
    (tmp_path / "labels.csv").write_text(
        "text,label\ngood film,pos\nbad film,neg\n", encoding="utf-8"
    )
    (tmp_path / "answers.jsonl").unlink()
    with pytest.raises(DataError, match="classify"):
        api.generate(settings(tmp_path, teacher.path) | {"data": str(tmp_path / "labels.csv")})
    with pytest.raises(
        SpecError,
        match=r"data.system: .* is a finished run and is asked with the settings it was trained with",
    ):
        api.generate(settings(tmp_path, teacher.path), ["data.system=x"])
    with pytest.raises(SpecError, match="teacher: is only for `tunesmith generate`"):
        api.plan(settings(tmp_path, teacher.path, teacher={"requests": 1})).require()
