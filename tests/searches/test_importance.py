"""How much a setting mattered: closed cases, and what chance gives; the front of score and time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.searches.engines import Space
from tunesmith.searches.importance import front, importance

SPACES = {
    "train.learning_rate": Space("log", 1e-5, 1e-1),
    "method.rank": Space("int", 4, 64),
    "method.name": Space("choices", choices=("lora", "ia3", "full")),
}


def trials(count: int, score: Any, seed: int = 0) -> list[dict[str, Any]]:
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        values = {path: space.at(draw.random()) for path, space in SPACES.items()}
        made.append({"values": values, "share": 0.3, "score": score(values, draw)})
    return made


def by_name(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["setting"]: one for one in found}


@pytest.mark.parametrize(
    ("path", "score"),
    [
        ("train.learning_rate", lambda v, _: (np.log10(v["train.learning_rate"]) + 3) ** 2),
        ("method.rank", lambda v, _: 1.0 / v["method.rank"]),
        ("method.name", lambda v, _: {"lora": 1.0, "ia3": 3.0, "full": 2.0}[v["method.name"]]),
    ],
)
def test_the_setting_that_decides_has_nearly_all(path: str, score: Any) -> None:
    found = importance(SPACES, trials(40, score), seed=1)
    assert found[0]["setting"] == path and found[0]["share"] > 0.75
    assert found[0]["low"] > found[0]["chance"]
    assert all(one["share"] < one["chance"] for one in found[1:])


def test_two_settings_share_what_they_decide() -> None:
    # On ranks of a sum of two equal parts each has about a half.
    def both(v: dict[str, Any], _: Any) -> float:
        rate = (np.log10(v["train.learning_rate"]) + 5) / 4
        return rate + (v["method.rank"] - 4) / 60

    found = by_name(importance(SPACES, trials(200, both), seed=1))
    for path in ("train.learning_rate", "method.rank"):
        assert found[path]["share"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.slow  # 6 s
def test_noise_stays_below_what_chance_gives_in_most_draws() -> None:
    above = 0
    for seed in range(20):
        made = trials(24, lambda _, draw: draw.random(), seed)
        above += sum(one["share"] > one["chance"] for one in importance(SPACES, made, seed=seed))
    assert above <= 8  # 60 draws at one in 20; their shares are not independent


def test_a_diverged_trial_is_the_worst_and_no_more() -> None:
    def score(v: dict[str, Any], _: Any) -> float | None:
        rate = np.log10(v["train.learning_rate"])
        return None if rate > -2 else -float(rate)

    high = importance(SPACES, trials(40, score), seed=1)
    finite = importance(
        SPACES, trials(40, lambda v, _: 1e9 if score(v, None) is None else score(v, None)), seed=1
    )
    assert high == finite


def test_too_few_or_incomplete_trials_say_nothing() -> None:
    made = trials(15, lambda v, _: v["method.rank"])
    assert importance(SPACES, made, seed=0) == []
    assert importance(SPACES, [{"values": {}, "share": 1.0, "score": 1.0}], seed=0) == []
    unequal = [{**one, "share": n} for n, one in enumerate(trials(40, lambda *_: 1.0))]
    assert importance(SPACES, unequal, seed=0) == []


def test_the_front_holds_what_none_beats_in_both() -> None:
    def one(run: str, score: float | None, seconds: float, share: float = 1.0) -> dict[str, Any]:
        return {"run": run, "score": score, "seconds": seconds, "share": share}

    made = [
        one("slow", 1.0, 9.0),
        one("worse", 2.0, 10.0),
        one("quick", 3.0, 1.0),
        one("even", 3.0, 2.0),
        one("failed", None, 0.1),
        one("short", 0.5, 0.5, share=0.3),
    ]
    assert front(made) == ["quick", "slow"]
    kept = {"slow": 4.0, "worse": 3.0, "quick": 5.0, "even": 5.0}
    third = [one | {"general": kept[one["run"]]} for one in made if one["run"] in kept]
    assert front(third) == ["quick", "slow", "worse"], "the worse one forgot the least"
    assert front([]) == []
