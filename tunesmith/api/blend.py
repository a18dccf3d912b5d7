"""Base and tuned blended after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.api.heard import heard
from tunesmith.events.stream import Listener
from tunesmith.settings.given import speak
from tunesmith.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tunesmith.blending.blend import Blended
    from tunesmith.display.progress import Shown


def blend(
    run: RunFolder | str | Path,
    out: str | Path | None = None,
    *,
    alphas: Sequence[float] = (),
    alpha: float | None = None,
    items: int | None = None,
    suites: Sequence[str | Mapping[str, object]] = (),
    progress: Shown | None = None,
    listen: Sequence[Listener] = (),
) -> Blended:
    """Takes a share alpha of what the run learned, W₀ + α (W − W₀), and writes that model as the
    run folder ``out`` (``RUN-blended`` where it is not given), which every other verb takes.

    The share is the best on at most ``items`` validation rows that lost to the base, on every
    second question of ``suites`` (those of the run, or the probe), no more than their margin; it is
    one of ``alphas``, 0 and 1, or ``alpha``, and then nothing is measured.
    """
    from tunesmith.blending.blend import ALPHAS, Wanted
    from tunesmith.blending.blend import blend as make

    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    speak(folder.resolved().run)
    target = Path(out) if out is not None else folder.path.with_name(f"{folder.path.name}-blended")
    wanted = Wanted(alphas or ALPHAS, alpha, items, suites)
    with heard(progress, listen) as events:
        return make(folder, target, wanted, events)
