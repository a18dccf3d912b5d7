"""The stream of events of a verb that is called from Python or from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from tunesmith.events.stream import Events, Listener, opened

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown


def heard(progress: Shown | None, listen: Sequence[Listener]) -> AbstractContextManager[Events]:
    """Opens the stream of a verb, which the display that the caller has opened hears first."""
    return opened(*([progress.hear] if progress is not None else []), *listen)
