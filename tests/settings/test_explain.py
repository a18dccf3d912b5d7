"""Help as data: what a page holds is what the classes say, and all of it is plain JSON."""

from __future__ import annotations

import json

import pytest

import tunesmith as ts
from tunesmith.cli.show_explain import lines
from tunesmith.errors import SpecError
from tunesmith.settings.explain import every_setting
from tunesmith.settings.families import FAMILIES
from tunesmith.settings.family import METHODS, METRICS, READERS
from tunesmith.settings.run import Run

PATHS = ["", *every_setting(), *FAMILIES]


@pytest.mark.parametrize("path", PATHS)
def test_every_page_is_json_and_has_lines(path: str) -> None:
    pages = ts.explain(path)
    told = json.loads(json.dumps([page.to_json() for page in pages]))
    assert [one["path"] for one in told] == [page.path for page in pages]
    assert all(line == line.rstrip() for line in lines(pages)) and len(lines(pages)) > 1


def test_all_settings_are_the_groups_and_settings_of_a_run() -> None:
    (page,) = ts.explain()
    assert page.kind == "start" and [one.path for one in page.entries] == [*Run.model_fields]
    (train,) = ts.explain("train")
    assert train.kind == "group"
    epochs = next(one for one in train.entries if one.path == "train.epochs")
    assert (
        epochs.value is not None
        and float(str(epochs.value.default))
        == Run(
            model="m",
            data="d",
            out="o",  # type: ignore[arg-type]
        ).train.epochs
    )


def test_a_setting_that_must_be_given_has_no_default_and_one_left_open_a_mark() -> None:
    (out,) = ts.explain("out")
    (rate,) = ts.explain("train.learning_rate")
    assert out.value is not None and out.value.default is None
    assert rate.value is not None and rate.value.default == "-"


def test_a_plug_in_says_its_own_facts() -> None:
    (lora,) = ts.explain("method.lora")
    known = METHODS.get("lora")
    assert lora.facts == {
        "learning_rate": known.learning_rate,
        "source": known.source,
        "search": list(known.search),
    }
    assert [one.name for one in lora.entries] == [
        name for name in known.Config.model_fields if name != "name"
    ]
    (family,) = ts.explain("metrics")
    assert {one.name: one.facts["higher_is_better"] for one in family.entries} == {
        name: METRICS.get(name).higher for name in METRICS.names()
    }
    (reader,) = ts.explain("alpaca")
    assert reader.facts == {"columns": READERS.get("alpaca").fields}


def test_a_family_comes_with_its_setting_and_a_name_of_two_things_with_both() -> None:
    assert [page.kind for page in ts.explain("method")] == ["setting", "family"]
    assert {"model.path", "data.path"} <= {page.path for page in ts.explain("path")}
    with pytest.raises(SpecError, match="did you mean 'lora'"):
        ts.explain("method.lroa")
