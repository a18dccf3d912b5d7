"""A hard prompt: what the base is asked under it, that the same tokens are scored, and what is
refused.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tunesmith import api, words
from tunesmith.errors import SpecError
from tunesmith.events.stream import Events
from tunesmith.examples import Chat, Turn
from tunesmith.models.saved import load_run
from tunesmith.proving.contest import prepared_again
from tunesmith.proving.hard_prompt import asked_under, prompted
from tunesmith.proving.task import task_of

ASKED = "Name the kind of the word that has a meaning: color, animal or number."


def test_the_base_is_scored_under_the_prompt_and_with_examples_too(adapter_run, tmp_path) -> None:
    words.use("en")
    file = tmp_path / "prompt.txt"
    file.write_text(f"{ASKED}\n", encoding="utf-8")
    before = api.prove(adapter_run, items=12, shots=2).to_json()
    proof = api.prove(adapter_run, items=12, shots=2, prompt=str(file))
    found = proof.to_json()
    assert list(found["contenders"]) == [
        "most_frequent",
        "tfidf",
        "base",
        "prompted",
        "few_shot",
        "tuned",
    ]
    assert found["prompt"] == ASKED and len(found["shots"]) == 2
    for name in ("base", "tuned"):
        assert found["contenders"][name] == before["contenders"][name]
    assert found["contenders"]["few_shot"]["nll"] != before["contenders"]["few_shot"]["nll"]
    assert any(line.lstrip().startswith("base under your prompt") for line in proof.lines())
    base = load_run(adapter_run, tuned=False)
    for item in [
        json.loads(line) for line in adapter_run.items.read_text(encoding="utf-8").splitlines()
    ][:3]:
        chat = [{"role": "system", "content": ASKED}, {"role": "user", "content": item["prompt"]}]
        start = base.tokenizer(
            base.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False),
            add_special_tokens=False,
        )["input_ids"]
        answer = base.tokenizer(item["reference"] + "<|im_end|>", add_special_tokens=False)[
            "input_ids"
        ]
        with torch.no_grad():
            logits = base.model(torch.tensor([start + answer])).logits[0].log_softmax(-1)
        total = -sum(float(logits[len(start) + n - 1, token]) for n, token in enumerate(answer))
        assert item["nll"]["prompted"] == pytest.approx([total, len(answer)], abs=1e-3)


def test_columns_in_it_are_filled_and_other_braces_stay() -> None:
    chat = Chat(
        (Turn("system", "old"), Turn("user", "why?"), Turn("assistant", "so")),
        columns={"place": "Rome", "output": "so"},
    )
    under = asked_under(chat, 'In {place}, answer {question} as {"a": 1} or {output}.')
    assert [turn.content for turn in under.turns] == [
        "old",
        'In Rome, answer why? as {"a": 1} or {output}.',
        "so",
    ]
    assert [turn.content for turn in asked_under(chat, "Be short.").turns] == [
        "Be short.",
        "why?",
        "so",
    ]


def test_with_a_template_it_stands_before_it_and_before_the_examples(adapter_run) -> None:
    run = adapter_run.resolved().run
    run = run.model_copy(
        update={"data": run.data.model_copy(update={"template": "Q: {instruction}\nA: {output}"})}
    )
    from tunesmith.data.prepare import prepare

    loaded = load_run(adapter_run, tuned=False)
    prepared = prepare(run, loaded.tokenizer)
    task = task_of(run, prepared, prepared.proof[:3], shots=2)
    under = prompted(task, ASKED, None)
    text = loaded.tokenizer.decode
    assert text(under.prompt(0)) == f"{ASKED}\n\n{text(task.prompt(0))}"
    assert text(under.prompt(0, shots=True)) == f"{ASKED}\n\n{text(task.prompt(0, shots=True))}"
    for shots in (False, True):
        for mine, plain in zip(
            under.sequences(0, shots=shots), task.sequences(0, shots=shots), strict=True
        ):
            assert text(mine.ids_T) == f"{ASKED}\n\n{text(plain.ids_T)}"
            scored = [
                tokens.ids_T[np.flatnonzero(tokens.weights_T)].tolist() for tokens in (mine, plain)
            ]
            assert scored[0] == scored[1] and len(scored[0])


def test_what_cannot_be_a_prompt_is_refused(adapter_run, tmp_path) -> None:
    words.use("en")
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    (tmp_path / "long.txt").write_text("word " * 400, encoding="utf-8")
    for name, told in (
        ("none.txt", "there is no file"),
        ("empty.txt", "is empty; write the prompt"),
        ("long.txt", "and the model 512"),
    ):
        with pytest.raises(SpecError, match=told):
            api.prove(adapter_run, items=4, shots=0, prompt=str(tmp_path / name))
    run = adapter_run.resolved().run
    prepared = prepared_again(adapter_run, run, load_run(adapter_run).tokenizer, Events())
    task = task_of(run, prepared, prepared.proof[:3], shots=0)
    with pytest.raises(SpecError, match="a hard prompt is for conversations"):
        prompted(replace(task, prompts=[]), ASKED, None)
