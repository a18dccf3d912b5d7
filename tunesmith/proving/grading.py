"""Grades of what the contenders of a proof wrote: by the user's own function, by tests that run
code, by an encoder, by a judge. They are given once, and stand in items.jsonl.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Chat
from tunesmith.metrics import METRICS, Grades, Metric, Written
from tunesmith.plain import JsonObject, Named, Row
from tunesmith.proving.record import Record
from tunesmith.rewards import REWARDS, Asked
from tunesmith.rollout.scoring import Fault, Scorer
from tunesmith.settings.problems import problems_of
from tunesmith.settings.prove import Prove
from tunesmith.settings.run import Run
from tunesmith.settings.yaml_file import read_yaml
from tunesmith.words import metric_name, say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item

NAMED_FAULTS = 5
"""Faults of a metric that a proof holds, at most."""


def with_metrics(run: Run, added: Sequence[str | Mapping[str, object]]) -> Run:
    """Returns the run with more metrics; one is a name, ``metric.py:polite``, or a mapping with its
    settings, which may be written as YAML.
    """
    if not added:
        return run
    read = [
        read_yaml(metric_given, "--metric")
        if isinstance(metric_given, str) and "{" in metric_given
        else metric_given
        for metric_given in added
    ]
    try:
        more = Prove.model_validate({"metrics": [*run.prove.metrics, *read]}).metrics
    except ValidationError as error:
        raise SpecError(problems_of(error, Prove, ("prove",))) from None
    return run.model_copy(update={"prove": run.prove.model_copy(update={"metrics": more})})


def graders(run: Run) -> dict[str, Metric]:
    """Returns the metrics of the run that grade, by the setting that names each."""
    metrics = {
        f"prove.metrics.{number}": METRICS.make(config)
        for number, config in enumerate(run.prove.metrics)
        if isinstance(config, BaseModel)
    }
    return {
        setting: metric_made
        for setting, metric_made in metrics.items()
        if metric_made.reads == "grade"
    }


def graders_work(run: Run) -> Iterator[Problem]:
    """Requires that each metric that grades is named once, has its settings, and could begin."""
    grading = graders(run)
    names = [metric_known.key for metric_known in grading.values()]
    for setting, metric_known in grading.items():
        if names.count(metric_known.key) > 1:
            yield Problem(setting, say("metrics.twice", metric=metric_known.key))
    primary = run.prove.primary
    alone = primary if primary in METRICS.names() and primary not in names else None
    if alone is not None and METRICS.get(alone).reads == "grade":
        yield Problem("prove.primary", say("metrics.no_settings", metric=primary))
    for setting, metric_known in grading.items():
        try:
            metric_known.check()
            scorer = _scorer(metric_known, setting)
            if scorer is not None:
                scorer.check()
        except SpecError as error:
            yield from (_placed(problem, setting) for problem in error.problems)


def judges_are_others(run: Run, contenders: Sequence[str]) -> Iterator[Problem]:
    """Refuses a judge that is a contender itself, each known by address and name: a model prefers
    its own answers (Panickssery et al. 2024).
    """
    for setting, metric_known in graders(run).items():
        if metric_known.asks in contenders:
            yield Problem(setting, say("metrics.judge_contends", judge=metric_known.asks))


def _placed(problem: Problem, place: str) -> Problem:
    where = problem.where
    return problem if where.startswith(place) else replace(problem, where=f"{place}.{where}")


def _scorer(metric: Metric, place: str) -> Scorer | None:
    wanted = metric.reward()
    if wanted is None:
        return None
    return Scorer([REWARDS.config(wanted)], metric.patience, place, [place])


def grade(
    known: Mapping[str, Metric],
    records: Sequence[Record],
    items: Sequence[Item],
    primary: str,
    **told: Any,
) -> JsonObject:
    """Adds to each record the grades of its answers by each metric, named by its setting; returns
    by metric how many got none, and why.

    ``told`` holds what a metric needs beside the answers: ``kept`` and ``progress``. An item that a
    metric did not grade for each contender is left out of that metric for all of them. Raises
    DataError where the deciding metric graded nothing: the answers are kept, so that the next
    proof begins there.
    """
    accounts: JsonObject = {}
    for setting, metric in known.items():
        grades = _graded(metric, setting, _written(records, items, told))
        _pair(grades)
        for index, record in enumerate(records):
            record.grades[metric.key] = {
                name: values[index] for name, values in grades.values.items()
            }
        first = next(iter(grades.values.values()), [])
        accounts[metric.key] = {
            "items": len(first),
            "ungraded": first.count(None),
            "faults": grades.faults[:NAMED_FAULTS],
            **grades.facts,
        }
        if first.count(None) == len(first) and primary == metric.key:
            why = "; ".join(grades.faults[:NAMED_FAULTS]) or say("metrics.no_opinion")
            raise DataError(Problem(setting, say("metrics.nothing", metric=metric.key, why=why)))
    return accounts


def _written(records: Sequence[Record], items: Sequence[Item], told: Mapping[str, Any]) -> Written:
    rows = {item.id: _row(item) for item in items}
    names = dict.fromkeys(name for record in records for name in record.predictions)
    return Written(
        [record.id for record in records],
        [record.prompt for record in records],
        [str(record.reference) for record in records],
        [rows[record.id] for record in records],
        {name: [record.predictions[name] for record in records] for name in names},
        **told,
    )


def _row(item: Item) -> Row:
    """Returns the row's own columns, which a sampled prompt keeps with its tokens."""
    kept = item.tokens[0].columns.get("row") if item.tokens else None
    if kept is not None:
        return kept
    return item.example.columns if isinstance(item.example, Chat) else {}


