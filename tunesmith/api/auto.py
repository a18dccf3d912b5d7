"""A file and a budget: what is worth training, trained and proved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tunesmith.api.before_training import plan
from tunesmith.api.curve import curve
from tunesmith.api.search import search
from tunesmith.events.stream import Listener, opened
from tunesmith.settings.given import Overrides, Settings, given, speak_language
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Run

if TYPE_CHECKING:
    from tunesmith.automatic.auto import Found
    from tunesmith.proving.proof import Proof
    from tunesmith.searches.search import Searched


def auto(
    settings: Settings,
    overrides: Overrides = (),
    *,
    budget: str,
    memory: str | None = None,
    goal: str | None = None,
    quiet: bool = False,
    listen: Sequence[Listener] = (),
) -> Found:
    """Proposes objective, model and method for ``data``, spends ``budget`` (``30m``) on a search
    over a few good settings, and proves the best beside what needs no training; what its folder
    holds already is not done again.

    ``memory`` is what may be used (``16GiB``), ``goal`` the metric that decides. Other settings are
    taken as they are given.
    """
    plain = dict(with_overrides(given(settings), overrides))
    speak_language(str(plain.get("lang", "auto")))
    from tunesmith.automatic.auto import Asked, Verbs
    from tunesmith.automatic.auto import auto as go
    from tunesmith.display.progress import Shown

    def searched(run: Run) -> tuple[Searched, Proof]:
        tried = search(run, quiet=quiet, listen=listen)
        return tried.searched, tried.proof

    with Shown(quiet=quiet) as shown:
        verbs = Verbs(
            plan=lambda run: plan(run, probe=True, progress=shown),
            search=searched,
            curve=lambda run: curve(run, quiet=quiet, listen=listen),
        )
        with opened(shown.hear, *listen) as events:
            return go(Asked(plain, budget, memory, goal), verbs, events)
