"""What happens in a run, in the order in which it can: planned, begun, steps and what is seen in
them, done or ended.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tunesmith.events.stream import Event, Line, Listener, Phase
from tunesmith.plain import JsonObject, Named
from tunesmith.words import metric_name, say

if TYPE_CHECKING:
    from tunesmith.planning.plan import Plan


PART = "reward/"
"""How the name of one of several rewards begins."""
SHOWN = ("kl", "entropy", "clipped", "sampler_gap", "explained_variance")
"""Numbers of a step on sampled answers that the line of progress shows where there are any."""


@dataclass(frozen=True)
class Planned(Event):
    """What will run, before anything is written."""

    plan: Plan


@dataclass(frozen=True)
class Chosen(Event):
    """A value that nobody gave, and why it is this one."""

    said_as = "train.choice"

    name: str
    value: object
    reason: str


@dataclass(frozen=True)
class Trainable(Event):
    """How many of the model's weights are trained."""

    count: int
    all: int

    def text(self) -> str:
        """Returns the count and its share."""
        share = f"{self.count / self.all:.2%}"
        return say("train.trainable", count=f"{self.count:,}", share=share, all=f"{self.all:,}")


@dataclass(frozen=True)
class Resumed(Event):
    """The run goes on from a checkpoint."""

    said_as = "train.resumed"

    step: int
    path: Path


@dataclass(frozen=True)
class Began(Event):
    """The run's folder is open, and the loop starts after ``step`` steps of ``total``."""

    folder: Path
    step: int
    total: int
    settings: JsonObject


@dataclass(frozen=True)
class StepMade(Event):
    """A step has moved the weights; ``updates`` counts all updates so far."""

    step: int
    total: int
    updates: int
    numbers: Named
    """Loss, rate, norm, speed and whatever the objective and the source measured."""

    def values(self) -> Line:
        """Returns the step's numbers."""
        return {"step": self.step, **self.numbers}

    @property
    def sampled(self) -> bool:
        """Whether the model wrote the step's answers itself, as the source's numbers say."""
        return "stopped" in self.numbers

    def phase(self) -> Phase:
        """Returns where training stands, with the loss, or for sampled answers with their
        reward.
        """
        numbers = self.numbers
        fields = {"speed": f"{numbers['tokens_per_second']:,.0f}"}
        if self.sampled:
            fields |= {name: f"{numbers.get(name, math.nan):.3g}" for name in ("reward", "length")}
            shares = {name: numbers.get(name) for name in ("stopped", "teaching")}
            # One answer a prompt is compared with none.
            fields |= {
                name: "–" if share is None else f"{share:.0%}" for name, share in shares.items()
            }
            shown = say("train.numbers_sampled", **fields, parts=self._parts(), more=self._more())
        else:
            loss = f"{numbers['loss']:.4f}" if "loss" in numbers else "–"
            shown = say("train.numbers", loss=loss, **fields)
        return Phase(say("train.training"), self.step, self.total, shown)

    def _parts(self) -> str:
        """Returns each of several rewards, in brackets."""
        parts = [
            f"{name.removeprefix(PART)} {value:.3g}"
            for name, value in self.numbers.items()
            if name.startswith(PART)
        ]
        return f" ({', '.join(parts)})" if parts else ""

    def _more(self) -> str:
        """Returns what else was measured of the answers and of the update."""
        known = [(name, self.numbers[name]) for name in SHOWN if name in self.numbers]
        return "".join(
            "  " + say(f"train.shown_{name}", value=f"{value:.3g}") for name, value in known
        )


@dataclass(frozen=True)
class NotFinite(Event):
    """An attempt of an update whose loss or gradient is not finite; ``rows`` are those of the
    step.
    """

    recorded_as = "not_finite"
    said_as = "health.not_finite"

    step: int
    attempt: int
    loss: float
    grad_norm: float
    rows: Sequence[str]

    def text(self) -> str | None:
        """Returns what is told of a step that is left out; the first attempt may still succeed."""
        return None if self.attempt == 1 else super().text()


@dataclass(frozen=True)
class Overflow(Event):
    """A gradient in fp16 overflowed; ``scale`` is the smaller one that the loss takes now."""

    recorded_as = "overflow"

    step: int
    scale: float


@dataclass(frozen=True)
class MemoryShort(Event):
    """Memory ran out; micro-batches hold at most ``tokens`` from here on, ``count`` of them in this
    update.
    """

    recorded_as = "memory_short"
    said_as = "train.memory_short"

    step: int
    tokens: int
    count: int


@dataclass(frozen=True)
class LossSpike(Event):
    """The loss is far above its window for several steps; ``z`` is a robust z-score."""

    recorded_as = "loss_spike"
    said_as = "health.loss_spike"

    step: int
    loss: float
    z: float


