"""What happens in the verbs beside training: while a run is proved, while stages follow each other,
while methods are compared, while settings are searched, and while a teacher answers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tunesmith.events.stream import Event
from tunesmith.words import metric_name, say


@dataclass(frozen=True)
class ProofBegun(Event):
    """The beginning of a proof."""

    said_as = "prove.begin"

    folder: Path


@dataclass(frozen=True)
class Proved(Event):
    """The verdict on a run, by its primary metric; what a person is told is the proof itself."""

    folder: Path
    verdict: str
    primary: str


@dataclass(frozen=True)
class StageBegun(Event):
    """The beginning of a stage, or its resumption, and the model that it is trained on."""

    said_as = "stages.begin"

    number: int
    of: int
    name: str
    out: str
    model: str


@dataclass(frozen=True)
class StageKept(Event):
    """A stage that an earlier call has trained."""

    said_as = "stages.finished"

    number: int
    of: int
    name: str
    out: str


@dataclass(frozen=True)
class TournamentBegun(Event):
    """What a tournament compares, and on which rows."""

    said_as = "tournament.begin"

    methods: int
    rows: int
    steps: int
    watch: int
    proof: int
    general: int
    pieces: int
    places: int
    seeds: int


@dataclass(frozen=True)
class LeftOut(Event):
    """A method that the plan refuses."""

    said_as = "tournament.left_out"

    method: str
    reason: str


@dataclass(frozen=True)
class PieceBegun(Event):
    """A training or a scoring of a tournament, the ``number``-th of ``total``; its display says
    that it runs.
    """

    title: str
    number: int
    total: int


@dataclass(frozen=True)
class PieceScored(Event):
    """What a trained piece reached on the watched rows; None where that is not finite."""

    title: str
    watch: dict[str, float] | None

    def text(self) -> str:
        """Returns the piece and its numbers."""
        numbers = say("tournament.not_finite")
        if self.watch is not None:
            values = (f"{metric_name(name)} {value:.4f}" for name, value in self.watch.items())
            numbers = "  ".join(values)
        return say("tournament.tried", title=self.title, numbers=numbers)


@dataclass(frozen=True)
class PieceFailed(Event):
    """A method, or a piece of one, that cannot go on."""

    said_as = "tournament.failed"

    method: str
    reason: str


@dataclass(frozen=True)
class SearchBegun(Event):
    """How many trainings a search makes, and the settings that it tries."""

    said_as = "search.begin"

    trainings: int
    settings: str


@dataclass(frozen=True)
class TrialScored(Event):
    """What a trial of a search reached on the validation rows."""

    title: str
    watch: dict[str, float]

    def text(self) -> str:
        """Returns the trial and its numbers."""
        values = (f"{metric_name(name)} {value:.4f}" for name, value in self.watch.items())
        return say("search.scored", title=self.title, numbers="  ".join(values))


@dataclass(frozen=True)
class TrialFailed(Event):
    """A trial that cannot go on; the search goes on without it."""

    said_as = "search.trial_failed"

    title: str
    reason: str


@dataclass(frozen=True)
class CurveBegun(Event):
    """How many runs a learning curve has, and how many rows prove each."""

    said_as = "curve.begin"

    runs: int
    items: int


@dataclass(frozen=True)
class PointProved(Event):
    """What the tuned model of one run of a learning curve reached on the proof rows."""

    said_as = "curve.proved"

    rows: int
    seed: int
    metric: str
    value: float


@dataclass(frozen=True)
class AnswersKept(Event):
    """How many answers an earlier call of the same teacher has left."""

    said_as = "generate.going_on"

    done: int
    total: int


@dataclass(frozen=True)
class Answered(Event):
    """An answer of a teacher, by its number: how it ended, and its tokens."""

    number: int
    finish: str
    tokens: int


@dataclass(frozen=True)
class AskedAgain(Event):
    """A request that failed and is repeated after a pause (seconds)."""

    url: str
    reason: str
    pause: float

    def text(self) -> str:
        """Returns the reason and the pause."""
        return say("generate.again", **asdict(self) | {"pause": f"{self.pause:.1f}"})
