"""The pieces of a tournament, each ending with a file that says it is done: a training of the
search, a whole one, scores.
"""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

from tunesmith.errors import TrainingError
from tunesmith.events.stream import Events
from tunesmith.machine.signals import StopSignal
from tunesmith.models.saved import load_run
from tunesmith.plain import JsonObject
from tunesmith.proving.judge import TUNED
from tunesmith.tournaments.folder import Scored
from tunesmith.tournaments.scoring import score, watched
from tunesmith.tournaments.setup import Entry, Field
from tunesmith.training.health import Falling, Spikes
from tunesmith.training.keeping.record import Record
from tunesmith.training.keeping.state import seed_everything
from tunesmith.training.loop import fit
from tunesmith.training.preparing import make_ready
from tunesmith.training.start import train
from tunesmith.training.work import Position
from tunesmith.trials.files import put
from tunesmith.trials.training import Titled, taken


def try_rate(field: Field, entry: Entry, rate: float, share: float, title: str) -> None:
    """Trains ``share`` of the whole at ``rate`` and scores the watched rows; nothing of the model
    is kept.
    """
    path = entry.corner.tried(rate, share)
    resolved = entry.planned(rate, field.run.train.seed, share)
    record_file = path.with_suffix(".jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    record_file.unlink(missing_ok=True)
    at = Position(unseen=False)
    result: JsonObject = {"rate": rate, "share": share, "seed": field.run.train.seed}
    with StopSignal() as signal, Titled(title) as shown:
        record = Record(record_file)
        events = Events(record.hear, shown.hear)
        ready = make_ready(resolved, field.prepared, events, field.base(entry))
        seed_everything(resolved.run.train.seed)
        try:
            fit(
                ready.work,
                at,
                rules=[Spikes(), Falling()],
                look=_Never(),
                save=lambda step: True,
                stopped=lambda: signal.received,
            )
            result["watch"] = watched(
                field, ready.work.model, ready.resolved.run, lambda: signal.received is not None
            )
        except TrainingError as error:
            # A rate that blows up loses; that is what the search is for.
            result |= {"watch": None, "reason": str(error)}
        result |= taken(record.lines())
        record.close()
    if result["watch"] is not None and not all(map(math.isfinite, result["watch"].values())):
        result |= {"watch": None, "reason": str(result["watch"])}
    put(path, result)


class _Never:
    """No evaluation on the way."""

    exhausted = False
    held_out = None

    def __call__(self, step: int) -> bool:
        """Evaluates nothing."""
        return True


def train_whole(
    field: Field, entry: Entry, place: Scored, *, rate: float, seed: int, title: str
) -> None:
    """Trains one whole run in its own folder; continues where it was stopped."""
    resume = place.run.run_yaml.is_file()
    resolved = place.run.resolved() if resume else entry.planned(rate, seed)
    with Titled(title) as shown:
        folder = train(
            resolved,
            field.prepared,
            resume=resume,
            events=Events(shown.hear),
            loaded=field.base(entry),
        )
    put(
        place.trained,
        {"rate": rate, "seed": seed, **taken(folder.steps()), "bytes": weights(folder.model)},
    )
    # The model is there, and nothing will be continued.
    shutil.rmtree(folder.checkpoints, ignore_errors=True)


def weights(folder: Path) -> int:
    """Returns the size of a model folder's weights in bytes."""
    return sum(os.path.getsize(path) for path in folder.rglob("*.safetensors"))


def score_base(field: Field, title: str) -> None:
    """Scores the base, once for all."""
    loaded = field.base()
    assert loaded is not None, "the base is loaded before anything is scored"
    with Titled(title) as shown:
        events = Events(shown.hear)
        board, run = field.board, field.first.run
        score(field, loaded, run, board.base, who="base", costs=True, events=events)


def score_run(field: Field, place: Scored, title: str) -> None:
    """Scores a finished run by what it saved: loaded as any later verb loads it."""
    run = place.run.resolved().run
    with Titled(title) as shown:
        score(
            field,
            load_run(place.run),
            run,
            place,
            who=TUNED,
            costs=run.train.seed == field.run.train.seed,
            events=Events(shown.hear),
        )
