"""A judge behind an endpoint: its grade, however it writes it; silence is no grade of 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from material.voted import models
from tunesmith.errors import SpecError
from tunesmith.rewards import REWARDS, Asked
from tunesmith.rollout.rewarding import Rewarding

TURNS = [{"role": "user", "content": "How was it?"}]


def asked(*texts: str) -> list[Asked]:
    return [Asked(f"r:{n}", "How was it?", text, {}, TURNS) for n, text in enumerate(texts)]


def config(url: str, **more: Any) -> Any:
    return REWARDS.config({"name": "judge", "url": url, "model": "grader", **more})


def test_grades_in_all_forms_and_no_grade():
    with models() as url:
        rewarding = Rewarding([config(url)], [], 30.0)
        found = rewarding(asked("bad", "good", "good good", "good good good"))
        rewarding.close()
    assert np.allclose(found.sums_n[:3], [0, 0.3, 0.9]) and np.isnan(found.sums_n[3])
    assert not found.faults


def test_a_judge_that_cannot_be_reached_abstains_and_is_named():
    with models() as url:
        gone = url
    rewarding = Rewarding([config(gone)], [], 30.0)
    found = rewarding(asked("good", "bad"))
    rewarding.close()
    assert np.isnan(found.sums_n).all() and len(found.faults) == 2
    assert "judged none of these answers" in found.faults[0]
    with pytest.raises(SpecError, match=r"source\.rewards\.0: .*is not an address"):
        Rewarding([config("localhost:8000")], [], 30.0).check()
