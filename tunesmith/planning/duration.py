"""How long a run takes, from what was measured of one micro-batch: the steps, the evaluations on
the way, the answers to own questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.batches.order import every
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.efficiency import duration
from tunesmith.settings.run import Run
from tunesmith.training.evaluation.rows import watched_rows
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Prepared


@dataclass(frozen=True)
class Expected:
    """Seconds, without those of loading, of checkpoints and of a proof."""

    steps: float
    evaluations: float
    answers: float
    """At most: an answer may end before its limit."""

    @property
    def least(self) -> float:
        """The seconds that are needed whatever is answered."""
        return self.steps + self.evaluations


def evaluations(run: Run, prepared: Prepared, steps: int, per_epoch: int) -> JsonObject:
    """Counts how often a run evaluates, before its first step and after its last too, how many
    rows it reads each time, and how often it reads them once more, to fit what is kept with a
    model.
    """
    between = every(run.train.keep.evaluate, steps, per_epoch)
    looks = -(-steps // between) if between else 1
    fits = prepared.objective.output.fits and bool(prepared.choosing)
    return {
        "count": 1 + looks,
        "rows": len(watched_rows(prepared)) if between else 0,
        "fits": looks if fits else 0,
    }


def expected(facts: Named) -> Expected | None:
    """Returns how long a run takes at the pace of its trial; None where none was made, or where the
    model answers in each step, which a trial does not.
    """
    probe = facts.get("probe")
    looks = facts.get("evaluations")
    if probe is None or looks is None:
        return None
    measured = max(probe["tokens"], 1)
    reads = looks["count"] + looks["fits"]
    return Expected(
        steps=facts["steps"] * probe["step_tokens"] * probe["seconds"] / measured,
        evaluations=reads * probe["look_tokens"] * probe["read_seconds"] / measured,
        answers=looks["count"] * probe["answer_seconds"],
    )


def told(facts: Named, time: Expected) -> str:
    """Says what the time is for."""
    looks = facts["evaluations"]
    probe = facts["probe"]
    parts = [say("plan.time_steps", time=duration(time.steps, say), steps=facts["steps"])]
    if looks["rows"]:
        rows = {"count": looks["count"], "rows": looks["rows"]}
        parts.append(say("plan.time_evaluations", time=duration(time.evaluations, say), **rows))
    if probe["questions"]:
        asked = {"count": looks["count"], "questions": probe["questions"]}
        parts.append(say("plan.time_answers", time=duration(time.answers, say), **asked))
    return say("plan.time", parts=" + ".join(parts))
