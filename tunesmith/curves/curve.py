"""A learning curve from beginning to end: every point is a run of its own, trained and proved, and
what is done is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.curves.measured import Point, measured
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.events.verbs import CurveBegun, PieceBegun, PointProved
from tunesmith.plain import JsonObject
from tunesmith.planning.begun import begin
from tunesmith.planning.plan import Plan
from tunesmith.proving.judge import TUNED
from tunesmith.proving.proof import Proof
from tunesmith.report.curve_page import curve_lines, write_page
from tunesmith.report.samples import read_items
from tunesmith.settings.curve import Curve
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.trials.files import got, put
from tunesmith.words import say

FEWEST_SIZES, FEWEST_ROWS = 3, 8
"""A law has three numbers; below so many rows a training says little of a task."""
MAY_CHANGE = frozenset({"out", "lang", "curve.shares", "curve.seeds", "curve.gain"})


@dataclass(frozen=True)
class Drawn:
    """A finished curve: its folder, and what was found."""

    path: Path
    found: JsonObject

    @property
    def page(self) -> Path:
        """The page with the picture and the table."""
        return self.path / "curve.html"

    @property
    def result(self) -> Path:
        """The file with every number."""
        return self.path / "curve.json"

    def lines(self) -> list[str]:
        """Returns the table of sizes, the law, and what the next gain takes."""
        return curve_lines(self.found)

    def to_json(self) -> JsonObject:
        """Returns every number."""
        return self.found


@dataclass(frozen=True)
class Steps:
    """How a point is planned, trained and proved: the verbs, which stand above this room."""

    plan: Callable[[Run], Plan]
    train: Callable[[Run], object]
    resume: Callable[[RunFolder], object]
    prove: Callable[[RunFolder], Proof]


def draw(run: Run, steps: Steps, events: Events) -> Drawn:
    """Trains and proves what is not done yet in the folder ``run.out``, and writes the curve there;
    raises SpecError for sizes that make none.
    """
    asked = run.curve or Curve()
    run = run.model_copy(update={"curve": asked})
    plain = run.model_copy(update={"curve": None})
    folder = Path(run.out)
    plan = steps.plan(plain.model_copy(update={"out": str(folder / "planned")})).require()
    prepared = plan.prepared
    assert prepared is not None, "a plan without problems has its rows"
    if not prepared.proof:
        raise SpecError(Problem("data.held_out", say("curve.needs_proof")))
    sizes = _sizes(asked, prepared.ledger.trained)
    with RunFolder(folder).held():
        begin(folder / "curve.yaml", run, may_change=MAY_CHANGE)
        _same_rows(folder / "rows.json", prepared.fingerprint)
        runs = list(_runs(plain, folder, sizes, asked.seeds))
        events(CurveBegun(len(runs), len(prepared.proof)))
        points = [
            _point(point, steps, events, (number, len(runs)))
            for number, point in enumerate(runs, 1)
        ]
        drawn = Drawn(folder, _found(points, run, asked))
        put(drawn.result, drawn.found)
        write_page(drawn.found, drawn.page)
    return drawn


def _found(points: Sequence[Point], run: Run, asked: Curve) -> JsonObject:
    shots = {"shots": run.prove.shots}  # how the few-shot rival is called
    return measured(points, asked.gain, seed=run.train.seed) | shots


def _sizes(asked: Curve, rows: int) -> list[int]:
    """Returns the numbers of rows, the smallest first."""
    sizes = sorted({round(share * rows) for share in asked.shares})
    if len(sizes) < FEWEST_SIZES:
        text = say("curve.too_few_sizes", sizes=", ".join(map(str, sizes)) or 0, least=FEWEST_SIZES)
        raise SpecError(Problem("curve.shares", text))
    if sizes[0] < FEWEST_ROWS:
        text = say("curve.too_few_rows", size=sizes[0], rows=rows, least=FEWEST_ROWS)
        raise SpecError(Problem("curve.shares", text))
    return sizes


def _same_rows(file: Path, fingerprint: str) -> None:
    """Raises DataError where the rows are no longer those of the points that are done."""
    before = got(file)
    if before is not None and before["fingerprint"] != fingerprint:
        raise DataError(Problem("data.path", say("curve.data_changed", out=file.parent)))
    put(file, {"fingerprint": fingerprint})


def _runs(own: Run, folder: Path, sizes: Sequence[int], seeds: int) -> Iterator[Run]:
    """Yields the run of each point: all sizes by one seed, then by the next."""
    for seed in range(own.train.seed, own.train.seed + seeds):
        for size in sizes:
            path = folder / "points" / f"{size:05d}-rows-seed-{seed}"
            train = {"seed": seed, "rows": size, "split_seed": own.split_seed}
            yield own.model_copy(
                update={"out": str(path), "train": own.train.model_copy(update=train)}
            )


def _point(run: Run, steps: Steps, events: Events, place: tuple[int, int]) -> Point:
    """Trains and proves one point, unless that is done."""
    folder = RunFolder(Path(run.out))
    rows = run.train.rows
    assert rows is not None, "every point has its number of rows"
    if not folder.proof.is_file():
        events(PieceBegun(say("curve.title", rows=rows, seed=run.train.seed), *place))
        if not folder.run_yaml.is_file():
            steps.train(run)
        elif not (folder.model / "tunesmith.json").is_file():
            steps.resume(folder)
        steps.prove(folder)
    proof = folder.read(folder.proof)
    primary = proof["primary"]
    values = proof["contenders"][TUNED]
    events(PointProved(rows, run.train.seed, primary, values[primary]))
    return Point(rows, run.train.seed, primary, values, read_items(folder.items))
