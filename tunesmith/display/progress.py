"""What a run shows: a bar with phase, step, loss, tokens/s and time left, or plain lines where
there is no terminal.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tunesmith.events.run import StepMade
from tunesmith.events.stream import Event, Phase, heard_by
from tunesmith.words import say

PLAIN_EVERY = 10.0
"""Seconds between two lines of one phase where there is no terminal."""


class Shown:
    """Context of one run's display; called as ``shown(phase, done, total)``, with more for a
    training step.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True, quiet=quiet)
        self._bar: Progress | None = None
        self._task: Any = None
        self._phase = ""
        self._told = 0.0
        self._began, self._from = 0.0, 0
        self._open = ExitStack()

    def __enter__(self) -> Shown:
        self._open.enter_context(heard_by(self.hear))
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[detail]}"),
            )
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self.console)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._open.close()

    def hear(self, event: Event) -> None:
        """Shows what an event of a run says."""
        if isinstance(event, StepMade):
            event = event.phase()
        if isinstance(event, Phase):
            self(event.phase, event.done, event.total, event.detail)
        elif (text := event.text()) is not None:
            self.tell(text)

    def tell(self, text: str) -> None:
        """Prints a line that stays."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, phase: str, done: int, total: int, detail: str = "") -> None:
        """Shows the progress of ``phase``."""
        changed, self._phase = phase != self._phase, phase
        if changed:
            self._began, self._from = time.monotonic(), done
        if self._bar is not None:
            if changed:
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task = self._bar.add_task(
                    phase, total=total or None, detail=detail, completed=done
                )
            self._bar.update(self._task, completed=done, total=total or None, detail=detail)
        elif changed or done == total or time.monotonic() - self._told >= PLAIN_EVERY:
            self._told = time.monotonic()
            of = f"{done:,}" if done else ""
            if total:
                of = f"{done}/{total}"
            self.tell(f"{phase} {of}  {detail}{self._left(done, total)}".rstrip())

    def _left(self, done: int, total: int) -> str:
        # What was done before this phase began, of a resumed run, took none of its time.
        spent = time.monotonic() - self._began
        here = done - self._from
        seconds = (
            f"{spent / here * (total - done):.0f}"
            if here > 0 and done < total and spent > 1
            else ""
        )
        return say("train.left", seconds=seconds) if seconds else ""
