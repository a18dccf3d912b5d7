"""No prompt and no answer goes beyond the places that a model has, and what is cut is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import byte_tokenizer
from material.headed import encoder
from material.two_sided import tiny_pair
from tunesmith import api
from tunesmith.errors import DataError
from tunesmith.export.make import export
from tunesmith.models.calling.generate import generate
from tunesmith.models.calling.room import Room
from tunesmith.models.loading.load import load_model
from tunesmith.predicting.chat import Session
from tunesmith.settings.run import Generate

PLACES = 128


def gpt2(folder: Path) -> Path:
    """A tiny random GPT-2 with learned positions, and settings of generation that contradict each
    other.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    byte_tokenizer(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=404,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=PLACES,
        bos_token_id=None,
        eos_token_id=2,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    settings = {"do_sample": False, "temperature": 0.6, "top_p": 0.9, "eos_token_id": 2}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


def trained(folder: Path, model: Path, **settings: object) -> api.RunFolder:
    data = folder / "rows.jsonl"
    rows = [{"question": f"who is {n}?", "answer": f"{n * 7 % 13}"} for n in range(60)]
    if settings.get("objective") == "classify":
        rows = [{"text": f"a {n} cat", "label": "odd" if n % 2 else "even"} for n in range(60)]
    data.write_text("\n".join(map(json.dumps, rows)))
    train = {"steps": 1, "keep": {"evaluate": 0}}
    asked = {"model": str(model), "data": str(data), "out": str(folder / "run"), "train": train}
    return api.train(asked | settings)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> api.RunFolder:
    folder = tmp_path_factory.mktemp("small")
    return trained(folder, gpt2(folder / "model"))


def test_an_answer_ends_where_the_places_end_and_is_the_same_in_any_company(tmp_path: Path):
    loaded = load_model(gpt2(tmp_path), dtype=torch.float32, device="cpu")
    assert loaded.limit == PLACES
    draw = np.random.default_rng(0)
    prompts = [draw.integers(4, 300, length) for length in (127, 20, 126, 126, 90, 5)]
    asked = Generate(max_new_tokens=64)
    together = generate(loaded.model, loaded.tokenizer, prompts, asked, stop_ids=())
    room = Room.of(loaded.model, loaded.tokenizer, asked)
    for prompt, answer in zip(prompts, together, strict=True):
        (alone,) = generate(loaded.model, loaded.tokenizer, [prompt], asked, stop_ids=())
        assert alone.ids == answer.ids
        assert len(answer.ids) == room.answer(len(prompt)) == min(64, PLACES - len(prompt))
    with pytest.raises(DataError, match="128 tokens, and the model reads at most 128"):
        generate(loaded.model, loaded.tokenizer, [np.arange(4, 132)], asked, stop_ids=())


@pytest.mark.slow  # 1 s
def test_a_template_with_nothing_before_the_answer_asks_nothing_and_says_so(tmp_path: Path):
    model = gpt2(tmp_path / "model")
    data = {"path": str(tmp_path / "rows.jsonl"), "template": "{answer}", "train_on": "everything"}
    run = trained(tmp_path, model, data=data, prove={"items": 4})
    with pytest.raises(DataError, match=r"no token at all.*data\.template.*{question}"):
        api.load(run).predict([{"question": "who?"}])


def test_rows_longer_than_a_model_reads_are_named_before_any_is_answered(small):
    long = {"question": "who " * 200}
    with pytest.raises(DataError) as error:
        api.load(small).predict([{"question": "who?"}, long, long])
    told = str(error.value)
    assert "2: is too long" in told and "takes 128 tokens" in told and "row: 3)" in told
    (answered,) = api.load(small).predict([{"question": "who?"}])
    assert isinstance(answered["prediction"], str)


@pytest.mark.slow  # 1 s
def test_an_encoder_keeps_no_place_for_the_answer_and_says_none(tmp_path: Path):
    run = trained(tmp_path, tiny_pair(tmp_path / "model", "bart"))
    with pytest.raises(DataError) as error:
        api.load(run).predict([{"question": "who " * 400}])
    assert "the model reads at most 256 tokens" in str(error.value)
    assert "reserved" not in str(error.value)


def test_a_run_that_cuts_its_rows_cuts_those_that_are_asked_and_says_how_many(tmp_path: Path):
    model = gpt2(tmp_path / "model")
    run = trained(
        tmp_path, model, data={"path": str(tmp_path / "rows.jsonl"), "too_long": "truncate"}
    )
    heard: list[str] = []
    rows = [{"question": "who?"}, {"question": "who " * 200}]
    assert len(api.load(run).predict(rows, tell=heard.append)) == 2
    assert heard == [
        "1 of 2 rows were longer than the 128 tokens that the model reads, and were cut"
    ]


def test_a_classifier_names_the_class_of_a_text_longer_than_it_reads(tmp_path: Path):
    model = encoder(tmp_path / "model")
    run = trained(tmp_path, model, objective="classify", questions=["cat " * 400])
    heard: list[str] = []
    rows = [{"text": "a cat " * 300}, {"text": "a dog"}]
    found = api.load(run).predict(rows, tell=heard.append)
    assert len(heard) == 1 and heard[0].startswith("1 of 2 rows")
    # What stands behind the cut changes nothing; what stands before it does.
    other = api.load(run).predict([{"text": "a cat " * 200 + "a dog " * 100}, {"text": "a dog"}])
    assert [row["probabilities"] for row in found] == [row["probabilities"] for row in other]
    assert found[0]["probabilities"] != found[1]["probabilities"]


@pytest.mark.slow  # 1 s
def test_a_pair_that_is_cut_on_both_sides_is_one_row(tmp_path: Path):
    model, data = gpt2(tmp_path / "model"), tmp_path / "pairs.jsonl"
    pairs = [{"prompt": f"谁{n}？", "chosen": f"他{n}", "rejected": f"她{n}"} for n in range(40)]
    data.write_text("\n".join(map(json.dumps, pairs)))
    asked = {"model": str(model), "data": {"path": str(data), "too_long": "truncate"}}
    train = {"steps": 1, "keep": {"evaluate": 0}}
    run = api.train(asked | {"objective": "reward", "out": str(tmp_path / "run"), "train": train})
    heard: list[str] = []
    long = {"prompt": "头痛三日" * 40, "chosen": "宜辛温解表", "rejected": "不知道"}
    found = api.load(run).predict([pairs[0], long], tell=heard.append)
    assert len(found) == 2
    assert len(heard) == 1 and heard[0].startswith("1 of 2 rows")


def test_no_length_beyond_the_model_is_advised(tmp_path: Path):
    """The tokenizer of many models names no limit; their positions do."""
    model, data = gpt2(tmp_path / "model"), tmp_path / "rows.jsonl"
    rows = [{"question": f"{n}" + "头痛三日" * 40, "answer": "宜辛温解表"} for n in range(20)]
    data.write_text("\n".join(map(json.dumps, rows)))
    asked = {"model": str(model), "data": str(data), "out": str(tmp_path / "run")}
    (problem,) = api.plan(asked).problems
    assert "longer than 128 tokens" in problem.text and "data.max_length=" not in problem.text
    assert "data.too_long=drop" in problem.text
    (split,) = api.plan(asked | {"data": {"path": str(data), "too_long": "split"}}).problems
    assert split.where == "data.too_long"


def test_a_conversation_with_few_places_goes_on(small):
    session = Session(small)
    for question in ("who?", "who is it, and where?", "why " * 6):
        answer = "".join(session.say(question))
        asked, said = session.turns[-2:]
        assert (asked.content, said.content) == (question, answer.strip())
    assert session.forgotten > 0, "there is no room for all of it"


@pytest.mark.slow  # 2 s
def test_settings_of_generation_that_contradict_each_other_stop_no_export(small, tmp_path: Path):
    from transformers import AutoModelForCausalLM

    done = export(small, tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(done.out)
    assert model.generation_config.eos_token_id == [2]
