"""A run on rewards for another toolkit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.settings.given import Overrides, Settings, settings_of, speak
from tunesmith.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown
    from tunesmith.hand_off.write import HandedOff


def hand_over(
    settings: Settings,
    to: str,
    out: str | Path,
    overrides: Overrides = (),
    *,
    progress: Shown | None = None,
) -> HandedOff:
    """Writes a run on rewards (its settings, or its folder, from whose model training goes on) as
    files and a command for ``verl``, ``openrlhf`` or ``ms-swift``.
    """
    from tunesmith.hand_off.write import hand_off

    folder = RunFolder(Path(settings)) if isinstance(settings, str | Path) else None
    trained = folder if folder is not None and folder.run_yaml.is_file() else None
    run = trained.resolved().run if trained is not None else settings_of(settings, overrides)
    speak(run)
    return hand_off(run, to, Path(out), trained=trained, progress=progress)
