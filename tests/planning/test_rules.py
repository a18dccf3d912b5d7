"""Rules of a plan that say what a model of each objective can be chosen by, one refusal each."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.planning import rules
from tunesmith.settings.run import Run, validate


def run(objective: Any = "sft", **data: object) -> Run:
    settings = {"model": "m", "out": "run", "objective": objective, "data": {"path": "x", **data}}
    rewards = {"source": {"rewards": [{"name": "length", "target": 9}]}}
    return validate(settings | (rewards if objective == "grpo" else {}))


def by(run: Run, name: str) -> Run:
    keep = run.train.keep.model_copy(update={"best_by": name})
    return run.model_copy(update={"train": run.train.model_copy(update={"keep": keep})})


def told(run: Run) -> list[str]:
    every = (rules.known_names, rules.objective_fits, rules.source_fits, rules.metric_fits)
    return [str(problem) for rule in every for problem in rule(run)]


@pytest.mark.parametrize(
    ("objective", "name", "words"),
    [
        ("dpo", "mrr", "dpo does not measure 'mrr'; it has loss, accuracy, margin"),
        ("dpo", "bleu", "dpo does not measure 'bleu'; it has loss, accuracy, margin"),
        ("kto", "margin", "there is no 'margin'"),
        ("grpo", "bleu", "grpo does not measure 'bleu'; it has loss, reward"),
        ("embed", "bleu", "embed does not measure 'bleu'; it has loss, recall_at_1"),
        ("reward", "bleu", "reward does not measure 'bleu'; it has loss, accuracy, margin"),
        ("pretrain", "bleu", "learns from plain text, which has none; use loss"),
        ("sft", "mrr", "that a model of the objective sft does not give; use loss or accuracy"),
        ("classify", "bleu", "use loss or accuracy, calibration_error"),
    ],
)
def test_a_measure_that_the_model_does_not_give_is_refused_once(
    objective: str, name: str, words: str
) -> None:
    (problem,) = told(by(run(objective), name))
    assert problem.startswith("train.keep.best_by: ") and words in problem


@pytest.mark.parametrize(
    ("objective", "name"),
    [("dpo", "margin"), ("grpo", "reward"), ("pretrain", "nll"), ("sft", "bleu")],
)
def test_a_measure_that_it_gives_is_taken(objective: str, name: str) -> None:
    assert told(by(run(objective), name)) == []


@pytest.mark.parametrize("inner", ["sft", "dpo", "pretrain"])
def test_a_wrapper_is_judged_by_what_it_wraps(inner: str) -> None:
    wrapped: Any = {"name": "distill_to_base", "of": inner}
    for settings in ({"too_long": "split"}, {"train_on": "everything"}, {"template": "{answer}"}):
        own = told(run(inner, **settings))
        of_it = told(run(wrapped, **settings))
        assert [one.partition(": ")[0] for one in of_it] == [one.partition(": ")[0] for one in own]
    assert told(run("dpo", train_on="everything")) and told(run("pretrain", template="{answer}"))
    assert told(run("pretrain", too_long="split")) == [] != told(run("dpo", too_long="split"))
