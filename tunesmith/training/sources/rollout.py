"""The policy's own answers: each step samples some to its prompts, has them rewarded, and hands on
what the objective makes of them.

A step is a function of its number and of the weights, so a run that goes on samples the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Gt

from tunesmith.batches.order import order_of
from tunesmith.batches.rollout import Group, Sampled
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Event
from tunesmith.plain import JsonObject
from tunesmith.rollout.numbers import numbers_of
from tunesmith.rollout.preview import faults_told, hopeless, lines, refuse_hopeless, silent
from tunesmith.rollout.rewarding import Rewarded, Rewarding, asked_of, unseen_of
from tunesmith.rollout.server import Server, without_server
from tunesmith.rollout.watching import Watching, greedy
from tunesmith.settings.family import OBJECTIVES, REWARDS
from tunesmith.settings.rewards import Rewards
from tunesmith.settings.spec import Spec
from tunesmith.training.sources import SOURCES, Step, StepSource
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.machine.device import Device
    from tunesmith.machine.parallel import Processes
    from tunesmith.models.calling.loss_models import Models
    from tunesmith.models.loading.load import Loaded
    from tunesmith.objectives import Objective
    from tunesmith.rollout.sampling import Sampling
    from tunesmith.settings.run import Run

SHOWN, TRIED = 4, 16
"""Prompts whose answers are shown before step 1, and those that are answered before a run in which
nothing teaches is refused.
"""
CALIBRATED = 32
"""Prompts whose answers say what mean and spread a reward model's numbers have before training."""
WATCHED = 64
"""Watched prompts that are answered at an evaluation."""
BENDING = {"top_p": 1.0, "no_repeat_ngram": 0, "repetition_penalty": 1.0, "stop": ()}
"""Settings of generate that change what is sampled and not what is trained; what they are without
effect.
"""


@dataclass(frozen=True)
class _Answered:
    """Some prompts with their answers and rewards."""

    groups: list[Group]
    numbers: dict[str, float]
    """What is recorded of them."""
    texts: list[str]
    rewarded: Rewarded


