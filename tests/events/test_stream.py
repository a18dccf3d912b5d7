"""The stream of what happens: everybody hears all of it, in one order, as it is written down."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from material import runs
from tunesmith import api, words
from tunesmith.errors import SpecError
from tunesmith.events import run as happenings
from tunesmith.events import sampled, verbs
from tunesmith.events.run import Began, Done, Ended, Planned, Reported, StepMade
from tunesmith.events.stream import Event, Events, Notice, heard_by, notice, opened


class Page:
    """What a page in a browser would keep of a run: where it stands, its curve, its lines."""

    def __init__(self) -> None:
        self.seen: list[Event] = []
        self.stands, self.curve, self.lines = "", [], []

    def hear(self, event: Event) -> None:
        self.seen.append(event)
        if isinstance(event, StepMade):
            self.stands = f"{event.step} of {event.total}"
            self.curve.append(event.numbers["loss"])
        if (text := event.text()) is not None:
            self.lines.append(text)


def settings(tmp_path: Path, model: Path, **more: Any) -> dict[str, Any]:
    (tmp_path / "rows.json").write_text(json.dumps(runs.rows(12)), encoding="utf-8")
    train = {"steps": 4, "batch": 4, "machine": {"threads": 1}, "keep": {"evaluate": 2}}
    return {
        "model": str(model),
        "data": {"path": str(tmp_path / "rows.json"), "held_out": 4},
        "out": str(tmp_path / "run"),
        "questions": ["How far?"],
        "train": train,
        **more,
    }


def test_a_page_hears_a_whole_run_in_order_and_the_record_holds_what_it_heard(
    tiny_llama: Path, tmp_path: Path
) -> None:
    page, steps = Page(), []
    folder = api.train(settings(tmp_path, tiny_llama), on_step=steps.append, listen=[page.hear])
    order = [
        type(event).__name__
        for event in page.seen
        if type(event).__name__ not in ("Phase", "Notice", "Chosen")
    ]
    looked = ["Evaluated", "Answers"]
    made = ["StepMade", "StepMade"]
    assert order == [
        *("Planned", "Trainable", "Began", *looked, *made, *looked, *made, *looked),
        *("Done", "Reported"),
    ]
    lines = [line for event in page.seen if (line := event.line()) is not None]
    assert lines == folder.steps() and len(lines) == 10
    assert steps == [line for line in lines if "loss" in line]
    assert page.stands == "4 of 4" and page.curve == [line["loss"] for line in steps]
    began = next(event for event in page.seen if isinstance(event, Began))
    assert began.folder == folder.path and began.settings["train"]["steps"] == 4
    assert any(str(folder.model) in line for line in page.lines)


def test_a_run_that_is_refused_says_so_to_whoever_listens(tmp_path: Path) -> None:
    page = Page()
    with pytest.raises(SpecError) as caught:
        api.train(settings(tmp_path, tmp_path / "absent"), listen=[page.hear])
    (ended,) = page.seen[-1:]
    assert isinstance(ended, Ended) and ended.reason == str(caught.value)
    assert not any(isinstance(event, Planned | Done | Reported) for event in page.seen)


def test_what_a_listener_says_while_it_hears_comes_after_for_all() -> None:
    heard: list[str] = []
    events = Events()

    def first(event: Event) -> None:
        if event == Notice("a step"):
            events.tell("the tracker failed")

    events.listeners += [first, lambda event: heard.append(str(event.text()))]
    with events.heard_first_by(lambda event: heard.append("written")):
        events.tell("a step")
    events.tell("the end")
    assert heard == ["written", "a step", "written", "the tracker failed", "the end"]


def test_a_listener_that_fails_leaves_the_stream_open_for_the_last_word() -> None:
    heard: list[str] = []
    events = Events(lambda event: heard.append(str(event.text())))

    def fails(event: Event) -> None:
        events.listeners.remove(fails)
        raise ValueError("mine")

    events.listeners.insert(0, fails)
    with pytest.raises(ValueError, match="mine"):
        events.tell("a step")
    events.tell("the end")
    assert heard == ["the end"]


def test_events_of_several_threads_are_heard_one_at_a_time_and_none_is_lost() -> None:
    heard: list[str] = []
    inside, overlaps = threading.Lock(), []

    def hear(event: Event) -> None:
        overlaps.append(not inside.acquire(blocking=False))
        heard.append(str(event.text()))
        inside.release()

    events = Events(hear)

    def tells(number: int) -> None:
        for n in range(200):
            events.tell(f"{number}:{n}")

    threads = [threading.Thread(target=tells, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(overlaps) and len(heard) == len(set(heard)) == 800
    for number in range(4):
        own = [one for one in heard if one.startswith(f"{number}:")]
        assert own == [f"{number}:{n}" for n in range(200)]


NUMBERS = {"loss": float("nan"), "tokens_per_second": 1.0, "memory_gib": None}
KINDS: list[Event] = [
    happenings.Chosen("train.batch", 8, "few rows"),
    happenings.Trainable(10, 100),
    happenings.Resumed(3, Path("step-3")),
    happenings.NotFinite(3, 2, float("inf"), 2.0, ("rows.json:1", "rows.json:2")),
    happenings.MemoryShort(3, 512, 5),
    happenings.LossSpike(3, 9.5, 12.0),
    happenings.ChosenRewardFalls(3, 0.5, 0.1),
    happenings.SamplerApart(3, 0.2, 0.001),
    sampled.FarFromBase(20, 1.5, 1.0),
    sampled.AnswersGrow(20, 12.5, 30.0, 25),
    sampled.AnswersAlike(20, 2.5, 0.1),
    sampled.RewardForLength(20, 0.5, 0.48, 12.5, 30.0),
    sampled.UnseenRewardStays(20, 0.5, -0.1),
    happenings.WeightsDidNotMove(10, 2, 4, ["a", "b"]),
    happenings.Fault(3, "all answers are alike"),
    happenings.Evaluated(0, {"loss": 1.5}),
    happenings.PatienceEnded(9, 6),
    happenings.BestNotSaved(9, "no space left"),
    happenings.CheckpointFailed(9, "no space left"),
    happenings.TrackerFailed("wandb", "no server"),
    happenings.MethodEnded(9, "adalora", {"ranks": 4}),
    happenings.Done(Path("model"), 6, 9, "loss", 6, Path("best")),
    happenings.Done(Path("model"), 9, 9, "loss", 6, Path("best")),
    happenings.Reported(Path("report.html"), Path("loss_curve.png")),
    verbs.ProofBegun(Path("runs/one")),
    verbs.StageBegun(2, 3, "reward", "runs/reward", "runs/sft"),
    verbs.StageKept(1, 3, "sft", "runs/sft"),
    verbs.SearchBegun(9, "method.rank"),
    verbs.TrialScored("trial 4", {"loss": 1.5}),
    verbs.TrialFailed("trial 4", "out of memory"),
    verbs.CurveBegun(12, 90),
    verbs.PointProved(80, 1, "accuracy", 0.75),
    verbs.TournamentBegun(12, 340, 56, 78, 90, 123, 45, 6, 7),
    verbs.LeftOut("oft", "the block does not divide"),
    verbs.PieceScored("lora at 1e-4", {"loss": 1.5}),
    verbs.PieceFailed("lora", "out of memory"),
    verbs.AnswersKept(3, 20),
    verbs.AskedAgain("http://one", "429", 0.5),
]


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("event", KINDS, ids=lambda event: type(event).__name__)
def test_what_is_said_holds_what_is_known(
    event: Event, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "_chosen", language)
    text = event.text()
    assert text
    if event.said_as:
        told = [one for value in asdict(event).values() for one in _parts(value)]
        missing = [one for one in told if one not in text]
        assert missing in ([], ["2"]), "all but the number of the attempt is told"


def test_an_attempt_that_is_tried_again_is_recorded_and_not_told() -> None:
    first = happenings.NotFinite(3, 1, float("inf"), 2.0, ("rows.json:1",))
    assert first.text() is None and (first.line() or {})["event"] == "not_finite"


def _parts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else [f"{value}"]


def test_every_event_with_words_of_its_own_is_among_those() -> None:
    speaks = {
        kind
        for module in (happenings, sampled, verbs)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind.said_as
    }
    assert speaks <= {type(event) for event in KINDS}


def test_numbers_that_json_lacks_are_text_and_what_is_none_is_left_out() -> None:
    made = StepMade(2, 4, 2, {**NUMBERS, "rows": ("a", "b")})
    assert made.line() == {
        "step": 2,
        "loss": "nan",
        "tokens_per_second": 1.0,
        "rows": ["a", "b"],
    }
    assert KINDS[3].line() == {
        "step": 3,
        "event": "not_finite",
        "attempt": 2,
        "loss": "inf",
        "grad_norm": 2.0,
        "rows": ["rows.json:1", "rows.json:2"],
    }
    assert Notice("hello").line() is None and KINDS[0].line() is None


def test_what_is_noticed_far_from_a_stream_reaches_the_one_that_is_open(
    capsys: pytest.CaptureFixture[str],
) -> None:
    heard: list[Event] = []
    shown: list[Event] = []
    notice("before")
    with heard_by(shown.append):
        notice("shown")
        with opened(heard.append) as events:
            notice("heard")
            events.tell("told")
        with opened():  # to which nobody listens
            notice("shown again")
    notice("after")
    assert [event.text() for event in heard] == ["heard", "told"]
    assert [event.text() for event in shown] == ["shown", "shown again"]
    assert capsys.readouterr() == ("", "before\nafter\n")


def test_the_line_of_a_step_on_sampled_answers_shows_what_was_measured() -> None:
    words.use("en")
    plain = {"reward": 0.5, "length": 7.0, "stopped": 0.5, "tokens_per_second": 1200.0}
    assert StepMade(1, 2, 1, plain).phase().detail == (
        "reward 0.5  – of groups teach  length 7  50% stopped  1,200 tokens/s"
    )
    more = {"teaching": 0.25, "reward/exact": 0.4, "reward/repetition": -0.1, "kl": 0.0123}
    more |= {"entropy": 1.5, "clipped": 0.03, "sampler_gap": 2e-6, "explained_variance": 0.8}
    assert StepMade(1, 2, 1, plain | more).phase().detail == (
        "reward 0.5 (exact 0.4, repetition -0.1)  25% of groups teach  length 7  50% stopped  "
        "KL 0.0123  entropy 1.5  clipped 0.03  gap to the sampler 2e-06  explained 0.8  "
        "1,200 tokens/s"
    )
