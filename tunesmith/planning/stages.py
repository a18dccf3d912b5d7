"""Several runs from one file, each going on from one before it: sft, then a reward model or dpo,
and so on; a stage may also make the model before it lighter.

A stage is what a run.yaml holds, over what stands beside ``stages`` for all. What was finished is
not trained again, and what was interrupted continues.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Listener, Notice, Phase
from tunesmith.events.verbs import StageBegun, StageKept
from tunesmith.models.finding.parent import parent_of
from tunesmith.plain import JsonObject, Named
from tunesmith.planning.paths import place
from tunesmith.planning.plan import Plan
from tunesmith.settings.family import OBJECTIVES, REWARDS
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Run, validate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say


@dataclass(frozen=True)
class Stage:
    """One run of the file. ``parent`` is the stage it goes on from, None where that is the model of
    the file.
    """

    name: str
    run: Run
    parent: str | None
    prunes: bool = False
    """Whether it makes the model before it lighter, instead of training it."""

    @property
    def folder(self) -> RunFolder:
        """The folder where the stage is trained."""
        return RunFolder(Path(self.run.out))

    @property
    def finished(self) -> bool:
        """Whether its model exists, which is saved when the last step is done."""
        if self.prunes:
            return (self.folder.path / "parity.json").is_file()
        return (self.folder.model / "tunesmith.json").is_file()

    @property
    def begun(self) -> bool:
        """Whether there is something to continue."""
        if self.prunes:
            return self.finished
        return self.folder.run_yaml.is_file()


def stages_of(settings: Named, overrides: Sequence[str] | Named = ()) -> list[Stage]:
    """Reads the stages of a file, in order; raises SpecError with the problems of all of them, each
    at its place.

    One that names no model of its own goes on from the last stage before it whose model writes
    answers; one that learns from sampled answers and names no reward asks the last reward model
    before it. A stage is called by its ``name``, or by its objective. ``rlhf_type``, in the file
    or among the overrides, is the objective of the last.
    """
    settings, overrides = _with_type(settings, overrides)
    listed = settings.get("stages")
    if (
        not isinstance(listed, list)
        or not listed
        or not all(isinstance(each, Mapping) for each in listed)
    ):
        raise SpecError(Problem("stages", say("stages.none")))
    shared = {key: value for key, value in settings.items() if key != "stages"}
    if not isinstance(shared.get("out"), str):
        raise SpecError(Problem("out", say("stages.no_out")))
    stages: list[Stage] = []
    problems: list[Problem] = []
    for_all, for_one = _by_stage(overrides, len(listed))
    for number, given_own in enumerate(listed):
        stage_settings = with_overrides(given_own, for_one[number])
        taken = [stage.name for stage in stages]
        name = str(stage_settings.pop("name", None) or _name(stage_settings, taken))
        if name in taken or not re.fullmatch(r"[\w.-]+", name):
            problems.append(Problem(f"stages[{number}].name", say("stages.bad_name", name=name)))
            continue
        plain = with_overrides(
            with_overrides(_over(shared, stage_settings), for_all), for_one[number]
        )
        writing = [stage for stage in stages if OBJECTIVES.make(stage.run.objective).output.writes]
        parent = writing[-1] if writing and "model" not in stage_settings else None
        if parent is not None:
            given = plain.get("model")
            more = (
                {key: value for key, value in given.items() if key != "revision"}
                if isinstance(given, Mapping)
                else {}
            )
            plain["model"] = more | {"path": parent.run.out}
        if "out" not in stage_settings:
            plain["out"] = str(Path(plain["out"]) / name)
        _ask_reward_model(plain, stages)
        _ask_unpruned(plain, parent)
        above = parent.name if parent else None
        try:
            stages.append(Stage(name, validate(plain), above, prunes(stage_settings)))
        except SpecError as error:
            problems += [
                Problem(f"stages[{number}].{problem.where}", problem.text)
                for problem in error.problems
            ]
    if problems:
        raise SpecError(problems)
    return stages


def _with_type(
    settings: Named, overrides: Sequence[str] | Named
) -> tuple[JsonObject, Sequence[str] | Named]:
    """Takes ``rlhf_type`` out and makes it the objective of the last stage. One that learns from
    pairs, where the stage had prompts, is given those of the last reward model.
    """
    if isinstance(overrides, Mapping):
        named = overrides.get("rlhf_type", settings.get("rlhf_type"))
        overrides = {key: value for key, value in overrides.items() if key != "rlhf_type"}
    else:
        given = [text.partition("=")[2] for text in overrides if text.startswith("rlhf_type=")]
        named = given[-1] if given else settings.get("rlhf_type")
        overrides = [text for text in overrides if not text.startswith("rlhf_type=")]
    settings = {key: value for key, value in settings.items() if key != "rlhf_type"}
    stages = settings.get("stages")
    if named is None or not isinstance(stages, list) or not stages:
        return settings, overrides
    last = dict(stages[-1])
    before = stages[:-1]
    try:
        now = _learned({"objective": named})
        then = _learned(last)
    except SpecError as error:
        raise SpecError(Problem("rlhf_type", str(error))) from None
    if named != _objective(last):
        last["objective"] = named
    if not now.samples:
        last.pop("source", None)
    if now.eats is not then.eats:
        fitting = [stage for stage in before if _learned(stage).eats is now.eats]
        last["data"] = (fitting or [last])[-1].get("data")
    return settings | {"stages": [*before, last]}, overrides


def _objective(stage: Named) -> str:
    """Returns the name of a stage's objective."""
    objective = stage.get("objective", "sft")
    return str(objective.get("name", "sft") if isinstance(objective, Mapping) else objective)


