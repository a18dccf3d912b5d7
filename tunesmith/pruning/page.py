"""The page of a model that was made lighter: what it still does, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.display.table import readable
from tunesmith.export.page import Page
from tunesmith.plain import JsonObject
from tunesmith.pruning.costs import TIMED_TOKENS, Size, Times
from tunesmith.words import say


@dataclass(frozen=True, kw_only=True)
class PrunedPage(Page):
    """All that was measured of a model before and after."""

    asked: JsonObject
    """The model, and what was asked to go."""
    gone: tuple[str, ...]
    """What went, in words."""
    size_before: Size
    size_after: Size
    times: Times

    def _title(self) -> str:
        return say("prune.page", how=self.format, dtype=self.dtype)

    def _head(self) -> list[str]:
        return [say("prune.before"), say("prune.after")]

    def _costs(self) -> list[list[str]]:
        sizes, times = (self.size_before, self.size_after), self.times
        faster = f"{times.faster:.2f} [{times.low:.2f}, {times.high:.2f}]"
        seconds = [f"{time:.2f} s" for time in (times.before, times.after)]
        return [
            [say("prune.row_weights"), *(f"{size.weights:,}" for size in sizes)],
            [say("prune.row_zeros"), *(f"{size.zeros / size.weights:.1%}" for size in sizes)],
            [say("export.row_size"), *(readable(size.file) for size in sizes)],
            *self._memory(),
            [say("prune.row_cache"), *(readable(1000 * size.cache) for size in sizes)],
            [say("prune.row_answer", tokens=TIMED_TOKENS), *seconds],
            [say("prune.row_faster"), "", faster],
        ]
