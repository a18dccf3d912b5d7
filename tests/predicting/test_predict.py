"""Prediction equals plain transformers on the exported folder, and keeps the user's rows as they
are.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from material.fast import slow_but
from material.proved import labelled, trained
from tunesmith import api, words
from tunesmith.data.asked_rows import needed
from tunesmith.errors import DataError, SpecError
from tunesmith.export.make import export
from tunesmith.predicting.predictor import Predictor
from tunesmith.settings.run import Data

ASKED = ["xyz red uvw zzz", "two", "vvv cow", "a blue zzz xyz uvw xyz uvw", "dog dog"]


def plainly(folder: Path, questions: list[str], new: int = 24) -> list[str]:
    """What the three usual lines of transformers answer, row by row."""
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    answers = []
    for question in questions:
        chat = [{"role": "user", "content": question}]
        row = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")[
            "input_ids"
        ]
        output = model.generate(
            row, attention_mask=torch.ones_like(row), do_sample=False, max_new_tokens=new
        )
        answers.append(tokenizer.decode(output[0, row.shape[1] :], skip_special_tokens=True))
    return answers


@pytest.mark.slow  # 4 s
def test_answers_are_those_of_plain_transformers_on_the_saved_model(label_run):
    found = api.load(label_run).predict([{"instruction": question} for question in ASKED])
    assert [row["prediction"] for row in found] == plainly(label_run.model, ASKED)
    assert len({row["prediction"] for row in found} & {"color", "animal", "number"}) > 1


@pytest.mark.slow  # 4 s
def test_answers_of_an_adapter_are_those_of_the_merged_model(adapter_run, tiny_llama, tmp_path):
    from peft import PeftModel

    merged = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_llama), adapter_run.model
    ).merge_and_unload()
    merged.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(adapter_run.model).save_pretrained(tmp_path)
    found = api.predict(adapter_run, [{"instruction": question} for question in ASKED])
    assert [row["prediction"] for row in found] == plainly(tmp_path, ASKED)


@pytest.mark.parametrize("objective", slow_but(["sft"], ["sft", "distill", "dpo"]))
def test_answers_are_those_of_the_pipeline_on_the_exported_folder(
    objective, adapter_run, tiny_llama, tmp_path
):
    from transformers import pipeline

    run = adapter_run
    if objective != "sft":
        rows = labelled(60)
        asked = {
            "name": objective,
            **({"teacher": str(tiny_llama)} if objective == "distill" else {"sft": 1.0}),
        }
        if objective == "dpo":
            rows = [
                {
                    "prompt": row["instruction"],
                    "chosen": row["output"],
                    "rejected": row["instruction"],
                }
                for row in rows
            ]
        more = {
            "method": {"name": "lora", "rank": 8},
            "train": {"steps": 12, "learning_rate": 5e-3, "keep": {"evaluate": 0}},
        }
        run = trained(tmp_path, tiny_llama, rows, objective=asked, **more)
    ours = [
        row["prediction"]
        for row in api.predict(run, [{"instruction": question} for question in ASKED])
    ]
    ask = pipeline("text-generation", model=str(export(run, tmp_path / "exported").out))
    theirs = ask([[{"role": "user", "content": question}] for question in ASKED])
    assert ours == [one[0]["generated_text"][-1]["content"] for one in theirs] and any(ours)


def test_columns_are_kept_and_the_answer_may_be_there_empty_or_missing(label_run):
    model = Predictor(label_run)
    rows = [
        {"id": 7, "instruction": "red xyz", "input": "", "output": "color", "note": {"a": [1]}},
        {"id": 8, "instruction": "red xyz", "output": ""},
        {"id": 9, "instruction": "red xyz", "output": None},
        {"id": 10, "instruction": ["red xyz"]},
    ]
    kept = [dict(row) for row in rows]
    found = model.predict(rows)
    assert rows == kept
    assert [
        {key: value for key, value in row.items() if key != "prediction"} for row in found
    ] == kept
    assert len({row["prediction"] for row in found}) == 1
    assert [list(row)[-1] for row in found] == ["prediction"] * 4


def test_a_column_of_that_name_is_not_overwritten(label_run):
    found = api.predict(
        label_run,
        [{"instruction": "red", "prediction": "mine"}, {"instruction": "two", "prediction_1": 0}],
    )
    assert found[0]["prediction"] == "mine" and found[1]["prediction_1"] == 0
    assert all("prediction_2" in row for row in found)


def test_the_files_own_column_names_are_understood_without_the_answer(text_run):
    model = Predictor(text_run)
    row = {"问": "第1号：甘草治什么？", "编号": 1}
    ask = partial(model.objective.output.ask, model)
    assert ask(row).tolist() == ask(row | {"答": "补气"}).tolist()
    assert "甘草治什么" in model.loaded.tokenizer.decode(ask(row))
    assert set(model.predict([row])[0]) == {"问", "编号", "prediction"}


def test_rows_without_a_question_are_all_named_before_any_is_answered(label_run):
    words.use("en")
    with pytest.raises(DataError) as caught:
        api.predict(
            label_run,
            [
                {"instruction": "red"},
                {"text": "?"},
                {"instruction": "  "},
                {"instruction": {"a": 1}},
            ],
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 problems:"
    assert (
        lines[1]
        .strip()
        .startswith("2: has no question: it is missing or empty. The row has the columns text")
    )
    assert "The row has the columns text;" in lines[1], "not those that a reader fills in"
    assert lines[1].endswith("without the answer: instruction, input"), "as the file has them"
    assert lines[2].strip().startswith("3: has no question") and lines[3].strip().startswith(
        "4:instruction:"
    )


def test_no_rows_give_no_rows(label_run):
    assert api.predict(label_run, []) == []


def test_rows_that_fail_alike_are_told_once(label_run):
    words.use("en")
    bad = [{"foo": str(n)} for n in range(60)]
    with pytest.raises(DataError) as caught:
        api.predict(label_run, [{"instruction": "red"}, *bad])
    told = str(caught.value)
    assert "\n" not in told and told.startswith("2: has no question")
    assert told.endswith(": instruction, input (the same in 59 more rows: 3, 4, 5, 6, 7, …)")
    with pytest.raises(DataError) as caught:
        api.predict(label_run, [*bad, {"instruction": " "}])
    assert len(str(caught.value).splitlines()) == 3


def test_the_columns_that_are_needed_are_the_files_own(text_run):
    words.use("en")
    with pytest.raises(DataError, match=r"without the answer: 问$"):
        api.predict(text_run, [{"question text": "甘草"}])


@pytest.mark.parametrize(
    "rows", ["a text", ["a text"], None, {"instruction": "a"}, [{"instruction": "a"}, 3]], ids=str
)
def test_what_is_no_rows_is_answered_with_a_row_that_is(label_run, rows):
    words.use("en")
    with pytest.raises(
        SpecError,
        match=r'Give .*{"instruction": "…", "input": "…"}.*: the columns of the training file',
    ):
        api.load(label_run).predict(rows)


@pytest.mark.parametrize(
    ("reader", "columns", "read_as", "wanted"),
    [
        ("alpaca", ["id", "instruction", "input", "output"], {}, ["instruction", "input"]),
        (
            "completion",
            ["n", "Frage", "Antwort"],
            {"question": "Frage", "answer": "Antwort"},
            ["Frage"],
        ),
        ("messages", ["id", "dialog"], {}, ["dialog"]),
        ("labelled", ["id", "review", "sentiment"], {}, ["review"]),
        ("text_pair", ["sentence1", "sentence2", "score"], {}, ["sentence1", "sentence2"]),
        ("source_target", ["document", "summary"], {}, ["document"]),
        ("preference", ["prompt", "chosen", "rejected"], {}, ["prompt"]),
        ("feedback", ["prompt", "completion", "label"], {}, ["prompt"]),
        (
            "reasoning",
            ["Question", "CoT", "A"],
            {"question": "Question", "reasoning": "CoT", "answer": "A"},
            ["Question"],
        ),
    ],
)
def test_needed_columns_leave_the_answer_out(reader, columns, read_as, wanted):
    file = {"reader": reader, "columns": columns, "read_as": read_as}
    assert needed(Data(path="x"), [file, file], answers=False) == [wanted]
    if reader == "completion":
        assert needed(Data(path="x"), [file], answers=True) == [["Frage", "Antwort"]]
        assert needed(
            Data(path="x", template="{n}: {Frage}\n{Antwort}"), [file], answers=False
        ) == [["n", "Frage"]]


def test_several_samples_give_a_list(label_run):
    model = Predictor(label_run)
    settings = model.run.generate.model_copy(update={"samples": 3, "temperature": 2.0})
    model.run = model.run.model_copy(update={"generate": settings})
    found = model.predict([{"instruction": "red"}, {"instruction": "two"}])
    assert [len(row["prediction"]) for row in found] == [3, 3]
    assert model.predict([{"instruction": "red"}, {"instruction": "two"}]) == found


def test_a_conversation_is_answered(label_run):
    model = api.load(label_run)
    assert (
        model.chat([{"role": "user", "content": "xyz red uvw zzz"}])
        == plainly(label_run.model, ["xyz red uvw zzz"])[0]
    )
    with pytest.raises(DataError, match="has no question"):
        model.chat([{"role": "user", "content": " "}])


def test_the_base_answers_too(label_run):
    base = Predictor(label_run, tuned=False).predict([{"instruction": ASKED[0]}])
    assert base != api.predict(label_run, [{"instruction": ASKED[0]}])