def _learned(stage: Named) -> Any:
    """Returns the objective of a stage; its class, where its settings are not right yet, which is
    told where they are read. One that wraps another learns from the rows of that one.
    """
    try:
        return OBJECTIVES.make(OBJECTIVES.config(stage.get("objective", "sft"), "sft"))
    except (PydanticCustomError, SpecError):
        return OBJECTIVES.get(_objective(stage))


def _ask_reward_model(plain: JsonObject, before: Sequence[Stage]) -> None:
    """Adds the last reward model of the stages ``before`` as the reward of a stage that needs one
    and names none.
    """
    source = plain.get("source", {})
    judges = [stage for stage in before if OBJECTIVES.make(stage.run.objective).output.judges]
    samples = _objective(plain) in OBJECTIVES.names() and _learned(plain).samples
    if judges and samples and isinstance(source, Mapping) and "rewards" not in source:
        reward = {"name": "model", "run": os.path.abspath(judges[-1].run.out)}
        plain["source"] = {**source, "rewards": [reward]}


def _ask_unpruned(plain: JsonObject, parent: Stage | None) -> None:
    """Makes the model before it was pruned the teacher of a stage that distils and names none."""
    if parent is None or not parent.prunes or _objective(plain) != "distill":
        return
    given = plain["objective"]
    objective = dict(given) if isinstance(given, Mapping) else {"name": given}
    plain["objective"] = {"teacher": parent.run.model.path, **objective}


def prunes(stage: Named) -> bool:
    """Tells whether a stage's own settings say that it prunes: what is pruned, and no objective."""
    return "prune" in stage and "objective" not in stage


def _by_stage(
    overrides: Sequence[str] | Mapping[str, object], count: int
) -> tuple[JsonObject | list[str], list[JsonObject | list[str]]]:
    """Separates the overrides for all stages from those for each: ``stages.0.train.steps=2`` is
    ``train.steps=2`` of the first.
    """
    keys = [re.match(r"stages\.(?:(\d+)\.)?|stages(?==|$)", text) for text in overrides]
    wrong = [
        text
        for text, key in zip(overrides, keys, strict=True)
        if key and not (key[1] and int(key[1]) < count)
    ]
    if wrong:
        raise SpecError(
            Problem(text.partition("=")[0], say("stages.no_stage", last=count - 1))
            for text in wrong
        )
    of_one = [
        (int(key[1]), text, text[key.end() :])
        for text, key in zip(overrides, keys, strict=True)
        if key
    ]
    common = [text for text, key in zip(overrides, keys, strict=True) if key is None]
    if isinstance(overrides, Mapping):
        values = [
            {rest: overrides[text] for number, text, rest in of_one if number == index}
            for index in range(count)
        ]
        return {text: overrides[text] for text in common}, [*values]
    return common, [
        [rest for number, _, rest in of_one if number == index] for index in range(count)
    ]


def changed(stage: Stage) -> list[str]:
    """Returns the settings of a started stage that the file gives differently now."""
    if stage.prunes:
        from tunesmith.pruning.make import asked_of, asked_then

        return _different(asked_of(stage.run), asked_then(stage.folder.path))
    return _different(
        stage.run.model_dump(exclude_unset=True, mode="json"),
        stage.folder.resolved().run.model_dump(mode="json"),
    )


