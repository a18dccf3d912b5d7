"""What each blend is worth: its score on the validation rows, what it kept of the suites, and the
point that is chosen from both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.data.items import fingerprint
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.plain import JsonObject
from tunesmith.predicting.engine import TorchEngine
from tunesmith.proving.interrupted import Kept
from tunesmith.proving.judge import judge, metric
from tunesmith.proving.parity_rows import lines_of, together
from tunesmith.proving.retention import Asker, weigh
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.models.loading.load import Loaded
    from tunesmith.settings.run import Run
    from tunesmith.suites import Question, Suite


@dataclass(frozen=True)
class Asked:
    """What every blend is asked. ``weights`` tells the run's weights from any others."""

    run: Run
    prepared: Prepared
    items: list[Item]
    """Validation rows."""
    suites: list[tuple[Suite, list[Question]]]
    kept: Kept
    weights: str
    events: Events

    def of(self, alpha: float, loaded: Loaded) -> JsonObject:
        """Asks one blend; returns its lines of the rows, the metrics of these, and what it said to
        each suite.
        """
        name = named(alpha)
        rows = f"rows {fingerprint(self.items)} {self.weights} {name}"
        by_rows = self.kept.value(rows, lambda: self._rows(name, loaded))
        asker = Asker(
            say("blend.at", alpha=name),
            loaded,
            self.prepared.render,
            self.kept,
            f"{self.weights} {name}",
            self.events.progress_of,
        )
        said = {suite.title: asker.ask(suite, questions) for suite, questions in self.suites}
        return {"alpha": alpha, **by_rows, "suites": said}

    def _rows(self, name: str, loaded: Loaded) -> JsonObject:
        self.events.phase(say("blend.at", alpha=name), 0, len(self.items))
        output = self.prepared.objective.output
        engines = {name: TorchEngine(loaded)}
        contest = output.measure(self.run, self.prepared, self.items, engines, {})
        if contest is None:
            text = say("blend.no_metric", objective=self.run.objective.name)
            raise SpecError(Problem("objective", text))
        return {"lines": lines_of(contest), "primary": contest.primary}


def named(alpha: float) -> str:
    """Returns what a blend is called."""
    return f"{alpha:g}"


def points(
    blends: Sequence[JsonObject], suites: Sequence[tuple[Suite, list[Question]]], *, seed: int
) -> list[JsonObject]:
    """Compares each of the blends, of which the base is the first, with the base: its score and its
    suites, with intervals.
    """
    base = blends[0]
    margins = {suite.title: (suite.margin, suite.unit) for suite, _ in suites}
    made = []
    for blend in blends:
        task = _task(base, blend, seed)
        kept = weigh(_suite_lines(base, blend, suites), margins, seed=seed)
        made.append({"alpha": blend["alpha"], "task": task, "retention": kept})
    return made


def _task(base: Mapping, one: Mapping, seed: int) -> JsonObject:
    """Returns the score, and its difference to the base's with the ends of its interval."""
    primary = one["primary"]
    blended = named(one["alpha"])
    start = named(base["alpha"])
    lines = together([base["lines"], one["lines"]])
    judged = judge(lines, [primary], seed=seed, judged=blended)
    score = {"score": judged["contenders"][blended][primary]}
    if one is base:
        return score | {"difference": 0.0, "low": 0.0, "high": 0.0}
    compared = judged["differences"][start][primary]
    return score | {name: compared[name] for name in ("difference", "low", "high")}


def _suite_lines(
    base: Mapping, one: Mapping, suites: Sequence[tuple[Suite, list[Question]]]
) -> list[JsonObject]:
    return [
        {
            "suite": suite.title,
            "kind": question.kind,
            "id": question.id,
            "sums": {"base": first["sums"], "tuned": second["sums"]},
        }
        for suite, questions in suites
        for question, first, second in zip(
            questions, base["suites"][suite.title], one["suites"][suite.title], strict=True
        )
    ]


def chosen(made: Sequence[JsonObject], primary: str) -> JsonObject:
    """Chooses the point of the best score among those that lost, in every suite, no more than its
    margin; of equal ones that which is nearer to the base, which is always among them.
    """
    sign = 1 if metric(primary).higher else -1
    allowed = [point for point in made if not _lost(point)]
    return max(allowed, key=lambda point: (sign * point["task"]["score"], -point["alpha"]))


def _lost(one: Mapping) -> bool:
    suites = one["retention"]["suites"].values()
    return any(suite["difference"] < -suite["margin"] for suite in suites)
