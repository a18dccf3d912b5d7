"""What is counted of a model once is read the next time, and counted again when anything that it
follows from has changed.
"""

from __future__ import annotations

import json
import os
import shutil

import pytest

from conftest import tiny_model
from material.architectures import tiny
from tunesmith.errors import ModelError, SpecError
from tunesmith.examples import Outputs
from tunesmith.planning import shape as counting
from tunesmith.planning.shape import shape
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import validate


@pytest.fixture
def counts(tmp_path, monkeypatch):
    """A cache of its own, and a list that grows whenever a model is built."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    seen, real = [], counting._counted

    def counted(*asked):
        seen.append(asked)
        return real(*asked)

    monkeypatch.setattr(counting, "_counted", counted)
    return seen


def run_of(folder, **settings):
    return validate({"model": str(folder), "data": "x", "out": "o"} | settings)


def test_the_second_time_nothing_is_built(tiny_llama, counts):
    first = shape(tiny_llama, run_of(tiny_llama))
    again = shape(tiny_llama, run_of(tiny_llama, train={"epochs": 7}, data="other"))
    assert first == again and len(counts) == 1
    assert first.kind == "decoder" and first.limit == 512 and first.vocabulary == 404


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"method": {"name": "lora", "rank": 4, "variant": "dora"}}, True),
        ({"method": "full"}, True),
        ({"model": {"quantize": "nf4"}}, False),
        ({"model": {"add_tokens": ["<x>"]}}, True),
        ({"objective": "reward"}, True),
    ],
)
def test_what_the_count_follows_from_is_counted_anew(tiny_llama, counts, change, differs):
    first = shape(tiny_llama, run_of(tiny_llama))
    if "model" in change:
        change = {"model": {"path": str(tiny_llama), **change["model"]}}
    assert (shape(tiny_llama, run_of(tiny_llama, **change)) != first) is differs
    assert len(counts) == 2


def test_more_classes_are_counted_anew(tiny_llama, counts):
    run = run_of(tiny_llama, objective="classify")
    three = Outputs(("a", "b", "c"), "single_label_classification")
    assert shape(tiny_llama, run, three).trainable == shape(tiny_llama, run).trainable + 32
    assert len(counts) == 2


def test_other_weights_in_the_same_folder_are_seen(tmp_path, counts):
    folder = tiny_model(tmp_path / "model")
    shape(folder, run_of(folder))
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 48'))
    with pytest.raises(ModelError):
        shape(folder, run_of(folder))
    assert len(counts) == 2


def test_a_method_from_a_file_is_never_kept(tiny_llama, tmp_path, counts, monkeypatch):
    monkeypatch.setattr(METHODS, "_classes", dict(METHODS._classes))
    own = tmp_path / "own.py"
    own.write_text(
        "from tunesmith.methods import METHODS\n"
        "from tunesmith.methods.full import Full\n\n\n"
        "@METHODS.register\n"
        "class Own(Full):\n"
        '    """All weights."""\n'
    )
    for _ in range(2):
        shape(tiny_llama, run_of(tiny_llama, method=str(own)))
    assert len(counts) == 2


def test_a_known_model_is_still_held_against_the_method(tiny_llama, counts, monkeypatch):
    from tunesmith.methods.lora import Lora

    shape(tiny_llama, run_of(tiny_llama))
    monkeypatch.setattr(Lora, "kinds", frozenset({"encoder"}))
    with pytest.raises(SpecError, match="method"):
        shape(tiny_llama, run_of(tiny_llama))
    assert len(counts) == 1


@pytest.mark.parametrize("harm", ["half", "other keys", "a file in its place"])
@pytest.mark.parametrize(("room", "method"), [("shapes", "full"), ("bases", "lora")])
def test_a_cache_in_disorder_costs_only_time(tiny_llama, tmp_path, counts, harm, room, method):
    first = shape(tiny_llama, run_of(tiny_llama, method=method))
    if room == "bases":
        shutil.rmtree(tmp_path / "cache" / "shapes")
    place = tmp_path / "cache" / room
    (note,) = place.iterdir()
    if harm == "half":
        note.write_text(note.read_text()[:20])
    elif harm == "other keys":
        note.write_text(json.dumps({"kept": [1, 2], "parameters": 3}))
    else:
        note.unlink()
        place.rmdir()
        place.write_text("")
    assert shape(tiny_llama, run_of(tiny_llama, method=method)) == first
    assert len(counts) == 2


def test_the_oldest_counts_make_room(tiny_llama, tmp_path, counts, monkeypatch):
    monkeypatch.setattr(counting, "KEPT", 2)
    place = tmp_path / "cache" / "shapes"
    dora = {"name": "lora", "variant": "dora"}
    for age, rank in enumerate((1, 2, 3)):
        shape(tiny_llama, run_of(tiny_llama, method={**dora, "rank": rank}))
        for note in place.iterdir():
            os.utime(note, (age, age)) if note.stat().st_mtime > 100 else None
    assert len(list(place.iterdir())) == 2
    shape(tiny_llama, run_of(tiny_llama, method={**dora, "rank": 3}))
    assert len(counts) == 3


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2_moe", "gemma2"])
@pytest.mark.parametrize("targets", ["all-linear", ".*proj|c_attn"])
def test_lora_on_a_known_base_counts_what_peft_makes_of_it(tmp_path, counts, kind, targets):
    folder = tmp_path / "model"
    tiny(kind).save_pretrained(folder)
    ours = {"name": "lora", "rank": 3, "targets": targets}
    peft = shape(folder, run_of(folder, method=ours))
    (tmp_path / "cache" / "shapes").rename(tmp_path / "elsewhere")
    assert shape(folder, run_of(folder, method=ours)) == peft
    assert len(counts) == 1
    with pytest.raises(SpecError, match=r"method\.rank: 999"):
        shape(folder, run_of(folder, method=ours | {"rank": 999}))
