"""What each trial has of the machine, and where several at a time are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import tunesmith as ts
from tunesmith.errors import SpecError
from tunesmith.planning.plan import Plan
from tunesmith.searches.engines import Trial
from tunesmith.searches.folder import Folder, Training
from tunesmith.searches.places import PLACES, Share
from tunesmith.searches.places.ray import fits
from tunesmith.searches.trial import Job
from tunesmith.settings.given import settings_of
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import Run, validate


def run(**search: object) -> Run:
    machine = {"threads": 8}
    plain = {"model": "m", "data": "d", "out": "o", "train": {"machine": machine}}
    return settings_of({**plain, "search": search} if search else plain)


def shared(place: object, count: int, *, need: float, free: float) -> Share:
    plan = Plan(Resolved(run()), facts={"memory_gib": {"free": free}})
    return PLACES.make(PLACES.config(place)).share(count, plan, lambda: need)


def test_trials_share_the_cores_and_the_memory_of_this_machine() -> None:
    assert shared("local", 1, need=99.0, free=1.0) == Share(1, {"threads": 8})
    assert shared("local", 3, need=2.0, free=6.0) == Share(3, {"threads": 2, "memory": 2.0})
    assert shared("local", 16, need=0.1, free=16.0).machine == {"threads": 1, "memory": 1.0}


def test_fewer_are_trained_at_a_time_where_memory_lacks() -> None:
    share = shared("local", 4, need=2.5, free=6.0)
    # Two processes, but the cores of four: the same bits with more memory.
    assert (share.at_once, share.machine) == (2, {"threads": 2, "memory": 3.0})
    assert "4 trials of at least 2.5 GiB each do not fit in the 6.0 GiB" in share.told
    assert shared("local", 4, need=9.0, free=6.0).at_once == 1


def test_ray_divides_by_what_each_trial_asks() -> None:
    share = shared({"name": "ray", "cpus": 4, "gpus": 1}, 16, need=9.0, free=1.0)
    assert share == Share(16, {"threads": 4})


def test_whether_a_machine_of_the_cluster_could_train_a_trial() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0}},
        {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    asked = [(8, 0), (2, 1), (9, 0), (4, 1), (1, 2)]
    assert [fits(nodes, *one) for one in asked] == [True, True, False, False, False]


def test_without_ray_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "rows.json").write_text("[]", encoding="utf-8")
    settings = {"model": "none", "data": str(tmp_path / "rows.json"), "out": str(tmp_path / "o")}
    with pytest.raises(SpecError, match=r"search\.place: .*tunesmith\[ray\]"):
        ts.search({**settings, "search": {"place": "ray"}}, quiet=True)


def test_a_trial_keeps_what_the_run_says_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Run] = []
    monkeypatch.setattr("tunesmith.searches.trial.make", lambda one, prepared: made.append(one))
    plain = run().model_dump(exclude_unset=True, mode="json")
    machine = {"threads": 2, "memory": 3.0}
    trial = Trial({"train.learning_rate": 1e-3}, 0.3)
    Job(plain, machine, Training(Path("o/trials/000")), trial).plan(None)
    del plain["train"]["machine"]
    Job(plain, machine, Training(Path("o/trials/000")), trial).plan(None)
    machines = [(one.train.machine.threads, one.train.machine.memory) for one in made]
    assert machines == [(8, 3.0), (2, 3.0)]
    assert {(one.out, one.train.learning_rate) for one in made} == {("o/trials/000", 1e-3)}


def test_a_better_choice_of_more_trials_keeps_the_run_of_the_one_before(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for count, rate in enumerate((1e-3, 1e-4, 1e-5)):
        folder.choose({"train.learning_rate": rate})
        folder.choose({"train.learning_rate": rate})  # another call, nothing new
        best = folder.whole("best")
        assert not best.path.exists() and not best.failed.exists()
        best.path.mkdir()
        best.done.write_text(f"{rate}")
        best.failed.write_text("")
        assert sorted(one.name for one in tmp_path.glob("best-?")) == [
            f"best-{number}" for number in range(1, count + 1)
        ]
    assert (tmp_path / "best-1" / "trial.json").read_text() == "0.001"


def test_settings_of_the_search_that_may_change_follow_from_the_engine(tmp_path: Path) -> None:
    def again(engine: str, **search: object) -> None:
        from tunesmith.searches.engines import ENGINES

        asked = validate(
            {
                **run().model_dump(exclude_unset=True, mode="json"),
                "search": {"engine": engine, **search},
            }
        )
        folder = Folder(tmp_path / engine)
        folder.begin(asked, may_change=ENGINES.get(engine).may_change)

    for engine in ("halving", "random", "tpe"):
        again(engine, trials=4)
    again("random", trials=8, workers=2)
    again("halving", trials=4, workers=2)
    again("tpe", trials=5, place={"name": "ray", "cpus": 2})
    again("tpe", trials=4)
    with pytest.raises(SpecError, match=r"search\.trials: was 4"):
        again("halving", trials=8)
    with pytest.raises(SpecError, match=r"search\.workers: was 1"):
        again("tpe", trials=4, workers=2)