def _graded(metric: Metric, place: str, written: Written) -> Grades:
    scorer = _scorer(metric, place)
    if scorer is None:
        return metric.grade(written)
    grades = Grades({}, facts=metric.facts)
    done = 0
    try:
        for name, answers in written.answers.items():
            asked = [
                Asked(key, question, answer, row, reference=reference)
                for key, question, answer, row, reference in zip(
                    written.ids,
                    written.questions,
                    answers,
                    written.rows,
                    written.references,
                    strict=True,
                )
            ]
            values, faults = scorer.scores(asked)
            grades.values[name] = [value for (value,) in values]
            grades.faults += [_told(fault, metric, name) for fault in faults]
            done += 1
            written.progress(done, len(written.answers))
    finally:
        scorer.close()
    return grades


def _told(fault: Fault, metric: Metric, contender: str) -> str:
    where = {"row": fault.row, "metric": metric.key, "contender": contender}
    return say(f"metrics.fault_{fault.kind}", told=fault.told, **where)


def _pair(grades: Grades) -> None:
    """Takes away the grades of an item that lacks one, for all contenders."""
    lists = [*grades.values.values()]
    for index in range(len(lists[0]) if lists else 0):
        if any(values[index] is None for values in lists):
            for values in lists:
                values[index] = None


def grading_lines(grading: Named | None, speak: Callable[..., str] = say) -> list[str]:
    """Returns lines on what a metric could not grade, and on a judge: how often it agrees with
    itself, and what it cost.
    """
    lines: list[str] = []
    for name, account in (grading or {}).items():
        if account["ungraded"]:
            where = {
                "metric": metric_name(name),
                "count": account["ungraded"],
                "of": account["items"],
            }
            why = "; ".join(account["faults"][:2]) or speak("metrics.no_opinion")
            lines.append(speak("metrics.ungraded", why=why, **where))
        if "apart" in account:
            key = "metrics.apart" if account["apart"] else "metrics.with_limits"
            lines.append(speak(key, metric=metric_name(name)))
        if account.get("decided"):
            of, (read, wrote) = account["decided"], account["tokens"]
            shares = {key: round(100 * account[key] / of) for key in ("agreed", "ties")}
            cost = speak("metrics.cost", sum=f"{account['cost']:.4g}") if "cost" in account else ""
            asked = {
                "asked": account["asked_now"],
                "kept": account["replies"] - account["asked_now"],
            }
            asked |= {"judge": account["judge"], "pairs": account["pairs"]}
            lines.append(
                speak("metrics.judged", read=read, written=wrote, cost=cost, **asked, **shares)
            )
    return lines
