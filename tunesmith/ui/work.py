"""The process of a work that a page began: ``python -m tunesmith.ui.work FOLDER``. It does what the
folder asks for, and writes there where it stands and how it ended; what broke is the last that it
said.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tunesmith import words
from tunesmith.errors import ExportError, TunesmithError
from tunesmith.events.stream import Event, Parts, Phase
from tunesmith.plain import JsonObject
from tunesmith.storage.process import named_in
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.works import Work
from tunesmith.words import say

EVERY = 0.3
"""Seconds between two writings of where a phase stands."""


class Progress:
    """Where a work stands, as its page shows it."""

    def __init__(self, work: Work) -> None:
        self.work, self._phase, self._at = work, "", 0.0
        self._done, self._began, self._from = 0, 0.0, 0
        self._part, self._parts = 0, 0

    def hear(self, event: Event) -> None:
        """Takes an event of a verb."""
        if isinstance(event, Parts):
            self._part, self._parts, self._phase = 0, event.count, ""
        elif isinstance(event, Phase):
            self(event.phase, event.done, event.total)
        elif (text := event.text()) is not None:
            print(text)

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Notes where a phase stands; at once where it is a new one, which may have the name of the
        one before.
        """
        now = time.monotonic()
        new = phase != self._phase or done < self._done
        if new:
            self._phase, self._began, self._from = phase, now, done
            self._part += bool(self._parts)
        self._done = done
        if new or done == total or now - self._at >= EVERY:
            self._at = now
            part = {"part": min(self._part, self._parts), "parts": self._parts}
            stands = {"phase": phase, "done": done, "total": total, **part}
            self.work.write("phase", {**stands, "left": self._left(done, total)})

    def _left(self, done: int, total: int) -> float | None:
        """Returns the seconds that the phase still takes at its pace so far; None before there is
        one.
        """
        here = done - self._from
        return (time.monotonic() - self._began) / here * (total - done) if here > 0 else None


def serve(work: Work, asked: JsonObject) -> None:
    """Serves runs until it is told to end."""
    from tunesmith.serving.service import Address, Service
    from tunesmith.serving.start import serve as start

    def ready(served: Mapping[str, frozenset[str]], address: Address, keys: Sequence[str]) -> None:
        routes = {name: sorted(routes) for name, routes in served.items()}
        work.write("ready", {"models": routes, "url": address.url, "key": keys[0]})

    named = [f"{name}={run}" for name, run in asked["runs"].items()]
    service = Service(Address(port=0), bases=True)
    start(
        named, service, which=RunFolder, tell=lambda lines: print(*lines, sep="\n"), answers=ready
    )


def prove(work: Work, asked: JsonObject) -> JsonObject:
    """Proves a run, and writes its report anew."""
    from tunesmith import api
    from tunesmith.report.build import build

    folder = RunFolder(Path(asked["run"]))
    options = {name: asked[name] for name in ("items", "shots", "data", "against", "suites")}
    proof = api.prove(folder, **options, listen=[Progress(work).hear])
    print(*proof.lines(), sep="\n")
    build(folder)
    return {"verdict": proof.verdict}


def export(work: Work, asked: JsonObject) -> JsonObject:
    """Writes a run's model in another format; raises ExportError for one that is not what is
    required.
    """
    from tunesmith import api

    run = RunFolder(Path(asked["run"]))
    out = Path(asked["out"])
    done = api.export_run(run, out, asked["settings"], progress=Progress(work))
    print(*done.lines(), sep="\n")
    if not done.met:
        raise ExportError(say("export.required", **done.required()))
    return {"out": str(out)}


def arena(work: Work, asked: JsonObject) -> None:
    """Lets models answer, then serves the page on which a person votes, until it is told to end."""
    from tunesmith import api
    from tunesmith.pages.local import serve
    from tunesmith.voting.page import Page

    comparison = api.arena(asked["contenders"], asked["settings"], listen=[Progress(work).hear])
    serve(Page(comparison, "me").app(), 0, lambda link: work.write("ready", {"link": link}))


KINDS: dict[str, Callable[[Work, JsonObject], JsonObject | None]] = {
    "serve": serve,
    "prove": prove,
    "export": export,
    "arena": arena,
}
"""What there is; each returns what it found, for its page."""


def main(folder: Path) -> int:
    """Does the work of a folder; returns the exit code."""
    from filelock import FileLock

    work = Work(folder)
    asked = work.asked
    words.use(asked["lang"], asked=True)
    with FileLock(work.lock).acquire(timeout=1), named_in(folder):
        try:
            result = KINDS[asked["kind"]](work, asked)
        except TunesmithError as error:
            problems = [(problem.where, problem.text) for problem in error.problems]
            work.write("ended", {"problem": str(error), "problems": problems})
            return error.exit_code
        work.write("ended", {"problem": "", **(result or {})})
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
