"""Runs are stopped and resumed; each is a process of its own, which no page and no server holds."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence

from tunesmith.storage.process import ask_to_stop
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import language, say

SAID = ".resumed.txt"
"""What a process said that a page began, in the run's folder."""


class Control:
    """What a page may do to a run."""

    def __init__(self) -> None:
        self._begun: dict[str, subprocess.Popen[bytes]] = {}
        self._took: set[str] = set()
        """The folders that a process which was begun here has taken: what it does after it left
        one is no start.
        """
        self._lock = threading.Lock()
        """Of two tabs that begin or resume a run at once, one does."""

    def stop(self, folder: RunFolder) -> bool:
        """Asks the run to save and end; tells whether it was asked."""
        return self._is_taken(folder) and ask_to_stop(folder.path)

    def resume(self, folder: RunFolder) -> bool:
        """Begins a process that goes on with the run, in a session of its own, so that it outlives
        the page and the server; tells whether one was begun.
        """
        with self._lock:
            if folder.busy or self.starting(folder):
                return False
            self._start(folder, ["train", str(folder.path), "--resume", "--lang", language()])
            return True

    def begin(self, folder: RunFolder, words: Sequence[str]) -> str | None:
        """Begins a run with these words, in a process as ``resume`` does; returns why none was
        begun: a folder that holds a run already is left alone.
        """
        with self._lock:
            why = folder.taken() or (say("spec.folder_busy") if self.starting(folder) else None)
            if why is not None:
                return why
            folder.path.mkdir(parents=True, exist_ok=True)
            self._start(folder, words)
            return None

    def starting(self, folder: RunFolder) -> bool:
        """Tells whether a process was begun and has not yet taken the run's folder. One that has
        left it, and still writes a report or ends, is not starting.
        """
        begun = self._begun.get(str(folder.path))
        finished = (folder.model / "tunesmith.json").is_file()
        if self._is_taken(folder) or begun is None or finished:
            return False
        return begun.poll() is None and str(folder.path) not in self._took

    def _is_taken(self, folder: RunFolder) -> bool:
        if not folder.busy:
            return False
        self._took.add(str(folder.path))
        return True

    def _start(self, folder: RunFolder, words: Sequence[str]) -> None:
        self._took.discard(str(folder.path))
        with (folder.path / SAID).open("wb") as said:
            self._begun[str(folder.path)] = subprocess.Popen(
                [sys.executable, "-m", "tunesmith", *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
