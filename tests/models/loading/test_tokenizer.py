"""A tokenizer read by the class that its folder names is the one that AutoTokenizer gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from conftest import byte_tokenizer, tiny_model
from material.two_sided import tiny_pair
from tunesmith.data.rendering.encoder_decoder import KEY
from tunesmith.errors import ModelError
from tunesmith.models.finding.hub import find_model
from tunesmith.models.loading.tokenizer import QUICK, _named_class, load_tokenizer

TEXTS = (
    "What is the name of this?",
    "  two  spaces\n\nand lines\t",
    "中医药知识问题 🙂 naïve ĳ",
    "<|im_start|>user\n[MASK] <s> </s><|im_end|>",
    "",
)
CHAT = [
    {"role": "user", "content": "What is the name of this?"},
    {"role": "assistant", "content": "答案"},
]


def same(ours, theirs) -> None:
    """Asserts that two tokenizers cannot be told apart by what is asked of them."""
    assert type(ours) is type(theirs)
    for text in TEXTS:
        for special in (True, False):
            assert (
                ours(text, add_special_tokens=special).data
                == theirs(text, add_special_tokens=special).data
            ), text
        ids = ours(text)["input_ids"]
        for skip in (True, False):
            assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(
                ids, skip_special_tokens=skip
            )
    assert ours("a", "b").data == theirs("a", "b").data
    assert ours.get_vocab() == theirs.get_vocab()
    assert len(ours) == len(theirs)
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.all_special_ids == theirs.all_special_ids
    assert ours.added_tokens_decoder == theirs.added_tokens_decoder
    assert ours.chat_template == theirs.chat_template
    if ours.chat_template:
        written = [
            one.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
            for one in (ours, theirs)
        ]
        assert written[0] == written[1]
    for name in ("padding_side", "truncation_side", "model_max_length", "model_input_names"):
        assert getattr(ours, name) == getattr(theirs, name), name
    ours.init_kwargs.pop(KEY, None)
    assert ours.init_kwargs == theirs.init_kwargs


def both(folder: Path) -> tuple[object, object]:
    return load_tokenizer(folder), AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.mark.parametrize("path", ["starter", "package:minilm"])
def test_models_of_wheels(path):
    folder = find_model(path)
    assert _named_class(folder, json.loads((folder / "config.json").read_text())) is not None
    same(*both(folder))


def test_a_tiny_model_and_what_is_saved_of_it(tiny_llama, tmp_path):
    same(*both(tiny_llama))
    load_tokenizer(tiny_llama).save_pretrained(tmp_path / "ours")
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(tmp_path / "theirs")
    written = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("ours", "theirs")
    ]
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in QUICK.items() for name in sorted(names)]
)
@pytest.mark.parametrize("ending", ["", "Fast"])
def test_each_class_in_the_table(kind, name, ending, tmp_path, tiny_llama):
    """AutoTokenizer takes the class that is named, for no model type of the table another."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    if name == "BertTokenizer":
        source = find_model("package:minilm")
        shutil.copy(source / "tokenizer.json", folder / "tokenizer.json")
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": 40000}))
    told = json.loads((folder / "tokenizer_config.json").read_text())
    named = name.removesuffix("Fast") + ending if name != "TokenizersBackend" else name
    told["tokenizer_class"] = named
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    same(*both(folder))


@pytest.mark.parametrize("change", ["no tokenizer.json", "own code", "another type", "no class"])
def test_what_the_names_do_not_tell_is_left_to_transformers(change, tmp_path):
    byte_tokenizer(tmp_path)
    told = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config = {"model_type": "llama", "vocab_size": 404}
    assert _named_class(tmp_path, config) is not None
    if change == "no tokenizer.json":
        (tmp_path / "tokenizer.json").unlink()
    elif change == "another type":
        config["model_type"] = "mistral"
    elif change == "own code":
        told["auto_map"] = {"AutoTokenizer": ["own.Own", None]}
    else:
        del told["tokenizer_class"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    assert _named_class(tmp_path, config) is None


def test_a_model_of_two_sides_tells_its_start(tmp_path):
    tokenizer = load_tokenizer(tiny_pair(tmp_path))
    assert set(tokenizer.init_kwargs[KEY]) == {"start", "end"}


def test_more_tokens_than_rows_are_refused(tmp_path):
    folder = tiny_model(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))
    with pytest.raises(ModelError, match="100"):
        load_tokenizer(folder)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_config_that_is_none_is_said(text, tmp_path):
    byte_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match="tokenizer"):
        load_tokenizer(tmp_path)
