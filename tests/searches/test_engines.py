"""Which trial follows: pure functions of the trials before."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from tunesmith.errors import SpecError
from tunesmith.searches.engines import ENGINES, Asked, Done, Space, Trial, how_many, spread

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


def test_what_halving_leaves_alone_is_trained_no_further() -> None:
    for trials, shares in ((1, [0.1]), (2, [0.1] * 2), (3, [0.1] * 3 + [0.3] * 2)):
        engine = ENGINES.make(ENGINES.config("halving"))
        assert engine.total(trials) == shares
        assert [one.trial.share for one in played("halving", far, trials)] == shares


PAPER = {  # Li et al. 2018, table 1: settings by rung of each bracket, for R = 81 and eta = 3
    81: [81, 27, 9, 3, 1],
    34: [34, 11, 3, 1],
    15: [15, 5, 1],
    8: [8, 2],
    5: [5],
}


def test_hyperband_has_the_brackets_of_the_paper() -> None:
    engine = {"name": "hyperband", "share": 1.0, "brackets": 5}
    done = played(engine, far, sum(PAPER))
    shares = [round(81 * one.trial.share) for one in done]
    expected = []
    for rungs in PAPER.values():
        for place, count in enumerate(rungs):
            expected += [3 ** (5 - len(rungs) + place)] * count
    assert shares == expected
    first = done[: sum(PAPER[81])]
    for before, after, count in ((0, 81, 27), (81, 108, 9), (108, 117, 3), (117, 120, 1)):
        best = sorted(first[before:after], key=lambda one: one.score)[:count]
        climbed = [one.trial.values for one in first[after : after + count]]
        assert all(one.trial.values in climbed for one in best)


@pytest.mark.parametrize("trials", [1, 2, 3, 8, 17, 30])
def test_hyperband_shares_any_number_of_settings(trials: int) -> None:
    done = played("hyperband", far, trials)
    assert len({tuple(one.trial.values.items()) for one in done}) == trials
    assert max(one.trial.share for one in done) == 0.3


def test_a_bracket_in_which_all_failed_leaves_the_others() -> None:
    picker, done = ENGINES.make(ENGINES.config({"name": "hyperband", "brackets": 2})), []
    while batch := picker.batch(Asked(SPACES, 5, 7), done):
        scores = [math.inf if trial.share < 0.3 else far(trial) for trial in batch]
        done += [Done(trial, score) for trial, score in zip(batch, scores, strict=True)]
    assert [round(one.trial.share, 3) for one in done] == [0.1] * 3 + [0.3] * 2


@pytest.mark.parametrize("engine", ["halving", "hyperband", "random"])
def test_how_many_are_trained_at_a_time_changes_no_trial(engine: str) -> None:
    assert played(engine, far, 9) == played(engine, far, 9, workers=4)
    assert "search.workers" in ENGINES.get(engine).may_change


@pytest.mark.parametrize("engine", [name for name in ENGINES.names() if name != "halving"])
def test_settings_that_later_calls_may_change_change_no_trial_before(engine: str) -> None:
    if engine == "tpe":
        pytest.importorskip("optuna")
    more = "search.trials" in ENGINES.get(engine).may_change
    fewer, many = played(engine, far, 6), played(engine, far, 9)
    assert (fewer == many[:6]) == more


def test_tpe_asks_for_several_as_optuna_does_and_they_differ() -> None:
    optuna = pytest.importorskip("optuna")
    found = played({"name": "tpe", "random": 4}, far, 14, workers=4)
    picker = ENGINES.make(ENGINES.config({"name": "tpe", "random": 4}))
    batch = picker.batch(Asked(SPACES, 40, 7, 4), found[:8])
    assert batch == [one.trial for one in found[8:12]]
    # Optuna's own way: one study that is asked again while the trials before are running.
    sampler = optuna.samplers.TPESampler(seed=7 + 8, n_startup_trials=4, multivariate=True)
    study = optuna.create_study(sampler=sampler)
    known = {
        "train.learning_rate": optuna.distributions.FloatDistribution(1e-6, 1e-2, log=True),
        "method.rank": optuna.distributions.IntDistribution(4, 64),
    }
    for one in found[1:8]:
        values = {"params": dict(one.trial.values), "distributions": known, "value": one.score}
        study.add_trial(optuna.trial.create_trial(**values))
    asked = [study.ask(known).params for _ in range(4)]
    assert [trial.values["method.rank"] for trial in batch] == [one["method.rank"] for one in asked]
    assert len({trial.values["train.learning_rate"] for trial in batch}) == 4
    # The first of a batch is what it would be alone; trials that are added change none before.
    assert picker.batch(Asked(SPACES, 40, 7), found[:8]) == batch[:1]
    assert picker.batch(Asked(SPACES, 10, 7, 4), found[:8]) == batch[:2]


@pytest.mark.parametrize("engine", ENGINES.names())
def test_no_setting_comes_twice_while_there_are_others(engine: str) -> None:
    if engine == "tpe":
        pytest.importorskip("optuna")
    spaces = {
        "method.rank": Space("int", 4, 6),
        "method.name": Space("choices", choices=("a", "b")),
    }
    assert how_many(spaces) == 6 and how_many({**spaces, **SPACES}) == math.inf
    picker, done = ENGINES.make(ENGINES.config(engine)), []
    while batch := picker.batch(Asked(spaces, 7, 7, 2), done):
        done += [Done(trial, 1.0) for trial in batch]
    different = {tuple(one.trial.values.items()) for one in done}
    assert len(different) == 7, "the run's own, and each of the six"


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
