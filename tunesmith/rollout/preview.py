"""What a person sees before the first step: answers to a few prompts and what they are worth; and
the refusal of a run in which nothing could be learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.batches.rollout import Group
from tunesmith.errors import Problem, SpecError
from tunesmith.words import say

WIDEST = 100
"""Letters of a prompt or an answer that are shown."""
NONE = "–"
"""Stands where no reward gave a number."""
FAULTS = 3
"""Faults of rewards that are told in words; the others are counted."""


def lines(questions: Sequence[str], groups: Sequence[Group], texts: Sequence[str]) -> list[str]:
    """Lists each prompt, then its different answers with their rewards, how often each came, and
    whether it was cut.
    """
    shown = [say("rollout.preview")]
    remaining = iter(texts)
    for question, group in zip(questions, groups, strict=True):
        shown.append(f"  {group.id}  {_short(question)}")
        answers = [
            (NONE if np.isnan(reward) else f"{reward:.3g}", _short(next(remaining)), answer.stopped)
            for reward, answer in zip(group.rewards_G.tolist(), group.answers, strict=True)
        ]
        for (reward, text, stopped), count in Counter(answers).items():
            cut = "" if stopped else say("rollout.cut")
            times = f" ×{count}" if count > 1 else ""
            shown.append(f"    {reward:>6}{times}  {text}{cut}")
    return shown


def faults_told(faults: Sequence[str]) -> list[str]:
    """Lists the first faults in words, and how many more there were."""
    lines = [say("rollout.fault", told=text) for text in faults[:FAULTS]]
    more = len(faults) - FAULTS
    return [*lines, say("rollout.more_faults", count=more)] if more > 0 else lines


def hopeless(groups: Sequence[Group], *, compares: bool) -> bool:
    """Tells whether no answer ended by itself, or nothing can be learned from the rewards."""
    stopped = any(answer.stopped for group in groups for answer in group.answers)
    return not (stopped and _differ(groups, compares=compares))


def silent(groups: Sequence[Group]) -> bool:
    """Tells whether no reward gave a number for any answer."""
    return not len(_known(groups))


def _differ(groups: Sequence[Group], *, compares: bool) -> bool:
    """Tells whether rewards differ: those of answers to one prompt, or where these are not compared
    any.
    """
    if compares:
        return any(group.teaches for group in groups)
    rewards = _known(groups)
    return len(rewards) > 1 and rewards.max() > rewards.min()


def _known(groups: Sequence[Group]) -> np.ndarray:
    rewards = np.concatenate([group.rewards_G for group in groups])
    return rewards[~np.isnan(rewards)]


def refuse_hopeless(
    groups: Sequence[Group], told: Sequence[str], config: Any, *, compares: bool
) -> None:
    """Raises SpecError where no answer ended by itself, or nothing can be learned from the rewards;
    ``compares`` says that only answers to one prompt are compared.
    """
    answers = [answer for group in groups for answer in group.answers]
    shown = "\n".join(told)
    if silent(groups):
        silence = {"count": len(answers), "shown": shown}
        raise SpecError(Problem("source.rewards", say("rollout.all_silent", **silence)))
    if not any(answer.stopped for answer in answers):
        limit = {"count": len(answers), "limit": config.max_new_tokens, "shown": shown}
        raise SpecError(Problem("source.max_new_tokens", say("rollout.all_cut", **limit)))
    if _differ(groups, compares=compares):
        return
    rewards = _known(groups)
    facts = {"groups": len(groups), "samples": config.samples, "shown": shown}
    facts |= {"low": f"{rewards.min():.3g}", "high": f"{rewards.max():.3g}"}
    key = "rollout.all_equal" if compares else "rollout.all_alike"
    raise SpecError(Problem("source.rewards", say(key, count=len(rewards), **facts)))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDEST else line[: WIDEST - 1] + "…"