@dataclass(frozen=True)
class ChosenRewardFalls(Event):
    """The mean reward of the chosen answers is lower than in the first steps."""

    recorded_as = "chosen_reward_falls"
    said_as = "train.chosen_reward_falls"

    step: int
    before: float
    now: float


@dataclass(frozen=True)
class SamplerApart(Event):
    """The training's log-probabilities of sampled tokens are not the sampler's: by ``gap`` on
    average, where rounding gives less than ``most`` (nats).
    """

    recorded_as = "sampler_apart"
    said_as = "health.sampler_apart"

    step: int
    gap: float
    most: float


@dataclass(frozen=True)
class WeightsDidNotMove(Event):
    """``count`` of ``of`` trained tensors are as they were; ``first`` names some."""

    recorded_as = "weights_did_not_move"
    said_as = "health.weights_did_not_move"

    step: int
    count: int
    of: int
    first: Sequence[str]


@dataclass(frozen=True)
class Fault(Event):
    """What the source of the steps found wrong with them."""

    recorded_as = "fault"

    step: int
    told: str

    def text(self) -> str:
        """Returns what is wrong."""
        return self.told


@dataclass(frozen=True)
class Evaluated(Event):
    """What the watched rows gave, by the metric's name; step 0 is the base. ``of`` says whether
    these are validation rows, or rows of the proof, by which nothing is chosen.
    """

    step: int
    numbers: Mapping[str, float]
    of: Literal["validation", "proof"] = "validation"

    def values(self) -> Line:
        """Returns the numbers."""
        line: Line = {"step": self.step, "evaluation": dict(self.numbers)}
        return line | ({"of": "proof"} if self.of == "proof" else {})

    def text(self) -> str:
        """Returns the numbers."""
        numbers = [f"{metric_name(name)} {value:.4f}" for name, value in self.numbers.items()]
        rows = say(f"train.of_{self.of}")
        if self.step == 0:
            return say("train.base_held_out", rows=rows, numbers="  ".join(numbers))
        return say("train.held_out", step=self.step, rows=rows, numbers="  ".join(numbers))


@dataclass(frozen=True)
class Answers(Event):
    """What the model answered to the own questions, in their order."""

    recorded_as = "answers"

    step: int
    answers: Sequence[str]


@dataclass(frozen=True)
class PatienceEnded(Event):
    """No evaluation was better than that of ``best_step`` for as many as patience allows."""

    recorded_as = "patience_ended"
    said_as = "train.patience_ended"

    step: int
    best_step: int | None


@dataclass(frozen=True)
class BestNotSaved(Event):
    """The best model could not be written."""

    recorded_as = "best_not_saved"

    step: int
    error: str

    def text(self) -> str:
        """Returns the error."""
        return self.error


@dataclass(frozen=True)
class CheckpointFailed(Event):
    """A checkpoint could not be written."""

    recorded_as = "checkpoint_failed"
    said_as = "train.checkpoint_failed"

    step: int
    error: str


@dataclass(frozen=True)
class TrackerFailed(Event):
    """A tracker failed and is left out from now on."""

    said_as = "train.tracker_failed"

    name: str
    error: str


@dataclass(frozen=True)
class MethodEnded(Event):
    """What the method has to say when training is over."""

    step: int
    method: str
    facts: Named

    def values(self) -> Line:
        """Returns the facts."""
        return {"step": self.step, "event": "method", **self.facts}

    def text(self) -> str:
        """Returns the facts."""
        facts = json.dumps(self.facts, ensure_ascii=False)
        return say("train.method", method=self.method, facts=facts)


@dataclass(frozen=True)
class Done(Event):
    """The tuned model lies in ``model``: the weights after ``step`` of ``last`` steps."""

    model: Path
    step: int
    last: int
    by: str
    """The metric that the best is chosen by."""
    best: int | None
    """The step of the best model, where there is one; it lies in ``best_folder``."""
    best_folder: Path

    def text(self) -> str:
        """Returns which step's weights the model holds, and where another's are."""
        if self.step != self.last:
            values = {"model": self.model, "step": self.step, "last": self.last}
            return say("train.done_best", **values, by=self.by)
        done = say("train.done", model=self.model, step=self.last)
        if self.best in (None, self.last):
            return done
        return done + say("train.done_apart", best=self.best, by=self.by, folder=self.best_folder)


@dataclass(frozen=True)
class Reported(Event):
    """The page and the picture of the run are written."""

    said_as = "cli.report_written"

    report: Path
    curve: Path


@dataclass(frozen=True)
class Ended(Event):
    """The run ended before it was done, by a signal or an error, which whoever called it gets
    raised.
    """

    reason: str


def on_steps(hear: Callable[[Line], None]) -> Listener:
    """Makes a listener that gives ``hear`` the recorded line of every step that has a loss."""

    def listener(event: Event) -> None:
        if isinstance(event, StepMade) and "loss" in event.numbers:
            hear(event.line() or {})

    return listener
