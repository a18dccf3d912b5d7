"""The signs that learning from rewards goes wrong: each is told of a sick run, once, and of no healthy
one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from material import runs
from tunesmith.batches.rollout import Group, Sampled
from tunesmith.events.run import StepMade
from tunesmith.rollout.numbers import length_slope
from tunesmith.training.sampled_health import SampledHealth
from tunesmith.training.start import train

STEPS = 40
HEALTHY = {
    "reward": (0.2, 0.8),
    "length": (20, 22),
    "stopped": (0.9, 1.0),
    "entropy": (2.0, 1.0),
    "kl": (0.0, 0.1),
    "length_slope": (0.01, 0.01),
}
SICK: dict[str, dict[str, tuple[float, float]]] = {
    "far_from_base": {"kl": (0.0, 2.0)},
    "answers_grow": {"length": (20, 50), "stopped": (0.9, 0.3), "length_slope": (0.0, 0.0)},
    "answers_alike": {"entropy": (2.0, 0.01), "reward": (0.3, 0.3)},
    "reward_for_length": {"length": (20, 60), "length_slope": (0.02, 0.02)},
}
WELL: dict[str, dict[str, tuple[float, float]]] = {
    "all as it should be": {},
    "a task that is solved": {"entropy": (2.0, 0.001), "reward": (0.1, 1.0), "length": (7, 1)},
    "longer answers that end": {"length": (20, 50), "length_slope": (0.0, 0.0)},
    "longer answers that are worth more than their length": {
        "length": (20, 40),
        "length_slope": (0.01, 0.01),
        "reward": (0.2, 0.9),
    },
    "right answers are the short ones": {
        "length": (30, 10),
        "length_slope": (-0.03, -0.03),
    },
    "answers that are cut from the beginning": {"stopped": (0.1, 0.1), "length": (16, 16)},
    "nothing learned": {"reward": (0.5, 0.5), "entropy": (2.0, 1.9)},
}


def made(step: int, **changes: tuple[float, float]) -> StepMade:
    """Returns a step on the way from the first to the second of each pair of numbers, with a little
    noise.
    """
    wobble = 0.01 * (-1) ** step
    share = min(max((step - 9) / 20, 0), 1)
    numbers = {
        name: first + share * (last - first) + wobble
        for name, (first, last) in {**HEALTHY, **changes}.items()
    }
    return StepMade(step, STEPS, step, numbers)


def told(rules: SampledHealth, steps: Any, **changes: tuple[float, float]) -> list[str]:
    events = [rules.see(made(step, **changes)) for step in steps]
    return [event.recorded_as for event in events if event is not None and event.recorded_as]


@pytest.mark.parametrize("sign", SICK)
def test_a_sick_run_is_told_once(sign: str) -> None:
    assert told(SampledHealth(), range(STEPS), **SICK[sign]) == [sign]


@pytest.mark.parametrize("name", WELL)
def test_a_healthy_run_is_not(name: str) -> None:
    assert told(SampledHealth(), range(STEPS), **WELL[name]) == []


def test_a_run_that_goes_on_tells_the_same() -> None:
    for at in (5, 25, 39):
        before, after = SampledHealth(), SampledHealth()
        first = told(before, range(at), **SICK["far_from_base"])
        after.load_state(before.state())
        assert [*first, *told(after, range(at, STEPS), **SICK["far_from_base"])] == [
            "far_from_base"
        ]
    empty = SampledHealth()
    empty.load_state({})
    assert told(empty, range(STEPS), **SICK["far_from_base"]) == ["far_from_base"]


def test_a_run_on_rows_has_no_such_signs() -> None:
    rules = SampledHealth()
    assert not any(rules.see(StepMade(n, 40, n, {"loss": 1.0, "kl": 9.0})) for n in range(40))


def groups(*pairs: list[tuple[int, float]]) -> list[Group]:
    found = []
    for pair in pairs:
        answers = [Sampled(np.zeros(n), np.zeros(n), np.zeros(n), True) for n, _ in pair]
        found.append(Group("r:1", np.zeros(2), answers, np.array([worth for _, worth in pair])))
    return found


def test_the_worth_of_a_token_is_among_answers_to_one_prompt() -> None:
    # Within each prompt a token is worth 0.5, whatever the prompts are worth.
    assert length_slope(groups([(2, 1.0), (4, 2.0)], [(10, 0.0), (12, 1.0)])) == pytest.approx(0.5)
    both = [(2, 1.0), (4, 2.5), (9, 0.3)]
    lengths, worth = np.array(both).T
    assert length_slope(groups(both)) == pytest.approx(np.polyfit(lengths, worth, 1)[0])
    assert length_slope(groups([(3, 1.0), (3, 0.0)], [(5, np.nan), (9, 2.0)])) is None


@pytest.mark.slow  # each 6 s
@pytest.mark.parametrize(("rate", "sick"), [(1e-2, True), (1e-5, False)])
def test_a_run_that_leaves_its_base_says_so(
    rate: float, sick: bool, tiny_llama: Path, tmp_path: Path
) -> None:
    settings = {
        "method": "full",
        "objective": {"name": "grpo", "kl": "loss", "kl_weight": 1e-6},
        "source": {
            "rewards": {"name": "language", "language": "zh"},
            "samples": 8,
            "max_new_tokens": 12,
        },
        "train.batch": 4,
        "train.learning_rate": rate,
        "train.schedule": "constant",
        "train.steps": 40,
        "train.keep": {"evaluate": 0, "save": 0},
    }
    one = runs.resolved(tmp_path / "run", tiny_llama, **settings)
    found = [line for line in train(one, runs.data_of(one)).steps() if "event" in line]
    far = [line for line in found if line["event"] == "far_from_base"]
    assert len(far) == sick and all(line["distance"] > line["most"] for line in far)
    if not sick:
        assert found == []
