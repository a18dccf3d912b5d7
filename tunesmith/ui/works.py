"""What pages begin beside trainings: proofs, exports, servers, arenas. Each is a process of its own
with a folder of its own, by which every page and every later server finds it again.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import Problem
from tunesmith.plain import JsonObject
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.process import NAME, ask_to_stop, is_held
from tunesmith.ui.stamps import stamp
from tunesmith.words import language, say

PLACE = ".ui"
"""The folder of such folders, beside the runs."""
PARTS = ("asked", "phase", "ready", "ended")
SAID_BYTES = 4000
"""Of what a process said, the page shows this much of the end."""


@dataclass(frozen=True)
class Work:
    """One of them; what is known of it are the files in ``path``."""

    path: Path

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.path.name

    @property
    def lock(self) -> Path:
        """The file that its process holds as long as it lives."""
        return self.path / ".lock"

    @property
    def said(self) -> Path:
        """The file with what its process said."""
        return self.path / "said.txt"

    @property
    def asked(self) -> JsonObject:
        """What it was asked for: its ``kind``, and what that needs."""
        return {"kind": "", **(self.read("asked") or {})}

    @property
    def living(self) -> bool:
        """Whether its process lives and has begun."""
        return is_held(self.lock)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        try:
            return bool(json.loads((self.path / NAME).read_bytes())["asked"])
        except (OSError, ValueError, LookupError):
            return False

    def read(self, part: str) -> JsonObject | None:
        """Reads one of its files; None where it is not there, or damaged."""
        try:
            parsed = json.loads((self.path / f"{part}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return parsed if isinstance(parsed, dict) else None

    def write(self, part: str, content: JsonObject) -> None:
        """Writes one of its files."""
        write_whole(self.path / f"{part}.json", json.dumps(content, ensure_ascii=False))

    def problems(self) -> list[Problem]:
        """Returns what it ended with, each problem with where it is."""
        ended = self.read("ended") or {}
        return [Problem(where, text) for where, text in ended.get("problems", ())]

    def last_words(self) -> str:
        """Returns the end of what its process said."""
        try:
            said = self.said.read_bytes()[-SAID_BYTES:]
        except OSError:
            return ""
        return said.decode("utf-8", "replace").strip()

    def marks(self) -> list[object]:
        """Returns what is another value as soon as it says something new."""
        files = [*(self.path / f"{part}.json" for part in PARTS), self.said, self.path / NAME]
        return [self.id, self.living, *(stamp(file) for file in files)]


class Works:
    """All of them, of one folder of runs."""

    def __init__(self, root: Path) -> None:
        self.place = root / PLACE
        self._begun: dict[str, subprocess.Popen[bytes]] = {}

    def all(self, kind: str) -> list[Work]:
        """Returns those of a kind, the newest first."""
        paths = sorted(self.place.iterdir(), reverse=True) if self.place.is_dir() else []
        return [work for work in map(Work, paths) if work.asked["kind"] == kind]

    def find(self, kind: str, id_: str) -> Work | None:
        """Returns one by its name, which is looked up and never opened as a path."""
        return next((work for work in self.all(kind) if work.id == id_), None)

    def running(self, kind: str) -> list[Work]:
        """Returns those of a kind whose process lives, or is about to."""
        return [work for work in self.all(kind) if self.lives(work)]

    def lives(self, work: Work) -> bool:
        """Tells whether its process lives, or was begun and has not yet taken its folder."""
        begun = self._begun.get(work.id)
        return work.living or (begun is not None and begun.poll() is None)

    def state(self, work: Work) -> tuple[str, str]:
        """Returns ``running``, ``stopping``, ``stopped``, ``done`` or ``failed``, and what went
        wrong.
        """
        if self.lives(work):
            return ("stopping" if work.stopping else "running"), ""
        ended = work.read("ended")  # it writes this before it ends
        if ended is not None:
            return ("failed" if ended["problem"] else "done"), ended["problem"]
        if work.stopping:
            return "stopped", ""
        return "failed", work.last_words() or say("ui_work.died")

    def begin(self, kind: str, **asked: object) -> Work:
        """Begins one, in a session of its own, so that it outlives the page and the server."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        self.place.mkdir(exist_ok=True)
        work = Work(self.place / name)
        work.path.mkdir(mode=0o700)  # keys of servers lie there
        work.write("asked", {**asked, "kind": kind, "lang": language(), "at": time.time()})
        with work.said.open("wb") as said:
            self._begun[work.id] = subprocess.Popen(
                [sys.executable, "-m", "tunesmith.ui.work", str(work.path)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        return work

    def end(self, work: Work) -> None:
        """Ends its process, and no other: by the number that it wrote while it holds its folder."""
        begun = self._begun.get(work.id)
        if work.living:
            ask_to_stop(work.path)
        elif begun is not None and begun.poll() is None:
            begun.terminate()
