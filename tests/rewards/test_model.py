"""Reward models as rewards: each reads an answer as it does on its own, whatever the policy's
vocabulary, and a run on its numbers goes on with the same bits.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tunesmith as ts
from conftest import CHATML, byte_tokenizer
from material import runs
from material.headed import encoder
from material.written_rows import written
from tunesmith.errors import TunesmithError
from tunesmith.planning.make import make
from tunesmith.predicting.predictor import Predictor
from tunesmith.rewards import REWARDS, Asked
from tunesmith.rollout.rewarding import Rewarding
from tunesmith.settings.run import validate, with_overrides
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train

QUESTION = "How far is it?"
TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
TEXTS = ["a good film", "", "Go away! " * 3, "bad"]
LABELS = {0: "bad", 1: "good"}
TINY: dict[str, Any] = {"rank": 2}


def asked(*texts: str) -> list[Asked]:
    return [Asked(f"r:{n}", QUESTION, text, {}, TURNS) for n, text in enumerate(texts)]


def made(run: object, **settings: Any) -> Any:
    return REWARDS.make(REWARDS.config({"name": "model", "run": str(run), **settings}))


@pytest.fixture(scope="module")
def scores(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that learned to score answers."""
    folder = tmp_path_factory.mktemp("scores")
    settings = {
        "model": str(tiny_llama),
        "data": {"path": str(written(folder / "pairs.jsonl", 24)), "held_out": 0},
        "out": str(folder / "run"),
        "objective": "reward",
        "method": {"name": "lora", **TINY},
        "train": {"steps": 3, "batch": 8, "learning_rate": 1e-2, "machine": {"threads": 1}},
    }
    return ts.train(settings)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of two classes, with a vocabulary of its own."""
    folder, cls = tmp_path_factory.mktemp("classes"), "AutoModelForSequenceClassification"
    names = {"id2label": LABELS, "label2id": {name: n for n, name in LABELS.items()}}
    return encoder(folder, cls=cls, **names)


@pytest.fixture(scope="module")
def one_number(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model of another toolkit: a decoder with one output and a chat template."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    folder = tmp_path_factory.mktemp("one_number")
    byte_tokenizer(folder)
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=404,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        num_labels=1,
        pad_token_id=3,
        bos_token_id=None,
        eos_token_id=2,
    )
    model = LlamaForSequenceClassification(config)
    torch.nn.init.normal_(model.score.weight, std=1.0)
    model.save_pretrained(folder)
    return folder


def test_a_run_of_ours_gives_the_scores_that_it_predicts(scores: RunFolder) -> None:
    rows = [
        {"messages": [*TURNS, {"role": "assistant", "content": text}]} for text in TEXTS if text
    ]
    wanted = [row["prediction"] for row in Predictor(scores).predict(rows)]
    found = made(scores.path).rewards(asked(*TEXTS))
    assert [found[n] for n in (0, 2, 3)] == pytest.approx(wanted, abs=1e-6)
    assert np.isfinite(found[1]), "an empty answer has a score too"


@pytest.mark.parametrize("logit", [False, True])
def test_a_class_of_a_classifier_is_its_probability(classes: Path, logit: bool) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(classes).eval()
    tokenizer = AutoTokenizer.from_pretrained(classes)
    with torch.no_grad():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0] for text in TEXTS]
    wanted = [float((one if logit else one.softmax(-1))[1]) for one in logits]
    found = made(classes, label="good", logit=logit).rewards(asked(*TEXTS))
    assert found == pytest.approx(wanted, abs=1e-6)
    both = made(classes, label="good", logit=logit, reads="conversation").rewards(asked(*TEXTS))
    assert both != pytest.approx(found, abs=1e-4), "with the question it is another text"


def test_a_reward_model_reads_the_whole_conversation(one_number: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(one_number).eval()
    tokenizer = AutoTokenizer.from_pretrained(one_number)
    assert tokenizer.chat_template == CHATML
    wanted = []
    for text in ("yes", "no good"):
        chat = [*TURNS, {"role": "assistant", "content": text}]
        ids = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)[
            "input_ids"
        ]
        ids = ids[:, : 1 + int((ids == 2).nonzero()[-1, 1])]  # to the token that ends the answer
        with torch.no_grad():
            wanted.append(float(model(input_ids=ids).logits))
    assert made(one_number).rewards(asked("yes", "no good")) == pytest.approx(wanted, abs=1e-5)
    long = made(one_number).rewards(asked("far too long " * 40))
    assert np.isfinite(long[0]), "what it cannot read whole is cut"


def test_what_gives_no_number_is_refused_in_one_line(
    scores: RunFolder, classes: Path, one_number: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    cases = [
        ({"run": classes}, "gives 2 numbers (bad, good), and a reward is one: name one of them"),
        ({"run": classes, "label": "great"}, "has no class 'great'; it has: bad, good"),
        ({"run": one_number, "label": "good"}, "gives one number and no classes; leave label out"),
        ({"run": tiny_llama}, "is a LlamaForCausalLM, and gives no number"),
        ({"run": tmp_path / "gone"}, "gone"),
    ]
    for settings, wanted in cases:
        with pytest.raises(TunesmithError) as error:
            made(**settings).check()
        assert wanted in str(error.value) and "\n" not in str(error.value)
    writer = tmp_path / "writer"
    one = runs.resolved(writer, tiny_llama, **{"train.steps": 1})
    train(one, runs.data_of(one))
    with pytest.raises(TunesmithError, match="learned sft, which gives no number"):
        made(writer).check()


SAMPLED: dict[str, Any] = {
    "objective": "grpo",
    "train.batch": 4,
    "train.steps": 4,
    "train.keep": {"evaluate": 2, "save": 2, "keep": 9},
    "train.warmup": 0,
}


def source(run: object, **settings: Any) -> dict[str, Any]:
    rewards = {"name": "model", "run": str(run), **settings}
    return {"rewards": rewards, "samples": 4, "max_new_tokens": 12, "timeout": 60}


def test_the_plan_names_the_reward_and_counts_its_weights(
    tiny_llama: Path, classes: Path, tmp_path: Path
) -> None:
    def plan(name: str, **overrides: Any) -> Any:
        plain = runs.asked(tmp_path / name, tiny_llama).model_dump(mode="json", exclude_unset=True)
        return make(validate(with_overrides(plain, SAMPLED | overrides)))

    problems = "\n".join(map(str, plan("bad", source=source(classes)).problems))
    assert problems.startswith("source.rewards.0: ") and "gives 2 numbers" in problems
    with_model = plan("good", source=source(classes, label="good"))
    assert not with_model.problems
    plain = plan("plain", source=source("", label="x") | {"rewards": "json"})
    beside = [one.facts["memory_terms_gib"]["beside"] for one in (with_model, plain)]
    weights = sum(file.stat().st_size for file in classes.glob("*.safetensors"))
    assert beside[0] - beside[1] == pytest.approx(weights / 2**30, rel=0.2)


@pytest.mark.slow  # 23 s
def test_a_run_on_a_reward_model_is_calibrated_and_goes_on_the_same(
    tiny_llama: Path, one_number: Path, tmp_path: Path
) -> None:
    out, settings = tmp_path / "run", SAMPLED | {"source": source(one_number)}
    one = runs.resolved(out, tiny_llama, **settings)
    straight = train(one, runs.data_of(one))
    told = [line for line in straight.steps() if "teaching" in line]
    weights = runs.weights(straight.model)
    raw, scaled = ([line[name] for line in told] for name in ("reward/model", "reward"))
    slope, shift = np.polyfit(raw, scaled, 1)
    assert np.allclose(np.array(raw) * slope + shift, scaled, atol=1e-6), "one scale for all steps"
    assert slope > 0 and abs(scaled[0]) < 1, "near that of the first answers"
    shutil.rmtree(out / "checkpoints" / "step-00000004")
    shutil.rmtree(straight.model)
    one = runs.resolved(out, tiny_llama, **settings)
    train(one, runs.data_of(one), resume=True)
    assert runs.weights(straight.model) == weights
    again = [line for line in straight.steps() if "teaching" in line]
    assert [line["reward"] for line in again] == scaled


def test_calibrated_answers_have_mean_0_and_spread_1(classes: Path) -> None:
    config = {"name": "model", "run": str(classes), "label": "good", "calibrate": True}
    rewards = [REWARDS.config(config), REWARDS.config("json")]
    rewarding = Rewarding(rewards, [2.0, 1.0], 60.0)
    table_nR = np.array([[0.1, 1.0], [0.5, 0.0], [np.nan, 1.0], [0.6, 1.0]])
    rewarding.calibrate(table_nR)
    sums_n = rewarding.sums(table_nR)
    assert sums_n[2] == 1.0, "what abstains adds nothing"
    scaled = (sums_n - table_nR[:, 1])[[0, 1, 3]] / 2
    assert scaled.mean() == pytest.approx(0, abs=1e-9) and scaled.std(ddof=1) == pytest.approx(1)
