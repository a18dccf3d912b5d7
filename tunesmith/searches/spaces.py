"""Which settings a search may change, and in which ranges, as a file gives them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.searches.engines import Space
from tunesmith.settings.family import METHODS, METRICS, OBJECTIVES, OPTIMIZERS, method_has
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Run, validate
from tunesmith.words import say

_RANGE = re.compile(r"\s*(log|uniform|int)\s*\(\s*([^,\s]+)\s*,\s*([^,\s]+)\s*\)\s*")
SEARCHED = ("train.", "method", "objective.")
"""What a search may change. The rows, their tokens and the questions stay as they are, so that all
trials are measured alike."""
RATE = "train.learning_rate"
BETWEEN = 0.382
"""Where in a range a value is tried: of few ranges it is a whole number."""
LEFT = ("train.keep", "train.machine", "train.seed", "train.steps", "train.micro_tokens")
LEFT += ("train.rows", "train.split_seed", "objective.name")


def spaces_of(run: Run) -> dict[str, Space]:
    """Returns the spaces that ``search.over`` gives, by path; the learning rate over the method's
    own range where it gives none. Raises SpecError with every problem: a setting that may not be
    searched, a range that is none, a value that the setting does not take.
    """
    assert run.search is not None, "the verb has put it there"
    problems = _given(run)
    if not run.search.over:
        if problems:
            raise SpecError(problems)
        return {RATE: rates_of(run)}
    spaces: dict[str, Space] = {}
    for path, given in run.search.over.items():
        where = f"search.over.{path}"
        if not path.startswith(SEARCHED) or path.startswith(LEFT):
            problems.append(Problem(where, say("search.not_searched", path=path)))
            continue
        if text := _other_loss(run, path):
            problems.append(Problem(where, text))
        try:
            spaces[path] = _space(given)
        except ValueError as error:
            problems.append(Problem(where, str(error)))
    for path, space in spaces.items():
        problems += _refused(run, path, space, _methods(run, spaces))
    if problems:
        raise SpecError(problems)
    return spaces


def rates_of(run: Run) -> Space:
    """Returns the learning rates of the run's method, for its optimizer."""
    low, high = METHODS.make(run.method).search
    factor = OPTIMIZERS.get(run.train.optimizer.name).rate_factor
    return Space("log", low * factor, high * factor)


def _space(given: str | Sequence[Any]) -> Space:
    if not isinstance(given, str):
        different = [value for index, value in enumerate(given) if value not in given[:index]]
        if len(different) < 2:
            raise ValueError(say("search.one_choice", value=list(given)))
        return Space("choices", choices=tuple(different))
    read = _RANGE.fullmatch(given)
    if read is None:
        raise ValueError(say("search.no_range", value=given))
    kind: Any = read[1]
    low = _number(read[2], given)
    high = _number(read[3], given)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(say("search.empty_range", value=given))
    if kind == "log" and low <= 0:
        raise ValueError(say("search.log_of_zero", value=given))
    if kind == "int" and (low != int(low) or high != int(high)):
        raise ValueError(say("search.no_whole_number", value=given))
    return Space(kind, low, high)


def _number(text: str, given: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(say("search.no_range", value=given)) from None


def _other_loss(run: Run, path: str) -> str | None:
    """Says that a setting makes the loss another one, where trials are compared by it: of dpo a
    higher beta alone changes the number, with the same weights.
    """
    objective = OBJECTIVES.make(run.objective)
    chosen_by_loss = run.train.keep.best_by == "loss" and not objective.samples
    if not path.startswith("objective.") or objective.likelihood or not chosen_by_loss:
        return None
    reads = objective.output.best_by
    others = [name for name in METRICS.names() if METRICS.get(name).reads in reads]
    # A plug-in's objective may have no metric of its own, and an output that none fits.
    better = next(iter([*objective.measured(), *others]), "…")
    return say("search.other_loss", path=path, name=run.objective.name, metric=better)


def _methods(run: Run, spaces: Mapping[str, Space]) -> list[str | JsonObject]:
    """Returns the methods that a search may draw, or the run's own."""
    drawn = [
        drawn_method
        for path in ("method", "method.name")
        if path in spaces
        for drawn_method in spaces[path].choices
    ]
    return drawn or [run.method.name]


def _refused(
    run: Run, path: str, space: Space, methods: Sequence[str | JsonObject]
) -> list[Problem]:
    """Returns what the setting itself says to values of a range, or to each choice, with the
    methods that have it.
    """

    def told(value: object) -> list[str]:
        texts: list[str] = []
        for values in _with_a_method(path, value, methods):
            try:
                with_values(run, values)
            except SpecError as error:
                texts += [problem.text for problem in error.problems]
        return texts

    texts = [text for value in space.ends() for text in told(value)]
    if not texts and space.values() is None:
        # Both ends may be whole numbers, which a setting takes that takes nothing between them.
        between = {"low": f"{space.low:g}", "high": f"{space.high:g}"}
        texts = [say("search.between", text=text, **between) for text in told(space.at(BETWEEN))]
    return [Problem(f"search.over.{path}", text) for text in dict.fromkeys(texts)]


def _with_a_method(
    path: str, value: object, methods: Sequence[str | JsonObject]
) -> list[dict[str, Any]]:
    """Returns a value with each method that has the setting; alone where none has it, or where it
    is a setting of something else.
    """
    names = METHODS.names()
    named = [
        method
        for method in methods
        if (method if isinstance(method, str) else method.get("name")) in names
    ]
    if not path.startswith("method.") or path == "method.name":
        return [{path: value}]
    return [{"method": method, path: value} for method in named if method_has(method, path)] or [
        {path: value}
    ]


def _given(run: Run) -> list[Problem]:
    """Returns what is wrong with the settings that an engine was given one by one."""
    assert run.search is not None, "the verb has put it there"
    problems: list[Problem] = []
    for index, values in enumerate(dict(run.search.engine).get("given", ())):
        where = f"search.engine.given.{index}"
        for path in values:
            if not path.startswith(SEARCHED) or path.startswith(LEFT):
                problems.append(Problem(where, say("search.not_searched", path=path)))
        try:
            with_values(run, values)
        except SpecError as error:
            problems += [Problem(where, str(problem)) for problem in error.problems]
    return problems


def with_values(run: Run, values: Mapping[str, Any]) -> Run:
    """Returns the run with a trial's values; raises SpecError for a value that a setting does not
    take. Settings of the method that a drawn method does not have are left out.
    """
    plain: JsonObject = run.model_dump(exclude_unset=True, mode="json", exclude={"search"})
    drawn = {path: value for path, value in values.items() if path not in ("method", "method.name")}
    name = values.get("method", values.get("method.name"))
    if name is not None:
        drawn = {path: value for path, value in drawn.items() if method_has(name, path)}
        if name != run.method.name:
            plain["method"] = name
    return validate(with_overrides(plain, drawn))