def go(
    stages: Sequence[Stage],
    train: Callable[..., RunFolder],
    check: Callable[[Run], object],
    events: Listener,
) -> list[RunFolder]:
    """Trains what is not trained yet, by ``train``; raises SpecError, before anything is trained,
    where a stage cannot run. ``events`` hears which stage begins, and which was trained before.

    ``check`` raises what is wrong with a run; a parent that is still to be trained is checked as
    the model that it begins with.
    """
    from tunesmith.pruning.make import look

    problems: list[Problem] = []
    named: dict[Problem, list[str]] = {}
    for stage in stages:
        if stage.begun:
            keys = changed(stage)
            if keys:
                problems.append(
                    Problem(
                        stage.name, say("stages.changed", out=stage.run.out, keys=", ".join(keys))
                    )
                )
            continue
        try:
            now = _on_what_is_there(stage, stages)
            if stage.prunes:
                look(now, stage.folder.path)
            else:
                check(now)
        except SpecError as error:
            for problem in (
                error.problems
            ):  # what several stages share, as a model that is not there, is told once
                named.setdefault(problem, []).append(stage.name)
    problems += [
        Problem(f"{', '.join(names)}: {problem.where}", problem.text)
        for problem, names in named.items()
    ]
    if problems:
        raise SpecError(problems)
    for number, stage in enumerate(stages, 1):
        stage_facts = (number, len(stages), stage.name, stage.run.out)
        if stage.finished:
            events(StageKept(*stage_facts))
            continue
        events(StageBegun(*stage_facts, stage.run.model.path))
        if stage.prunes:
            _prune(stage, events)
        elif stage.begun:
            train(stage.run.out, resume=True)
        else:
            train(stage.run)
    return [stage.folder for stage in stages if not stage.prunes]


def _prune(stage: Stage, events: Listener) -> None:
    from tunesmith.pruning.make import prune

    def tell(phase: str, done: int, total: int) -> None:
        events(Phase(phase, done, total))

    for line in prune(stage.run, stage.folder.path, progress=tell).lines():
        events(Notice(line))


def plans(stages: Sequence[Stage], plan: Callable[[Run], Plan]) -> list[tuple[str, Plan]]:
    """Plans each stage that was not started, by its name; a parent that is not yet trained is
    planned as the model that it begins with.
    """
    return [
        (stage.name, plan(_on_what_is_there(stage, stages)))
        for stage in stages
        if not stage.begun and not stage.prunes
    ]


def _on_what_is_there(stage: Stage, stages: Sequence[Stage]) -> Run:
    """Returns the run with the nearest existing model among its ancestors, whose tokenizer and
    shape are the same.
    """
    named = {stage_before.name: stage_before for stage_before in stages}
    while stage.parent is not None and not named[stage.parent].finished:
        above = named[stage.parent]
        run = stage.run.model_copy(update={"model": above.run.model})
        stage = replace(stage, run=run, parent=above.parent)
    return _without_untrained(stage.run, stages)


def _without_untrained(run: Run, stages: Sequence[Stage]) -> Run:
    """Returns the run without what is still to be trained and cannot be checked yet. A reward that
    every answer can be asked for takes the place of a reward model, and all weights alike that of
    those that the rows of an earlier stage need; the model itself that of a teacher.
    """
    pending = {os.path.abspath(stage.run.out) for stage in stages if not stage.finished}
    objective = run.objective
    if objective.name == "distill" and os.path.abspath(objective.teacher) in pending:
        taught = objective.model_copy(update={"teacher": run.model.path})
        run = run.model_copy(update={"objective": taught})
    if pending and "fisher" in OBJECTIVES.make(run.objective).roles:
        rows = run.objective.rows
        if os.path.abspath(rows) in pending if rows else parent_of(run.model.path) is None:
            alike = OBJECTIVES.config({"name": "l2_to_start", "of": run.objective.of})
            run = run.model_copy(update={"objective": alike})
    rewards = dict(run.source).get("rewards", ())
    rewards_there = [
        REWARDS.config("repetition") if _run_of(reward) in pending else reward for reward in rewards
    ]
    if rewards_there == [*rewards]:
        return run
    source = run.source.model_copy(update={"rewards": tuple(rewards_there)})
    return run.model_copy(update={"source": source})


def _run_of(reward: Any) -> str | None:
    """Returns the folder of a reward model."""
    return os.path.abspath(reward.run) if reward.name == "model" else None


def _name(own: Mapping[str, object], taken: Sequence[str]) -> str:
    """Returns the objective's name, with a number where it occurs again."""
    name = "prune" if prunes(own) else _objective(own)
    number = sum(name_taken.partition("-")[0] == name for name_taken in taken)
    return f"{name}-{number + 1}" if number else name


def _over(below: Mapping[str, object], above: Mapping[str, object]) -> JsonObject:
    """Lays one mapping over another, group by group."""
    merged = dict(below)
    for key, value in above.items():
        before = merged.get(key)
        merged[key] = (
            _over(before, value)
            if isinstance(before, Mapping) and isinstance(value, Mapping)
            else value
        )
    return merged


def _different(given: object, known: object, path: str = "") -> list[str]:
    if isinstance(given, Mapping) and isinstance(known, Mapping):
        paths: list[str] = []
        for key, value in given.items():
            paths += _different(value, known.get(key), f"{path}.{key}" if path else str(key))
        return paths
    if isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        pairs = zip(given, known, strict=True)
        return [path] if any(_different(*pair, path or ".") for pair in pairs) else []
    same = given == known or (isinstance(given, str) and place(given) == known)
    return [] if same else [path]
