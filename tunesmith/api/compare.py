"""Several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.settings.given import speak
from tunesmith.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tunesmith.report.compared import Comparison


def compare(
    runs: Sequence[RunFolder | str | Path],
    *,
    data: str | None = None,
    page: str | Path | None = None,
) -> Comparison:
    """Compares the first of several runs with each of the others: the settings that differ, how
    each went, and the proofs of written ones, paired on the rows that they share.

    ``data`` is a file on which they were proved (``prove(run, data=FILE)``), in place of each one's
    own held-out rows. ``page`` is an HTML file to write, with the curves of all runs in one chart
    each.
    """
    from tunesmith.report.compare_page import write_page
    from tunesmith.report.compared import compare_runs

    folders = [run if isinstance(run, RunFolder) else RunFolder(Path(run)) for run in runs]
    for folder in folders:
        speak(folder.resolved().run)
    comparison = compare_runs(folders, data)
    if page is not None:
        write_page(comparison, Path(page))
    return comparison
