"""The best that a budget buys, from beginning to end: proposed, measured, searched, proved; and
then whether tuning was worth it, and what would help next. What is done is not done again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.automatic.amounts import gib_of, seconds_of, told_time
from tunesmith.automatic.propose import candidates, propose
from tunesmith.automatic.share import FOR_TRAINING, LOOKS, RUNGS, Pace, Share, share
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.plain import JsonObject
from tunesmith.planning.make import make
from tunesmith.planning.plan import Plan
from tunesmith.proving.judge import TUNED, metric
from tunesmith.proving.metric_values import interval_shown, shown
from tunesmith.proving.proof import Proof
from tunesmith.proving.record import OWN, called
from tunesmith.searches.spaces import with_values
from tunesmith.settings.open_values import with_value
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Run, validate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.trials.files import got, put
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.curves.curve import Drawn
    from tunesmith.searches.search import Searched

CURVE = {"shares": [0.25, 0.5, 1.0], "seeds": 1}
"""The cheapest curve that can be fitted."""
DEFAULT_OUT = "runs/auto"
GOAL = ("prove.primary", "train.keep.best_by")
"""The settings that a goal is."""
HELD_OUT = 40
"""Rows kept from training where the usual share leaves too few to choose by and to prove on."""


@dataclass(frozen=True)
class Asked:
    """What a person asks: settings as far as given, and what they may cost."""

    settings: Mapping[str, Any]
    budget: str
    memory: str | None = None
    goal: str | None = None

    def plain(self) -> JsonObject:
        """Returns the settings with memory and goal among them."""
        given: JsonObject = {"out": DEFAULT_OUT, **self.settings}
        if "data" not in given:
            raise SpecError(Problem("data", say("auto.no_data")))
        more: JsonObject = {}
        if self.memory is not None:
            more["train.machine.memory"] = gib_of(self.memory)
        if self.goal is not None:
            try:
                metric(self.goal)
            except SpecError as error:
                raise SpecError(
                    [Problem("goal", problem.text) for problem in error.problems]
                ) from None
            more |= dict.fromkeys(GOAL, self.goal)
        return dict(with_overrides(given, more))

    def named(self, error: SpecError) -> SpecError:
        """Returns the error with the goal under the name by which it was given."""
        goal = GOAL if self.goal is not None else ()
        return SpecError(
            [
                Problem("goal" if problem.where in goal else problem.where, problem.text)
                for problem in error.problems
            ]
        )


@dataclass(frozen=True)
class Verbs:
    """The verbs that do the work, which stand above this room."""

    plan: Callable[[Run], Plan]
    search: Callable[[Run], tuple[Searched, Proof]]
    curve: Callable[[Run], Drawn]


@dataclass(frozen=True)
class Found:
    """What came of it: ``found`` is auto.json."""

    path: Path
    found: JsonObject
    searched: Searched
    proof: Proof
    curve: Drawn | None

    @property
    def best(self) -> RunFolder:
        """The run with the best settings."""
        return self.searched.best

    def lines(self) -> list[str]:
        """Returns what was tried and why, the proof, whether tuning is worth it, and what next."""
        lines = [
            *self.found["decided"]["reasons"],
            "",
            *self.searched.lines(),
            "",
            *self.proof.lines(),
            "",
        ]
        lines += [verdict_line(self.proof), ""]
        if self.curve is not None:
            return [*lines, *self.curve.lines(), "", self._spent()]
        need = told_time(self.found["curve_seconds"])
        command = f"tunesmith curve {self.best.run_yaml} out={self.path / 'curve'}"
        return [*lines, say("auto.next_curve", time=need, command=command), self._spent()]

    def _spent(self) -> str:
        spent, budget = (told_time(self.found[name]) for name in ("seconds", "budget"))
        return say("auto.spent", spent=spent, budget=budget)

    def to_json(self) -> JsonObject:
        """Returns every number."""
        curve = self.curve.to_json() if self.curve is not None else None
        parts = {"search": self.searched.to_json(), "proof": self.proof.to_json(), "curve": curve}
        return {**self.found, **parts}


def auto(asked: Asked, verbs: Verbs, events: Events) -> Found:
    """Goes from rows to the proved best in the folder ``out``; raises SpecError for a budget that
    is too small, and for a folder that holds other work.
    """
    budget = seconds_of(asked.budget)
    plain = asked.plain()
    folder = Path(plain["out"])
    began = time.monotonic()
    with RunFolder(folder).held():
        record = _Record(folder / "auto.json", {**plain, "budget": budget})
        decided = record.read("decided")
        if decided is None:
            try:
                decided = _decide(plain, budget, verbs, events)
            except SpecError as error:
                raise asked.named(error) from None
            record.write("decided", decided)
        else:
            for line in decided["reasons"]:
                events.tell(line)
        spent = record.read("seconds") or 0.0
        run = validate(decided["settings"])
        searched, proof = verbs.search(run)
        spent += time.monotonic() - began
        record.write("seconds", round(spent, 1))
        proving = sum(proof.found.get("seconds", {}).values())
        one_curve = len(CURVE["shares"]) * (decided["whole_seconds"] + proving)
        record.write("curve_seconds", round(one_curve, 1))
        curve = None
        if (folder / "curve").exists() or spent + one_curve <= budget:
            curve = verbs.curve(_of_curve(run, searched.found["best"], folder))
            record.write("seconds", round(spent + time.monotonic() - began, 1))
    return Found(folder, {**record.kept, "budget": budget}, searched, proof, curve)


class _Record:
    """auto.json: what was asked, decided and spent. What was asked may change until the search has
    begun: a setting that was refused is mended, and nothing is lost.
    """

    def __init__(self, path: Path, asked: JsonObject) -> None:
        self.path = path
        begun = (path.parent / "search" / "search.yaml").is_file()
        self.kept: JsonObject = got(path) or {}
        then = self.kept.get("asked")
        if then is None and any(entry.name != ".lock" for entry in path.parent.iterdir()):
            raise SpecError(Problem("out", say("auto.folder_taken", out=path.parent)))
        if then is None or (then != asked and not begun):
            self.kept = {"asked": asked}
        elif then != asked:
            then, asked = _flat(then), _flat(asked)
            names = [name for name in {*then, *asked} if then.get(name) != asked.get(name)]
            text = say("auto.other", out=path.parent, keys=", ".join(sorted(names)))
            raise SpecError(Problem("out", text))

    def read(self, name: str) -> Any:
        """Returns what was written under a name; None before that."""
        return self.kept.get(name)

    def write(self, name: str, value: object) -> None:
        """Keeps a value."""
        self.kept[name] = value
        put(self.path, self.kept)


def _flat(given: Mapping[str, Any], prefix: str = "") -> JsonObject:
    """Returns settings by dotted path."""
    flat: JsonObject = {}
    for name, value in given.items():
        path = f"{prefix}{name}"
        flat |= _flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return flat


def _decide(plain: JsonObject, budget: float, verbs: Verbs, events: Events) -> JsonObject:
    """Returns the settings of the search, why, and what a whole training takes."""
    proposal = propose(plain)
    for line in proposal.reasons:
        events.tell(line)
    run = validate({**proposal.settings, "out": str(Path(plain["out"]) / "search")})
    plan = verbs.plan(run).require()
    reasons = list(proposal.reasons)
    usual = plan.resolved.origins["data.held_out"].kind == "default"
    if not _enough(plan) and usual and sum(plan.facts["rows"].values()) >= 2 * HELD_OUT:
        run = with_value(run, ["data", "held_out"], float(HELD_OUT))
        plan = verbs.plan(run).require()
        reasons.append(say("auto.held_out", rows=HELD_OUT))
    if not _enough(plan):
        raise SpecError(Problem("data.held_out", say("search.needs_watch")))
    facts, train = plan.facts, plan.resolved.run.train
    pace = Pace.of(facts)
    steps = facts["steps"]
    tried, left_out = _that_fit(run, candidates(run), plan)
    reasons += left_out
    afforded = share(budget, pace, steps, len(tried))
    if afforded is None:
        whole = pace.whole(steps)
        fields = {"whole": told_time(whole), "need": told_time(whole / FOR_TRAINING)}
        raise SpecError(Problem("budget", say("auto.too_small", steps=steps, **fields)))
    settings = run.model_dump(exclude_unset=True, mode="json")
    settings["train"] = settings.get("train", {}) | _length(run, afforded, steps)
    given = tried[: afforded.trials - 1]
    engine = {"name": "halving", "rungs": list(RUNGS), "given": given}
    settings["prove"] = {"embeddings": True, **settings.get("prove", {})}
    planned = {"trials": afforded.trials, "engine": engine}
    settings["search"] = {**settings.get("search", {}), **planned}
    reasons.append(_told(afforded, run, train.batch or 0, given))
    for line in reasons[len(proposal.reasons) :]:
        events.tell(line)
    return {"settings": settings, "reasons": reasons, "whole_seconds": round(afforded.whole, 1)}


def _length(run: Run, afforded: Share, steps: int) -> JsonObject:
    """Returns the settings that make a training as long as is afforded, and let it evaluate as
    often, where the user has not said how often.
    """
    settings: JsonObject = {} if afforded.steps is None else {"steps": afforded.steps}
    keep = run.train.keep
    if "evaluate" not in keep.model_fields_set and afforded.looks < LOOKS[0]:
        between = math.ceil((afforded.steps or steps) / afforded.looks)
        given = keep.model_dump(exclude_unset=True, mode="json")
        settings["keep"] = given | {"evaluate": float(between)}
    return settings


def _enough(plan: Plan) -> bool:
    """Tells whether there are rows to choose by, and others to prove on."""
    return plan.prepared is not None and bool(plan.prepared.choosing and plan.prepared.proof)


def _that_fit(
    run: Run, tried: Sequence[JsonObject], plan: Plan
) -> tuple[list[JsonObject], list[str]]:
    """Leaves out the methods that take more memory than there is; returns the others, and what is
    said of those, and of the run's own where that takes more.
    """
    memory = plan.facts["memory_gib"]
    notes = [say("plan.warn_memory")] if memory["low"] > memory["free"] else []
    for name in dict.fromkeys(candidate["method"] for candidate in tried if "method" in candidate):
        needed = make(with_values(run, {"method": name}), prepared=plan.prepared).facts[
            "memory_gib"
        ]
        if needed["low"] > needed["free"]:
            tried = [candidate for candidate in tried if candidate.get("method") != name]
            notes.append(say("auto.left_out", method=name, **needed))
    return list(tried), notes


def _told(afforded: Share, run: Run, batch: int, given: list[JsonObject]) -> str:
    whole = afforded.whole
    if afforded.steps is not None:
        return say("auto.cut", time=told_time(whole), steps=afforded.steps, batch=batch)
    names = dict.fromkeys(
        [run.method.name, *(candidate.get("method", run.method.name) for candidate in given)]
    )
    return say(
        "auto.shared", trials=afforded.trials, time=told_time(whole), methods=", ".join(names)
    )


def _of_curve(run: Run, best: Mapping[str, Any], folder: Path) -> Run:
    """Returns the best settings for a learning curve."""
    plain = with_values(run, best).model_dump(exclude_unset=True, mode="json")
    return validate({**plain, "out": str(folder / "curve"), "curve": CURVE})


def verdict_line(proof: Proof) -> str:
    """Says whether tuning is worth it: only where it is shown to be better than the best of what
    needs no training.
    """
    results = proof.found
    name = results["primary"]
    values = {
        who: numbers[name]
        for who, numbers in results["contenders"].items()
        if who in OWN and who != TUNED and numbers.get(name) is not None
    }
    compared = {who: results["differences"].get(who, {}).get(name) for who in values}
    rivals = [who for who, one in compared.items() if one is not None]
    best = (max if metric(name).higher else min)(rivals, key=lambda who: values[who])
    to_best = compared[best]
    filled = {
        "rival": called(best, shots=len(results.get("shots") or ())),
        "value": shown(name, values[best]),
        "tuned": shown(name, results["contenders"][TUNED][name]),
        "interval": interval_shown(name, to_best),
    }
    if to_best["verdict"] == "improved":
        return say("auto.tune", **filled)
    return say("auto.do_not_tune", **filled)
