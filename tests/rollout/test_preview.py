"""What is shown and refused before the first step, where no reward gave a number."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tunesmith.batches.rollout import Group, Sampled
from tunesmith.errors import SpecError
from tunesmith.rollout.preview import lines, refuse_hopeless, silent

NOTHING = float("nan")


def group(rewards: list[float], *, stopped: bool = True) -> Group:
    zeros_T = np.zeros(2)
    answers = [Sampled(np.array([5, 6]), zeros_T, zeros_T, stopped) for _ in rewards]
    return Group("rows:1", np.arange(3), answers, np.array(rewards))


@pytest.mark.parametrize("stopped", [True, False])
def test_rewards_without_a_number_are_the_first_thing_told(stopped: bool) -> None:
    """Though all answers are cut too: with more room they would be worth nothing as well."""
    groups = [group([NOTHING, NOTHING], stopped=stopped)]
    how = SimpleNamespace(max_new_tokens=8, samples=2)
    with pytest.raises(SpecError, match="no reward gave a number for any of 2 answers") as error:
        refuse_hopeless(groups, ["a reward failed: rows:1"], how, compares=True)
    assert error.value.problems[0].where == "source.rewards"
    assert "rows:1" in str(error.value), "what failed is named"


def test_one_number_is_not_silence_and_an_abstention_is_shown_as_none() -> None:
    groups = [group([NOTHING, 0.5])]
    assert silent([group([NOTHING])]) and not silent(groups)
    assert [line.split() for line in lines(["What?"], groups, ["a", "b"])[2:]] == [
        ["–", "a"],
        ["0.5", "b"],
    ]
