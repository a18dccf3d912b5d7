"""A learning curve: the same run by several numbers of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tunesmith.api.before_training import plan
from tunesmith.api.results import prove
from tunesmith.api.training import train
from tunesmith.events.stream import Listener, opened
from tunesmith.planning.paths import refuse_absent
from tunesmith.planning.processes import refuse_several
from tunesmith.settings.given import Overrides, Settings, settings_of, speak

if TYPE_CHECKING:
    from tunesmith.curves.curve import Drawn


def curve(
    settings: Settings,
    overrides: Overrides = (),
    *,
    quiet: bool = False,
    listen: Sequence[Listener] = (),
) -> Drawn:
    """Trains the run by several numbers of its rows and several seeds, proves each on the same
    held-out rows, and fits how quality grows; what its folder holds already is not done again.

    Each of ``listen`` gets every event.
    """
    run = settings_of(settings, overrides)
    speak(run)
    refuse_several(run)
    refuse_absent(run)
    from tunesmith.curves.curve import Steps, draw
    from tunesmith.display.progress import Shown

    with Shown(quiet=quiet) as shown:
        options = {"progress": shown, "listen": listen}
        steps = Steps(
            plan=plan,
            # Its warnings were those of the whole.
            train=lambda one: train(one, on_plan=lambda _: None, **options),
            resume=lambda folder: train(folder, resume=True, **options),
            prove=lambda folder: prove(folder, **options),
        )
        with opened(shown.hear, *listen) as events:
            return draw(run, steps, events)
