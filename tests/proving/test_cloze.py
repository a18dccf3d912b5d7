"""A hard prompt for a masked model: its scores are those of a direct call, and what is no cloze is
refused by name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from material.classified import rows, trained
from material.headed import THREE, encoder
from tunesmith import api, words
from tunesmith.errors import ModelError, SpecError
from tunesmith.examples import Labelled, Outputs
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.structure.masked import load_masked
from tunesmith.proving.cloze import Cloze, Reader, read_cloze, scores
from tunesmith.storage.run_folder import RunFolder

PROMPT = "animal: cat, dog\ncolor: [red]\nnumber: two\n---\nwhat of {text} is [MASK] ."


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder(tmp_path_factory.mktemp("bert"), cls="AutoModelForMaskedLM")


@pytest.fixture(scope="module")
def run(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    short = {"epochs": 1, "learning_rate": 1e-2, "keep": {"evaluate": 0, "save": 0}}
    return trained(tmp_path_factory.mktemp("run"), bert, train=short)


def prove(run: RunFolder, folder: Path, text: str) -> Any:
    (folder / "prompt.txt").write_text(text, encoding="utf-8")
    return api.prove(run, items=24, prompt=str(folder / "prompt.txt"))


@pytest.mark.slow  # 4 s
def test_the_base_stands_in_the_table_with_the_scores_of_a_direct_call(
    run: RunFolder, bert: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    proof = prove(run, tmp_path, PROMPT)
    assert list(proof.found["contenders"]) == ["most_frequent", "tfidf", "prompted", "tuned"]
    assert set(proof.found["contenders"]["prompted"]) == set(proof.found["contenders"]["tuned"])
    text = "\n".join(proof.lines())
    assert (
        "base under your prompt" in text
        and "its words: cat / dog → animal, red → color, two → number." in text
    )
    model, tokenizer = (
        AutoModelForMaskedLM.from_pretrained(bert).eval(),
        AutoTokenizer.from_pretrained(bert),
    )
    items = [json.loads(line) for line in run.items.read_text(encoding="utf-8").splitlines()]
    assert len(items) == 24
    for item in items:
        told = tokenizer(f"what of {item['prompt']} is [MASK] .", return_tensors="pt")
        place = int((told["input_ids"][0] == tokenizer.mask_token_id).nonzero())
        with torch.no_grad():
            chances = model(**told).logits[0, place].softmax(-1)
        cat, dog, red, two = (
            chances[tokenizer.convert_tokens_to_ids(word)] for word in ("cat", "dog", "red", "two")
        )
        shares = torch.stack([(cat + dog) / 2, red, two])
        wanted = dict(
            zip(("animal", "color", "number"), (shares / shares.sum()).log().tolist(), strict=True)
        )
        assert item["options"]["prompted"] == pytest.approx(wanted, abs=1e-4)
        assert item["choices"]["prompted"] == max(wanted, key=lambda label: wanted[label])


def test_a_roberta_counts_its_positions_and_a_long_text_loses_its_end(tmp_path: Path) -> None:
    folder = encoder(
        tmp_path / "m",
        "roberta",
        cls="AutoModelForMaskedLM",
        pad_token_id=0,
        max_position_embeddings=33,
    )
    tokenizer, model = load_tokenizer(folder), load_masked(folder, device="cpu")
    cloze = read_cloze(PROMPT, THREE, pairs=False)
    reader = Reader(cloze, tokenizer, 32)
    both = [Labelled("red " * 90), Labelled("a [MASK] cat")]
    found, lost = scores(model, reader, both)
    assert lost == 1 and len(reader.row(both[0])[0]) == 32
    assert tokenizer.decode(reader.row(both[0])[0].ids_T[-4:]) == "is [MASK]. [SEP]"
    alone, _ = scores(model, reader, both[1:])
    assert found[1] == pytest.approx(alone[0], abs=1e-5), "padding changes nothing"
    with pytest.raises(SpecError, match="takes 7 tokens with its answer, and the model 6"):
        Reader(cloze, tokenizer, 6).row(both[0])


def test_a_pair_has_two_places_and_a_row_cannot_write_one() -> None:
    cloze = Cloze("{text} ? [MASK] , {second}", {})
    assert cloze.filled("a {second}", "b [MASK]", "<mask>") == "a {second} ? <mask> , b [MASK]"


def test_a_word_is_cut_as_it_would_stand_at_the_mask() -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        special_tokens=["<unk>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator(["it was good", "it was bad", "good", "bad"] * 9, trainer)
    # RoBERTa's mask takes the space before it, so that the word there begins with one.
    mask = AddedToken("<mask>", lstrip=True, special=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, mask_token=mask, unk_token="<unk>", pad_token="<pad>"
    )
    two = Outputs(("bad", "good"), "single_label_classification")
    for text, begin in (("{text} it was [MASK]", "Ġ"), ("[MASK] it was {text}", "")):
        found = Reader(read_cloze(text, two, pairs=False), tokenizer, 99).tokens(Labelled("it"))
        assert tokenizer.convert_ids_to_tokens([found["bad"][0], found["good"][0]]) == [
            f"{begin}bad",
            f"{begin}good",
        ]


WRONG = [
    (
        "what of {text} is it",
        "[MASK] occurs 0 times in this prompt, and these rows need it 1 time",
    ),
    ("[MASK] [MASK]", "{text} occurs 0 times in this prompt, and these rows need it 1 time"),
    (
        "{text} {second} [MASK]",
        "{second} occurs 1 time in this prompt, and these rows need it 0 times",
    ),
    (
        "plant: cat\n---\n{text} [MASK]",
        "plant is not a label of these rows; known: animal, color, number",
    ),
    ("no list\n---\n{text} [MASK]", "the part above --- must list words"),
    (
        "{text} [MASK]",
        "animal (animal) is not one token at [MASK], but a ##n ##i ##m ##a ##l",
    ),
    (
        "animal: cat\ncolor: cat\nnumber: two\n---\n{text} [MASK]",
        "cat stands for color and for animal",
    ),
    (
        "animal: cat\ncolor: 海\nnumber: two\n---\n{text} [MASK]",
        "海 (color) is not in the vocabulary",
    ),
]


@pytest.mark.parametrize(("text", "told"), WRONG, ids=lambda text: text[:24])
def test_what_is_no_cloze_is_refused(text: str, told: str, bert: Path) -> None:
    found = {}
    for language in ("en", "zh"):
        words.use(language)
        with pytest.raises(SpecError) as caught:
            Reader(read_cloze(text, THREE, pairs=False), load_tokenizer(bert), 99).tokens(
                Labelled("a cat")
            )
        assert {problem.where for problem in caught.value.problems} == {"prove.prompt"}
        found[language] = " ".join(problem.text for problem in caught.value.problems)
    assert told in found["en"] and found["en"] != found["zh"]


def test_labels_that_are_not_one_of_several_are_refused() -> None:
    with pytest.raises(SpecError, match="a cloze names one label out of several"):
        read_cloze("{text} [MASK]", Outputs(("value",), "regression"), pairs=False)


def test_a_base_without_a_trained_head_for_masks_is_refused(
    tmp_path: Path, tiny_llama: Path
) -> None:
    with pytest.raises(ModelError, match="has no trained head to fill masks"):
        load_masked(encoder(tmp_path / "trunk"), device="cpu")
    with pytest.raises(ModelError, match="llama is not one"):
        load_masked(tiny_llama, device="cpu")


def test_a_run_that_asks_nothing_in_words_refuses_a_prompt(bert: Path, tmp_path: Path) -> None:
    graded = [
        {"sentence1": row["text"], "sentence2": row["text"][::-1], "score": n % 5 / 4}
        for n, row in enumerate(rows(60))
    ]
    (tmp_path / "rows.json").write_text(json.dumps(graded), encoding="utf-8")
    settings = {
        "model": str(bert),
        "data": str(tmp_path / "rows.json"),
        "out": str(tmp_path / "run"),
        "objective": "embed",
    }
    made = api.train(settings | {"train": {"steps": 1, "keep": {"evaluate": 0}}})
    with pytest.raises(SpecError, match="the proof of embed asks no question in words"):
        prove(made, tmp_path, PROMPT)
    with pytest.raises(
        SpecError, match="shots: has no effect: the proof of embed shows no examples"
    ):
        api.prove(made, shots=2)
