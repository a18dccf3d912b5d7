"""Watched prompts: it is told once when only the trained reward rises, and of no other run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tunesmith.events.sampled import UnseenRewardStays, WatchedAnswers
from tunesmith.rollout.watching import Watching

COUNT = 20
ITEMS: list[Any] = [
    SimpleNamespace(id=str(n), tokens=[SimpleNamespace(columns={"row": {"question": f"q{n}"}})])
    for n in range(COUNT)
]
ANSWERS: list[Any] = [SimpleNamespace(text=f"a{n}") for n in range(COUNT)]
BASE = np.linspace(0, 1, COUNT)
NOISE = 0.1 * np.array([1.0, -1.0] * (COUNT // 2))


def looked(watching: Watching, trained_I: np.ndarray, unseen_I: np.ndarray | None) -> list[Any]:
    watching.see(ITEMS, ANSWERS, trained_I, unseen_I)
    return watching.seen(9)


@pytest.mark.parametrize(
    ("trained", "unseen", "told"),
    [
        (0.5, 0.0, True),
        (0.5, -0.2, True),
        (0.5, 0.2, False),
        (0.0, -0.2, False),
        (0.5, None, False),
    ],
)
def test_a_reward_that_rises_alone_is_told(
    trained: float, unseen: float | None, told: bool
) -> None:
    watching = Watching()
    none = unseen is None
    looked(watching, BASE, None if none else BASE)
    after = None if none else BASE + unseen
    found = looked(watching, BASE + NOISE + trained, after)
    assert [type(one) for one in found] == [WatchedAnswers, *([UnseenRewardStays] if told else [])]
    if told:
        assert (found[1].gained, found[1].unseen) == (trained, unseen)
        assert len(looked(watching, BASE + trained, after)) == 1, "once"


def test_a_run_that_goes_on_compares_with_the_same_first_look() -> None:
    before, after = Watching(), Watching()
    silent = BASE.copy()
    silent[3] = np.nan
    looked(before, silent, BASE)
    after.load_state(before.state())
    answers, sign = looked(after, BASE + 1, BASE - 1)
    assert (sign.gained, sign.unseen) == (1, -1)
    assert answers.answers[3] == {
        "id": "3",
        "prompt": "q3",
        "answer": "a3",
        "rewards": {"reward": round(BASE[3] + 1, 4), "unseen": round(BASE[3] - 1, 4)},
    }
    again = Watching()
    again.load_state(after.state())
    assert len(looked(again, BASE + 1, BASE - 1)) == 1


def test_an_abstention_is_no_number() -> None:
    watching = Watching()
    silent = np.full(COUNT, np.nan)
    (answers,) = looked(watching, silent, silent)
    assert answers.answers[0]["rewards"] == {}
    assert len(looked(watching, BASE, BASE)) == 1, "nothing to compare with"
