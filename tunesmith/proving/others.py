"""Contenders from outside the run: the model of another run, any other model, and what is asked
elsewhere and only writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tunesmith.data.rendering.render import Render
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Chat
from tunesmith.proving.interrupted import weights_in
from tunesmith.proving.record import OWN
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Model, Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded


@dataclass(frozen=True)
class OtherModel:
    """A model that is loaded once its turn comes; ``identity`` tells its weights from any others.

    ``load`` takes the renderer of the proof, whose settings a model without its own is asked by.
    """

    name: str
    identity: str
    load: Callable[[Render], Loaded]


@runtime_checkable
class OtherWriter(Protocol):
    """A contender that is asked elsewhere: it writes answers, and nothing is known of what it finds
    likely.
    """

    name: str
    identity: str

    def write(
        self, chats: Sequence[Chat], most: int, done: Sequence[int]
    ) -> Iterator[tuple[int, str, bool]]:
        """Yields for each conversation that is not ``done`` its number, the answer of at most
        ``most`` tokens, and whether it ended by itself.
        """
        ...


Other = OtherModel | OtherWriter


def other_model(place: str, run: Run) -> OtherModel:
    """Finds a finished run by its folder, or a model by folder or id; raises SpecError for a run
    of another kind. A folder that is called as a contender of the run, such as ``base``, is
    ``./base``.
    """
    from tunesmith.models.finding.hub import folder_of
    from tunesmith.models.saved import load_other, load_run

    folder = RunFolder(Path(place))
    name = f"./{place}" if place in OWN else place
    ours = OBJECTIVES.make(run.objective)
    if not folder.run_yaml.is_file():
        if not ours.output.writes:
            text = say("prove.other_run_only", objective=ours.name)
            raise SpecError(Problem(f"against: {place}", text))
        base = folder_of(Model(path=place))
        return OtherModel(name, weights_in(base), lambda render: load_other(base, run, render))
    theirs_run = folder.resolved().run
    theirs = OBJECTIVES.make(theirs_run.objective)
    kinds = [(objective.output.name, objective.output.continues) for objective in (ours, theirs)]
    if kinds[0] != kinds[1]:
        text = say("prove.other_kind", theirs=theirs.name, ours=ours.name)
        raise SpecError(Problem(f"against: {place}", text))
    return OtherModel(
        name, weights_in(folder.model, folder_of(theirs_run.model)), lambda render: load_run(folder)
    )
