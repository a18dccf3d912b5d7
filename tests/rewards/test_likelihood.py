"""The likelihood of the row's answer is that of transformers, over the answer's tokens alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from conftest import CHATML
from tunesmith.errors import SpecError
from tunesmith.rewards import REWARDS, Asked

TURNS = [{"role": "user", "content": "2 + 2?"}]
TEXTS = ["Two and two.", "No idea, really."]


@pytest.fixture(scope="module")
def chatty(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chatty")
    AutoModelForCausalLM.from_pretrained(tiny_llama).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    return folder


def test_the_mean_probability_of_the_answers_tokens(chatty: Path):
    reward = REWARDS.make(REWARDS.config({"name": "likelihood", "run": str(chatty)}))
    asked = [Asked("r", "2 + 2?", text, {"answer": "four"}, TURNS) for text in TEXTS]
    found = reward.rewards(asked)
    tokenizer = AutoTokenizer.from_pretrained(chatty)
    model = AutoModelForCausalLM.from_pretrained(chatty).eval()
    for text, value in zip(TEXTS, found, strict=True):
        said = [
            {"role": "assistant", "content": text},
            {"role": "user", "content": "So the answer is:"},
        ]
        before = tokenizer.apply_chat_template(
            [*TURNS, *said], add_generation_prompt=True, tokenize=False
        )
        ids = tokenizer(before, add_special_tokens=False)["input_ids"]
        right = tokenizer("four<|im_end|>", add_special_tokens=False)["input_ids"]
        logits = model(torch.tensor([ids + right])).logits[0, len(ids) - 1 : -1].log_softmax(-1)
        wanted = logits[torch.arange(len(right)), torch.tensor(right)].mean().exp().item()
        assert value == pytest.approx(wanted, rel=1e-4)
    assert found[0] != found[1]


def test_a_row_without_the_column_and_a_model_without_turns_are_named(chatty: Path, tmp_path: Path):
    reward = REWARDS.make(REWARDS.config({"name": "likelihood", "run": str(chatty)}))
    reward.check()
    with pytest.raises(KeyError, match="answer"):
        reward.rewards([Asked("row:7", "2 + 2?", "four", {}, TURNS)])
    plain = AutoTokenizer.from_pretrained(chatty)
    plain.chat_template = None
    AutoModelForCausalLM.from_pretrained(chatty).save_pretrained(tmp_path)
    plain.save_pretrained(tmp_path)
    with pytest.raises(SpecError, match="has no chat template"):
        REWARDS.make(REWARDS.config({"name": "likelihood", "run": str(tmp_path)})).check()
