"""A search and the proof of what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.api.results import prove
from tunesmith.events.stream import Listener
from tunesmith.plain import JsonObject
from tunesmith.planning.paths import refuse_absent
from tunesmith.planning.processes import refuse_several
from tunesmith.settings.given import Overrides, Settings, settings_of, speak
from tunesmith.words import metric_name, say

if TYPE_CHECKING:
    from tunesmith.proving.proof import Proof
    from tunesmith.searches.search import Searched


@dataclass(frozen=True)
class SearchedAndProved:
    """What a search found, and the proof of its best run on rows that the search never saw, beside
    the base and the settings as they were given.
    """

    searched: Searched
    proof: Proof

    def lines(self) -> list[str]:
        """Returns the trials, how the choice held, and the proof, for a person to read."""
        return [*self.searched.lines(), *self._held(), "", *self.proof.lines()]

    def _held(self) -> list[str]:
        """Says what the number that chose is on rows that did not choose, where the proof has
        it.
        """
        from tunesmith.proving.judge import TUNED
        from tunesmith.proving.metric_values import shown
        from tunesmith.settings.family import OBJECTIVES

        by = self.searched.found["chosen_by"]
        objective = OBJECTIVES.get(self.searched.best.resolved().run.objective.name)
        name = "nll" if by == "loss" and objective.likelihood else by
        proved = self.proof.found["contenders"][TUNED].get(name)
        if proved is None:
            return []
        chosen = self.searched.found["whole"]["best"]["watch"][by]
        fields = {"watch": shown(name, chosen), "proof": shown(name, proved)}
        return [
            say("search.held", by=metric_name(by), items=self.proof.found["items"], **fields),
        ]

    def to_json(self) -> JsonObject:
        """Returns every number."""
        return {"search": self.searched.to_json(), "proof": self.proof.to_json()}


def search(
    settings: Settings,
    overrides: Overrides = (),
    *,
    quiet: bool = False,
    listen: Sequence[Listener] = (),
) -> SearchedAndProved:
    """Tries the settings of ``search.over``, trains the best whole and proves it against the base
    and against the settings as they were given; what its folder holds already is not done again.

    Each of ``listen`` gets every event. ``found.searched.best`` is the run to use.
    """
    run = settings_of(settings, overrides)
    speak(run)
    refuse_several(run)
    refuse_absent(run)
    from tunesmith.display.progress import Shown
    from tunesmith.searches.search import search as look_for

    searched = look_for(run, quiet=quiet, listen=listen)
    given = searched.as_given
    against = [str(given.path)] if given is not None else []
    with Shown(quiet=quiet) as shown:
        proof = prove(searched.best, against=against, progress=shown, listen=listen)
    speak(run)  # the proof has spoken the language of the finished run
    return SearchedAndProved(searched, proof)