@SOURCES.register
class Rollout(StepSource):
    """The answers that the model samples, with their rewards."""

    class Config(Spec):
        """How answers are sampled, and what they are worth."""

        rewards: Rewards
        """What an answer is worth, by name or with settings; several are added up. A function of
        yours is ``./my_reward.py:function``.
        """
        weights: tuple[float, ...] = ()
        """Weight of each reward, in their order; 1 each when not given."""
        prove_by: Rewards = ()
        """Rewards that nothing is trained on: ``tunesmith prove`` compares base and tuned by their
        sum too, to see whether more than the trained rewards was pleased.
        """
        samples: Annotated[int, Gt(0)] = 8
        """Answers to each prompt, which are compared with each other."""
        max_new_tokens: Annotated[int, Gt(0)] = 256
        """Longest answer (tokens)."""
        temperature: Annotated[float, Gt(0)] = 1.0
        """Of the distribution that answers are drawn from, and that is trained; below 1 answers
        differ less.
        """
        passes: Annotated[int, Gt(0)] = 1
        """Updates on the answers of a step; from the second on the ratio to the model that sampled
        them is clipped.
        """
        server: str | None = None
        """The address of a vLLM server that samples the answers (http://HOST:8000) with the same
        model and ``--enable-lora``; the model in memory samples when not given.
        """
        timeout: Annotated[float, Gt(0)] = 10.0
        """Longest time that a reward may take for one answer (seconds); then it has abstained."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if not config.rewards:
            raise SpecError(Problem("source.rewards", say("rollout.no_rewards")))
        if config.weights and len(config.weights) != len(config.rewards):
            fields = {"weights": len(config.weights), "rewards": len(config.rewards)}
            raise SpecError(Problem("source.weights", say("rollout.weights", **fields)))
        self.passes = config.passes
        self.rewarding = Rewarding(config.rewards, config.weights, config.timeout)
        self.unseen, self.watching = unseen_of(config), Watching()
        self.calibrated = False
        self._faults: list[str] = []

    def folders(self) -> list[Path]:
        """Returns the folders of the reward models."""
        found = [REWARDS.make(config).folder() for config in self.config.rewards]
        return [folder for folder in found if folder is not None]

    def check(self, run: Run, prepared: Prepared, limit: int | None) -> None:
        """Raises SpecError for settings that would change what is sampled, rows without a column
        that a reward reads, prompts that leave no room for an answer, and rewards that do not load.
        """
        items = [*prepared.train, *prepared.watch, *prepared.proof]
        given = run.generate.model_dump()
        problems = [
            Problem(f"generate.{name}", say("rollout.bends", name=name))
            for name, plain in BENDING.items()
            if given[name] != plain
        ]
        problems += [*self._without_columns(items), *self._without_room(items, limit)]
        problems += [
            Problem(f"data.{name}", say("rollout.unused_data", name=name))
            for name, used in (
                ("train_on", run.data.train_on != "answers"),
                ("too_long", run.data.too_long in ("truncate", "split")),
            )
            if used
        ]
        problems += without_server(run, self.config.server)
        try:
            OBJECTIVES.make(run.objective).sampled(self.config)
        except SpecError as error:
            problems += error.problems
        if problems:
            raise SpecError(problems)
        if self.config.server:
            Server(self.config.server, Path(run.out)).check()
        self.rewarding.check()
        if self.config.prove_by:
            self.unseen.check()

    def _without_columns(self, items: Sequence[Item]) -> list[Problem]:
        found = []
        kinds = {"rewards": self.config.rewards, "prove_by": self.config.prove_by}
        placed = [(name, *one) for name, kind in kinds.items() for one in enumerate(kind)]
        for name, place, config in placed:
            for column in REWARDS.make(config).columns:
                lacking = [item for item in items if _row(item).get(column) in (None, "")]
                if lacking:
                    fields: JsonObject = {"reward": config.name, "column": repr(column)}
                    fields |= {"count": len(lacking), "of": len(items), "row": lacking[0].id}
                    held = [
                        one for one, value in _row(lacking[0]).items() if value not in (None, "")
                    ]
                    fields |= {"known": ", ".join(held)}
                    where = f"source.{name}.{place}"
                    found.append(Problem(where, say("rollout.no_column", **fields)))
        return found

    def _without_room(self, items: Sequence[Item], limit: int | None) -> list[Problem]:
        new = self.config.max_new_tokens
        if limit is None:
            return []
        long = [item for item in items if len(item.tokens[0]) + new > limit]
        if not long:
            return []
        longest = max(len(item.tokens[0]) for item in long)
        fields: JsonObject = {"count": len(long), "row": long[0].id, "limit": limit, "new": new}
        fields |= {"longest": longest, "left": max(limit - longest, 1)}
        return [Problem("source.max_new_tokens", say("rollout.no_room", **fields))]

    def longest(self, row: int) -> int:
        """Returns the length of a prompt with its longest answer."""
        return row + self.config.max_new_tokens

    def open(self, run: Run, prepared: Prepared, processes: Processes) -> None:
        """Fixes the order of the prompts."""
        self.items, self.render, self.processes = prepared.train, prepared.render, processes
        self.seed = run.train.seed
        self.server = Server(self.config.server, Path(run.out)) if self.config.server else None
        self.order = order_of(run, len(self.items))
        self.total = self.order.total(run.train.epochs, run.train.steps)

    def meet(self, policy: Loaded, objective: Objective, device: Device) -> None:
        """Takes the policy, which it samples from, and the objective, which learns from that."""
        self.policy, self.objective, self.device = policy, objective, device
        objective.sampled(self.config)

    def close(self) -> None:
        """Ends the processes of the rewards."""
        self.rewarding.close()
        self.unseen.close()

    def told(self) -> list[str]:
        """Returns a line: how many prompts and answers the steps take."""
        fields = {"total": self.total, "batch": self.order.batch, "rows": len(self.items)}
        return [say("rollout.steps", **fields, samples=self.config.samples)]

    def epoch(self, steps: int) -> float:
        """Returns the passes over the prompts."""
        return self.order.epoch(steps)

    def step(self, number: int, models: Models) -> Step:
        """Samples answers to this step's prompts; without any update where nothing in them
        teaches.
        """
        self._calibrate()
        items = [self.items[row] for row in self.order.taken(number)]
        answered = self._answered(items, number)
        with self.device.autocast():
            examples, more = self.objective.experience(answered.groups, self.policy, models)
        ids = [item.id for item in items]
        passes = [examples] * self.passes if examples else []
        return Step(passes, ids, {**answered.numbers, **more})

    def _answered(self, items: Sequence[Item], number: int) -> _Answered:
        """Samples answers to prompts, and has them rewarded."""
        started = time.perf_counter()
        prompts = {index: item.tokens[0].ids_T for index, item in enumerate(items)}
        drawn = self._drawn(prompts, number)
        seconds = time.perf_counter() - started
        groups = [Group(item.id, prompts[n], drawn[n]) for n, item in enumerate(items)]
        texts = [self._text(answer.ids_T) for group in groups for answer in group.answers]
        rows = [item for item in items for _ in range(self.config.samples)]
        rewarded = self._rewarded(rows, texts)
        for group, sums_G in zip(groups, np.split(rewarded.sums_n, len(groups)), strict=True):
            group.rewards_G = sums_G
        numbers = self.rewarding.means(rewarded) | numbers_of(groups)
        numbers["abstained"] = float(np.isnan(rewarded.table_nR).sum())
        numbers["seconds_sampling"] = round(seconds, 4)
        return _Answered(groups, numbers, texts, rewarded)

    def _drawn(self, prompts: Mapping[int, np.ndarray], number: int) -> dict[int, list[Sampled]]:
        """Samples answers to prompts, by their place: each process its part, or the server all."""
        from tunesmith.rollout.sampling import sample

        how, server = self._sampling(), self.server
        if server is not None:
            return self.processes.on_first(
                lambda: server.sample(self.policy, prompts, how, step=number)
            )
        own = {
            place: prompt
            for place, prompt in prompts.items()
            if place % self.processes.world == self.processes.rank
        }
        with self.device.autocast():
            part = sample(self.policy, own, how, step=number)
        return {
            place: found for one in self.processes.everyones(part) for place, found in one.items()
        }

    def _calibrate(self) -> None:
        """Calibrates the rewards once, before the first update: a reward without a scale of its own
        gets that of the untrained model's answers.
        """
        if self.calibrated:
            return
        self.calibrated = True
        if self.rewarding.calibrated_R.any():
            # Not a step of the run, so that other answers are drawn.
            answered = self._answered(self._first(CALIBRATED), self.total + 2)
            self.rewarding.calibrate(answered.rewarded.table_nR)

    def _first(self, count: int) -> list[Item]:
        """Returns the first prompts of the run, at most ``count``."""
        steps = range(-(-count // self.order.batch))
        rows = dict.fromkeys(row for step in steps for row in self.order.taken(step))
        return [self.items[row] for row in list(rows)[:count]]

    def state(self) -> dict[str, Any]:
        """Returns the scale of the rewards, and what of the objective moves from step to step."""
        own = {"calibrated": self.calibrated, "objective": self.objective.state()}
        return self.rewarding.state() | own | {"watching": self.watching.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``; a run from before rewards were calibrated had none that are."""
        if state:
            self.rewarding.load_state(state)
            self.objective.load_state(state["objective"])
            self.watching.load_state(state.get("watching", {}))
        self.calibrated = state.get("calibrated", True)

    def _sampling(self) -> Sampling:
        from tunesmith.rollout.sampling import Sampling

        config, stops = self.config, self.render.stop_ids
        return Sampling(config.samples, config.max_new_tokens, config.temperature, stops, self.seed)

    def _text(self, ids_T: np.ndarray) -> str:
        own = [token for token in ids_T.tolist() if token not in self.render.stop_ids]
        tokenizer = self.render.tokenizer
        return tokenizer.decode(own, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _rewarded(
        self, items: Sequence[Item], texts: Sequence[str], by: Rewarding | None = None
    ) -> Rewarded:
        """Rewards the answers, asking once for all processes."""
        asked = [asked_of(item, text) for item, text in zip(items, texts, strict=True)]
        rewarding = by or self.rewarding
        rewarded = self.processes.on_first(lambda: rewarding(asked))
        self._faults += rewarded.faults
        return rewarded

    def preview(self, models: Models) -> list[str]:
        """Answers the first prompts and returns these with their rewards; raises SpecError, with
        what to change, where all of them are cut, or no group has answers with different rewards,
        and rewards are what is learned from.
        """
        items = self._first(TRIED)
        # Not a step of the run, so that other answers are drawn.
        answered = self._answered(items[:SHOWN], self.total)
        groups = answered.groups
        questions = [str(_row(item).get("question", "")) for item in items[:SHOWN]]
        told = [*lines(questions, groups, answered.texts), *self.faults()]
        if not self.objective.by_rewards:
            return told
        compares = self.objective.compares
        # A reward that gave no number for any of these would take its time for the others too.
        more = len(items) > SHOWN and not silent(groups)
        if more and hopeless(groups, compares=compares):
            groups += self._answered(items[SHOWN:], self.total + 1).groups
        refuse_hopeless(groups, told, self.config, compares=compares)
        return told

    def watched(
        self, items: Sequence[Item], stopped: Callable[[], bool]
    ) -> dict[str, float] | None:
        """Returns the rewards of greedy answers to watched prompts; None when ``stopped`` returned
        true.
        """
        from tunesmith.proving.task import evenly

        self._calibrate()
        chosen, most = evenly(list(items), WATCHED), self.config.max_new_tokens
        with self.device.autocast():
            answers = greedy(self.policy, self.render, chosen, most=most, stopped=stopped)
        if answers is None:
            return None
        texts = [answer.text for answer in answers]
        trained = self._rewarded(chosen, texts)
        found = self.rewarding.means(trained)
        unseen_I = None
        if self.config.prove_by:
            unseen_I = self._rewarded(chosen, texts, self.unseen).sums_n
            if not np.isnan(unseen_I).all():
                found["unseen_reward"] = float(np.nanmean(unseen_I))
        self.watching.see(chosen, answers, trained.sums_n, unseen_I)
        lengths = float(np.mean([len(answer.ids) for answer in answers]))
        ended = float(np.mean([answer.stopped for answer in answers]))
        return found | {"length": lengths, "stopped": ended}

    def seen(self, step: int) -> list[Event]:
        """Returns the answers to watched prompts, and what their rewards show."""
        return self.watching.seen(step)

    def faults(self) -> list[str]:
        """Returns lines on the rewards that failed since the last call."""
        found, self._faults = self._faults, []
        return faults_told(found)


def _row(item: Item) -> JsonObject:
    return item.tokens[0].columns["row"]
