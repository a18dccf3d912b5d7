"""Which trial follows: pure functions of the trials before."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from tunesmith.errors import SpecError
from tunesmith.searches.engines import ENGINES, Asked, Done, Space, Trial, spread

SPACES = {"train.learning_rate": Space("log", 1e-6, 1e-2), "method.rank": Space("int", 4, 64)}


def played(
    engine: object, score: Callable[[Trial], float], trials: int, workers: int = 1
) -> list[Done]:
    """Every trial of an engine, whose ``score`` is the truth."""
    picker = ENGINES.make(ENGINES.config(engine))
    done: list[Done] = []
    while batch := picker.batch(Asked(SPACES, trials, 7, workers), done):
        done += [Done(trial, score(trial)) for trial in batch]
    assert len(done) == len(picker.total(trials))
    assert [one.trial.share for one in done] == picker.total(trials)
    return done


def far(trial: Trial) -> float:
    """Best at a rate of 1e-3 and a rank of 16."""
    rate = trial.values.get("train.learning_rate", 2e-4)
    rank = trial.values.get("method.rank", 8)
    return abs(math.log10(rate) + 3) + abs(math.log2(rank) - 4) / 10


@pytest.mark.parametrize("engine", ENGINES.names())
def test_the_first_is_the_run_as_given_and_all_lie_in_their_spaces(engine: str) -> None:
    if engine == "tpe":
        pytest.importorskip("optuna")
    done = played(engine, far, 9)
    assert done[0].trial.values == {}
    for one in done:
        for path, value in one.trial.values.items():
            space = SPACES[path]
            assert space.low <= value <= space.high
            assert isinstance(value, int if path == "method.rank" else float)
    assert played(engine, far, 9) == done, "the same trials, the same proposals"


def test_halving_keeps_the_better_half_and_drops_what_failed() -> None:
    def score(trial: Trial) -> float:
        return math.inf if trial.values.get("method.rank", 8) > 40 else far(trial)

    done = played({"name": "halving", "rungs": [0.1, 0.3, 0.6]}, far, 8)
    shares = [one.trial.share for one in done]
    assert shares == [0.1] * 8 + [0.3] * 4 + [0.6] * 2
    for share, kept in ((0.1, 4), (0.3, 2)):
        rung = sorted((one for one in done if one.trial.share == share), key=lambda one: one.score)
        after = [one.trial.values for one in done if one.trial.share > share]
        assert all(one.trial.values in after for one in rung[:kept])
    picker, failing = ENGINES.make(ENGINES.config("halving")), []
    while batch := picker.batch(Asked(SPACES, 8, 7), failing):
        failing += [Done(trial, score(trial)) for trial in batch]
    second = [one for one in failing if one.trial.share == 0.3]
    assert second and all(math.isfinite(one.score) for one in second)


def test_spread_settings_fill_every_part_of_a_space() -> None:
    drawn = [one["train.learning_rate"] for one in spread(SPACES, 8, 0)]
    cells = sorted(int((math.log10(rate) + 6) / 4 * 8) for rate in drawn)
    assert cells == list(range(8))


def test_tpe_comes_nearer_than_chance_and_goes_on_as_if_it_had_never_stopped() -> None:
    pytest.importorskip("optuna")
    found = played({"name": "tpe", "random": 4}, far, 40)
    drawn = played("random", far, 40)
    late, chance = (sorted(one.score for one in some[-20:]) for some in (found, drawn))
    assert late[10] < 0.7 * chance[10]
    picker = ENGINES.make(ENGINES.config({"name": "tpe", "random": 4}))
    assert picker.batch(Asked(SPACES, 40, 7), found[:11]) == [found[11].trial]


def test_without_optuna_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    picker = ENGINES.make(ENGINES.config("tpe"))
    with pytest.raises(SpecError, match=r"tunesmith\[search\]"):
        picker.check()
