"""What may be searched, and what is said of a space that is none."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.errors import SpecError
from tunesmith.report.search_page import typed
from tunesmith.searches.engines import Space
from tunesmith.searches.spaces import spaces_of, with_values
from tunesmith.settings.given import settings_of
from tunesmith.settings.run import Run
from tunesmith.words import say


def run(over: Any, **settings: Any) -> Run:
    return settings_of(
        {"model": "m", "data": "d", "out": "o", "search": {"over": over}, **settings}
    )


def test_ranges_and_lists_are_read() -> None:
    over = {
        "train.learning_rate": "log(1e-5, 1e-3)",
        "method.dropout": "uniform(0, 0.2)",
        "method.rank": "int(4,64)",
        "method.variant": ["plain", "rslora"],
    }
    found = spaces_of(run(over))
    assert list(found) == list(over)
    assert found["train.learning_rate"] == Space("log", 1e-5, 1e-3)
    assert found["train.learning_rate"].at(0.5) == 1e-4
    assert [found["method.rank"].at(share) for share in (0.0, 0.5, 0.999)] == [4, 34, 64]
    assert [found["method.variant"].at(share) for share in (0.49, 0.5)] == ["plain", "rslora"]


def test_a_range_in_braces_and_a_path_with_dots_mean_the_same() -> None:
    braces = settings_of(
        {"model": "m", "data": "d", "out": "o"},
        ["search.over={train.learning_rate: log(1e-5, 1e-3), method.rank: [4, 8]}"],
    )
    dotted = settings_of(
        {"model": "m", "data": "d", "out": "o"},
        ["search.over.train.learning_rate=log(1e-5, 1e-3)", "search.over.method.rank=[4, 8]"],
    )
    assert spaces_of(braces) == spaces_of(dotted) and len(spaces_of(braces)) == 2


def test_without_a_space_the_methods_own_rates_are_searched() -> None:
    (space,) = spaces_of(run({}, method="ia3")).values()
    assert (space.kind, space.low, space.high) == ("log", 1e-3, 2e-2)


@pytest.mark.parametrize(
    ("path", "space", "told"),
    [
        ("data.max_length", [128, 256], "data.max_length is not among these"),
        ("train.seed", [1, 2], "train.seed is not among these"),
        ("train.learning_rate", "log(0, 1e-3)", "begin above 0"),
        ("train.learning_rate", "1e-5..1e-3", "is not a range"),
        ("train.learning_rate", "uniform(2, 1)", "is empty"),
        ("train.learning_rate", "log(1e-5, inf)", "is empty"),
        ("train.learning_rate", "log(a, b)", "is not a range"),
        ("method.rank", "int(1.5, 4)", "whole numbers"),
        ("method.rank", [8], "nothing to choose from"),
        ("method.rank", [8, 8], "nothing to choose from"),
        ("method.rank", 8, "nothing to choose from"),
        ("method.rank", "log(4, 64)", "int(4, 64) gives whole numbers"),
        ("train.batch", "uniform(1, 4)", "must be a whole number; got 2.15; int(1, 4)"),
        ("objective.name", ["sft", "dpo"], "objective.name is not among these"),
        ("method.rank", [0, 8], "must be above 0"),
        ("method.rnak", [4, 8], "rank"),
        ("method.name", ["lora", "lroa"], "lora"),
    ],
)
def test_what_cannot_be_searched_is_told_at_its_path(path: str, space: Any, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        spaces_of(run({path: space}))
    (problem,) = caught.value.problems
    assert problem.where == f"search.over.{path}" and told in problem.text


def test_a_setting_of_any_method_that_is_drawn_may_be_searched() -> None:
    over = {"method.rank": [4, 8], "method.name": ["lora", "ia3"]}
    assert set(spaces_of(run(over, method="ia3"))) == set(over)
    for wrong, told in (
        ({"method.rank": [0, 8]}, "must be above 0"),
        ({"method.p": [1, 2]}, "no such"),
    ):
        with pytest.raises(SpecError) as caught:
            spaces_of(run({**over, **wrong}, method="ia3"))
        (problem,) = caught.value.problems
        assert problem.where == f"search.over.{next(iter(wrong))}" and told in problem.text


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        spaces_of(run({"train.learning_rate": "log(1, 0)", "method.rank": ["many", 4]}))
    assert len(caught.value.problems) == 2


def test_a_drawn_method_keeps_only_what_it_has() -> None:
    asked = run({"method.name": ["lora", "ia3"]}, method={"name": "lora", "rank": 4})
    other = with_values(asked, {"method.name": "ia3", "method.rank": 16})
    assert other.method.name == "ia3" and other.search is None
    same = with_values(asked, {"method.name": "lora", "method.rank": 16})
    assert (same.method.name, same.method.rank) == ("lora", 16)


@pytest.mark.parametrize(
    ("objective", "path", "by"),
    [("dpo", "objective.beta", "accuracy"), ("classify", "objective.label_smoothing", "accuracy")],
)
def test_trials_whose_losses_are_not_the_same_loss_are_not_compared_by_it(
    objective: str, path: str, by: str
) -> None:
    space = {path: "uniform(0.05, 0.3)"}
    with pytest.raises(SpecError, match=f"train.keep.best_by={by}") as caught:
        spaces_of(run(space, objective=objective))
    assert caught.value.problems[0].where == f"search.over.{path}"
    chosen = {"keep": {"best_by": by}}
    assert [*spaces_of(run(space, objective=objective, train=chosen))] == [path]
    # Of sft the plain likelihood is measured, whatever the training adds to it.
    assert spaces_of(run({"objective.neftune": [0, 5]}))


def test_a_trial_is_told_without_the_settings_that_its_method_lacks() -> None:
    drawn = {"method.name": "ia3", "method.rank": 16, "train.learning_rate": 0.01}
    assert typed(drawn) == "method.name=ia3 train.learning_rate=0.01"
    assert typed({**drawn, "method.name": "lora"}).count("=") == 3
    assert typed({"method": {"name": "ia3"}, "method.rank": 4}) == "method={'name': 'ia3'}"
    assert typed({}) == say("search.own")
