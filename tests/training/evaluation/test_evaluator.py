"""One evaluation: what it writes down, what it keeps, and what a signal or a full disk leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from material import runs
from tunesmith.errors import DiskError, Problem
from tunesmith.machine.parallel import Processes
from tunesmith.settings.run import Keep
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.evaluation import evaluator
from tunesmith.training.evaluation.watch import Best
from tunesmith.training.keeping.record import Record


@dataclass
class Watched:
    """The numbers of each evaluation, given in turn; None is one that a signal broke off."""

    losses: list[float | None]
    keep: Keep
    only_measured: bool = False
    items: list[Any] = field(default_factory=lambda: ["row"])
    used: bool = True
    best: Best = field(init=False)
    fitted_on: list[Any] = field(default_factory=list)
    model: Any = field(default_factory=lambda: SimpleNamespace(model=None))

    def __post_init__(self) -> None:
        self.best = Best(self.keep)

    def fit(self, model: Any, items: list[Any]) -> dict[str, Any]:
        self.fitted_on.append(items)
        return {}

    @property
    def objective(self) -> Any:
        return SimpleNamespace(output=SimpleNamespace(fit=self.fit))

    def seen(self, step: int) -> list[Any]:
        return []

    def evaluate(self, stopped: Callable[[], bool]) -> dict[str, float] | None:
        value = self.losses.pop(0)
        return None if value is None else {"loss": value}


@dataclass
class Saved:
    """Writes the step into the folder, where a model's weights would stand."""

    full: bool = False
    fitted: Any = None

    def __call__(self, folder: Path, step: int) -> None:
        if self.full:
            raise DiskError(Problem(str(folder), "no space left"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "step").write_text(str(step))


class Asked:
    def __init__(self, *answers: list[str] | None) -> None:
        self.texts, self.given = (["Why?"] if answers else []), list(answers)

    def answers(self, model: Any, stopped: Callable[[], bool]) -> list[str] | None:
        return self.given.pop(0)


@dataclass
class Run:
    evaluations: evaluator.Evaluator
    folder: RunFolder
    said: list[str]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.folder.record.read_text().splitlines()]

    def of(self, folder: Path) -> int:
        return int((folder / "step").read_text())


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    def made(
        *losses: float | None,
        asked: Asked | None = None,
        full: bool = False,
        only_measured: bool = False,
        **keep: Any,
    ) -> Run:
        folder, said = RunFolder(tmp_path), []
        watch: Any = Watched(list(losses), Keep(**keep), only_measured)
        machine: Any = SimpleNamespace(processes=Processes(), divided=False)
        saver: Any = Saved(full)
        questions: Any = asked or Asked()
        record, events = Record(folder.record), runs.said(said)
        events.listeners.append(record.hear)
        evaluations = evaluator.Evaluator(
            watch,
            questions,
            saver,
            folder,
            record,
            machine,
            total=9,
            stopped=lambda: None,
            events=events,
        )
        return Run(evaluations, folder, said)

    return made


def test_the_models_of_one_step_share_a_fit_and_a_checkpoint_between_two_has_none(
    run: Callable[..., Run],
) -> None:
    one = run(3.0, 2.0, 2.5)
    fitted_on = cast(Any, one.evaluations.watch).fitted_on
    one.evaluations(0)
    one.evaluations(4)  # the best so far, so it is fitted and kept
    one.evaluations.for_checkpoint(4)
    assert len(fitted_on) == 1
    one.evaluations.for_checkpoint(6)
    assert len(fitted_on) == 1, "no evaluation was made at step 6"
    one.evaluations(8)
    one.evaluations.for_checkpoint(8)
    assert one.evaluations.leave(8) == 8
    assert len(fitted_on) == 2


def test_the_best_model_is_kept_and_left_and_a_later_worse_one_is_not(
    run: Callable[..., Run],
) -> None:
    one = run(3.0, 2.0, 1.0, 1.5, final="best")
    assert [one.evaluations(step) for step in (0, 3, 6, 9)] == [True] * 4
    assert one.of(one.folder.best) == 6
    assert one.evaluations.leave(9) == 6 and one.of(one.folder.model) == 6
    assert [line["evaluation"]["loss"] for line in one.lines()] == [3.0, 2.0, 1.0, 1.5]


def test_the_last_model_is_left_where_that_is_asked_for(run: Callable[..., Run]) -> None:
    one = run(1.0, 2.0, final="last")
    one.evaluations(3), one.evaluations(6)
    assert one.evaluations.leave(9) == 9 and one.of(one.folder.model) == 9
    assert one.of(one.folder.best) == 3


def test_the_untouched_base_is_never_the_best(run: Callable[..., Run]) -> None:
    one = run(0.1, 2.0, final="best")
    one.evaluations(0)
    assert not one.folder.best.exists()
    one.evaluations(3)
    assert one.of(one.folder.best) == 3


def test_rows_of_the_proof_choose_nothing_and_fit_nothing(run: Callable[..., Run]) -> None:
    one = run(2.0, 1.0, only_measured=True, final="best")
    one.evaluations(3), one.evaluations(6)
    assert not one.folder.best.exists()
    assert one.evaluations.leave(9) == 9
    watch: Any = one.evaluations.watch
    assert watch.fitted_on == [[]]


def test_patience_ends_once_with_the_step_that_was_best(run: Callable[..., Run]) -> None:
    one = run(1.0, 2.0, 3.0, patience=2)
    one.evaluations(3), one.evaluations(6)
    assert not one.evaluations.exhausted
    one.evaluations(9)
    assert one.evaluations.exhausted
    ended = [line for line in one.lines() if line.get("event") == "patience_ended"]
    assert ended == [{"step": 9, "event": "patience_ended", "best_step": 3}]


def test_a_signal_while_rows_are_watched_leaves_nothing(run: Callable[..., Run]) -> None:
    one = run(None)
    assert one.evaluations(3) is False
    assert one.lines() == [] and one.said == [] and not one.folder.best.exists()


def test_a_signal_while_questions_are_answered_drops_the_numbers_too(
    run: Callable[..., Run],
) -> None:
    """They are all made again after the run goes on, and would stand twice."""
    one = run(1.0, asked=Asked(None))
    assert one.evaluations(3) is False
    assert one.lines() == [] and one.evaluations.watch.best.step is None


def test_answers_stand_in_the_record_and_on_the_page(run: Callable[..., Run]) -> None:
    one = run(2.0, 1.0, asked=Asked(["No."], ["Because."]))
    one.evaluations(0), one.evaluations(9)
    given = [line["answers"] for line in one.lines() if line.get("event") == "answers"]
    assert given == [["No."], ["Because."]]
    page = one.folder.questions.read_text(encoding="utf-8")
    assert page.index("Why?") < page.index("No.") < page.index("Because.")


def test_a_full_disk_costs_the_best_model_and_not_the_run(run: Callable[..., Run]) -> None:
    one = run(1.0, full=True)
    assert one.evaluations(3) is True
    (event,) = [line for line in one.lines() if line.get("event") == "best_not_saved"]
    assert event["step"] == 3 and "no space left" in event["error"]
    assert any("no space left" in text for text in one.said)
    with pytest.raises(DiskError):
        one.evaluations.leave(9)
