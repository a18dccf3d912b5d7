"""The rules over the record of a run: each looks for one thing that goes wrong, and says nothing
where the steps are too few or too noisy to tell.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise

from tunesmith.health.course import Course
from tunesmith.health.signs import Sign

Rule = Callable[[Course], "Sign | None"]

SURE = 3.0
"""Standard errors that a change of the loss must exceed."""
FEW = 60
"""Updates from which a run is long enough not to be called short."""
STILL = 0.3
"""Share of its fall that the loss of a short run makes in the last third."""
RISEN = 1.1
"""How many times the first loss the last must be to have risen."""
FLAT = 0.02
"""Share of the first loss below which a fall is none."""
RISE = 0.05
"""Share by which the validation loss must rise above its lowest to be called overfitting."""
GROWN = 20.0
"""How many times the first gradients the last must be."""
PARTS, CREEP = 8, (0.0625, 0.02)
"""Parts of the second half of a run, and what the memory must gain over them: GiB, and share."""
SPARSE = (0.01, 32)
"""Below both, few tokens are learned from: their share of all that are read, and their number in an
update.
"""
OPEN = (8, 0.5)
"""Answers at least that must be there, and the share of them that must not end."""
TOLD = (
    "loss_spike",
    "not_finite",
    "weights_did_not_move",
    "sampler_apart",
    "far_from_base",
    "answers_grow",
    "answers_alike",
    "reward_for_length",
    "unseen_reward_stays",
)
"""Signs that only the running run can see, and tells itself."""


def rate_too_high(course: Course) -> Sign | None:
    """Tells of a loss that is clearly above that of the first steps, or of validation rows that
    got worse while the training loss did not fall.
    """
    losses = course.losses
    if len(losses) < 10:
        return None
    first = losses[:3]
    last = losses[-5:]
    before = statistics.fmean(first)
    now = statistics.fmean(last)
    rates = course.values("learning_rate")
    numbers = {"rate": max(rates, default=0.0), "before": before, "now": now}
    if before > 0 and min(last) > max(first) and now > RISEN * before:
        return Sign("rate_too_high", course.last, numbers)
    watch = course.watched
    if len(watch) < 2 or watch[0][0] != 0 or watch[-1][1] <= RISEN * watch[0][1]:
        return None
    if now < before - SURE * course.noise * (1 / 3 + 1 / 5) ** 0.5:
        return None
    numbers |= {"before": watch[0][1], "now": watch[-1][1]}
    return Sign("rate_too_high", course.last, numbers)


def rate_too_low(course: Course) -> Sign | None:
    """Tells of a loss that does not move: on the same validation rows where there are some, else
    where the noise of the steps is small enough to see a fall.
    """
    losses, watch = course.losses, course.watched
    if len(losses) < 20:
        return None
    first, _, last = course.thirds()
    error = course.noise * (2 / (len(losses) // 3)) ** 0.5
    fell = first - last
    if first <= 0 or fell > max(FLAT * first, SURE * error) or last > RISEN * first:
        return None
    before, now = first, last
    if len(watch) > 1 and watch[0][0] == 0:
        before = watch[0][1]
        now = min(loss for _, loss in watch[1:])
        if abs(before - now) > FLAT / 2 * before:
            return None
    elif SURE * error > FLAT * first:
        return None
    rate = max(course.values("learning_rate"), default=0.0)
    return Sign("rate_too_low", course.last, {"rate": rate, "before": before, "now": now})


def too_few_steps(course: Course) -> Sign | None:
    """Tells of a short run whose loss still falls as much as before when it ends."""
    losses, watch = course.losses, course.watched
    if not 6 <= len(losses) < FEW:
        return None
    first, middle, last = course.thirds()
    falls = middle - last
    error = course.noise * (2 / (len(losses) // 3)) ** 0.5
    if falls <= SURE * error or falls < max(STILL * (first - last), RISE * first):
        return None
    if watch and watch[-1][1] > min(loss for _, loss in watch):
        return None
    numbers = {"count": len(losses), "before": middle, "now": last}
    return Sign("too_few_steps", course.last, numbers)


def overfitting(course: Course) -> Sign | None:
    """Tells where the validation loss began to rise while the training loss went on falling."""
    watch = course.watched
    if len(watch) < 3 or len(course.losses) < 4:
        return None
    step, lowest = min(watch, key=lambda point: point[1])
    end, last = watch[-1]
    before = [line["loss"] for line in course.steps if line["step"] <= step][-5:]
    after = [line["loss"] for line in course.steps if line["step"] > step][-5:]
    if not before or not after or last - lowest <= RISE * abs(lowest):
        return None
    trained = statistics.fmean(after)
    if trained >= statistics.fmean(before):
        return None
    numbers = {"best": step, "lowest": lowest, "last": last, "trained": trained}
    return Sign("overfitting", end, numbers)


def gradients_grow(course: Course) -> Sign | None:
    """Tells of gradients that are many times those of the first steps and no longer teach."""
    norms = course.values("grad_norm")
    losses = course.losses
    fifth = len(norms) // 5
    if fifth < 4:
        return None
    # A fresh adapter has a small gradient in its first steps.
    before = statistics.median(norms[2 : 2 + fifth])
    now = statistics.median(norms[-fifth:])
    if now <= GROWN * before or statistics.fmean(losses[-fifth:]) < statistics.fmean(
        losses[:fifth]
    ):
        return None
    return Sign("gradients_grow", course.last, {"before": before, "now": now})


def gradients_vanish(course: Course) -> Sign | None:
    """Tells of gradients of zero while there is a loss to learn from."""
    norms = course.values("grad_norm")
    if len(norms) < 5:
        return None
    none = [line for line in course.steps if line.get("grad_norm") == 0 and line["loss"] > FLAT]
    if 2 * len(none) <= len(norms):
        return None
    return Sign("gradients_vanish", course.last, {"count": len(none), "of": len(norms)})


def few_tokens_learned(course: Course) -> Sign | None:
    """Tells of rows of which hardly a token is learned, and of updates that rest on a few."""
    total = course.tokens.get("total", 0)
    scored = course.tokens.get("scored", 0)
    learned = course.values("tokens")
    # A row that is learned as a whole, as by its label, has no such tokens.
    if not total or not scored or not learned:
        return None
    share, each = SPARSE
    if scored / total >= share or statistics.median(learned) >= each:
        return None
    numbers = {"share": 100 * scored / total, "tokens": round(statistics.median(learned))}
    return Sign("few_tokens_learned", course.last, numbers)


def memory_creeps(course: Course) -> Sign | None:
    """Tells of memory that goes on rising: the least that is held after a step, in three quarters
    of the parts of the second half.
    """
    held = course.held()
    half = held[len(held) // 2 :]
    if len(half) < 2 * PARTS:
        return None
    ends = [part * len(half) // PARTS for part in range(PARTS + 1)]
    marks = [min(half[start:end]) for start, end in pairwise(ends)]
    rises = sum(after > before for before, after in pairwise(marks))
    gained = marks[-1] - marks[0]
    least = max(CREEP[0], CREEP[1] * marks[0])
    if rises < 3 / 4 * (PARTS - 1) or gained < least:
        return None
    return Sign("memory_creeps", course.last, {"before": marks[0], "now": marks[-1]})


def answers_go_on(course: Course) -> Sign | None:
    """Tells of answers that do not end where the right ones would fit into the limit."""
    limit = course.limit
    if limit is None:
        return None
    ended = [stopped for tokens, stopped in course.answers if tokens < limit]
    least, share = OPEN
    going = ended.count(False)
    if len(ended) < least or going < share * len(ended):
        return None
    numbers = {"count": going, "of": len(ended), "limit": limit}
    return Sign("answers_go_on", course.proved or course.last, numbers)


EARLY: Sequence[Rule] = (rate_too_high, gradients_vanish, few_tokens_learned)
"""Rules that see in the first steps whether it is worth going on."""
AT_THE_END: Sequence[Rule] = (
    *EARLY,
    rate_too_low,
    too_few_steps,
    overfitting,
    gradients_grow,
    memory_creeps,
)
RULES: Sequence[Rule] = (*AT_THE_END, answers_go_on)
"""All rules; the last one looks at a proof."""


def signs(course: Course, rules: Sequence[Rule] = RULES) -> list[Sign]:
    """Returns what the rules find, in their order; a rate that is too high explains gradients that
    grow.
    """
    seen = [sign for rule in rules if (sign := rule(course)) is not None]
    names = {sign.name for sign in seen}
    hidden = {"gradients_grow"} if "rate_too_high" in names else set()
    return [sign for sign in seen if sign.name not in hidden]


def told_itself(course: Course) -> list[Sign]:
    """Returns the signs that the run told itself, each as it was told first."""
    first: dict[str, Sign] = {}
    for line in course.lines:
        name = line.get("event")
        # A first attempt of an update that is not finite may be followed by one that is.
        if name in TOLD and line.get("attempt") != 1:
            evidence = {key: value for key, value in line.items() if key not in ("step", "event")}
            first.setdefault(name, Sign(name, line["step"], evidence))
    return list(first.values())


def all_signs(course: Course) -> list[Sign]:
    """Returns what the run told itself, and what the rules find in its record and proof."""
    return [*told_itself(course), *signs(course)]
