"""The places that a page may name: its folder of runs, with the data that was dropped there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tunesmith.data.files.paths import SUFFIXES, every_file
from tunesmith.data.files.yaml_rows import ENDINGS
from tunesmith.data.find import means_a_file
from tunesmith.errors import Problem
from tunesmith.report.runs import name_of_run, run_folders
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

DATA, CHATS, ARENAS = "data", "chats", "arenas"
"""The folders of dropped files, conversations and arenas, beside the runs."""
TAKEN = frozenset({DATA, CHATS, ARENAS})
"""Names that no run may have."""
ROWS = (*SUFFIXES, *ENDINGS)
"""How files end that may be dropped. In a folder of rows a YAML file is none: settings lie beside
data there."""
LONGEST_NAME = 80
MOST = 200
"""Files and models that a page lists."""
WEIGHTS = "*.safetensors"


class Places:
    """What lies in one folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.here = root, Path.cwd()
        self.data = root / DATA

    def run(self, name: str) -> Path:
        """Returns the folder of a run of this name."""
        return self.root / (name or "run")

    def typed(self, path: Path) -> str:
        """Returns a path as it is typed: from here, where it lies below."""
        below = path.is_relative_to(self.here)
        return os.path.relpath(path, self.here) if below else str(path)

    def is_name(self, name: str) -> bool:
        """Tells whether a run may be called so: one part of a path, seen by the table of runs, that
        no link leads out of the folder.
        """
        if len(name) > LONGEST_NAME or re.fullmatch(r"[\w\-.+ ]+", name) is None:
            return False
        plain = name == name.strip(" .") and name.casefold() not in TAKEN
        return plain and self.run(name).resolve().is_relative_to(self.root)

    def free(self, data: str | None) -> str:
        """Returns a name that no run has, after the file of its rows."""
        stem = Path((data or "").partition("#")[0].rstrip("/")).name.partition(".")[0]
        stem = re.sub(r"[^\w\-+]+", "-", stem).strip("-") or "run"
        wanted = name = "run" if stem.casefold() in TAKEN else stem[: LONGEST_NAME - 4]
        number = 1
        while self.run(name).exists():
            number += 1
            name = f"{wanted}-{number}"
        return name

    def outside(self, path: str, value: str) -> list[Problem]:
        """Returns a problem where a value names a place of this machine that is not in the
        folder, by dots or by a link. It is the same whether something is there or not.
        """
        if not value or (path == "data.held_out" and _is_number(value)):
            return []
        wanted = Path(value).expanduser()
        bare = Path(value.rpartition("#")[0] or value).expanduser()
        if not (means_a_file(value) or "\\" in value or _there(wanted) or _there(bare)):
            return []
        inside = all(self._holds(path_) for path_ in (wanted, bare))
        return [] if inside else [Problem(path, say("ui_new.outside", folder=self.root))]

    def _holds(self, path: Path) -> bool:
        """Tells whether a place lies in the folder, or in that of the dropped files, which whoever
        owns it may have put on another disk; and so every file of rows that it holds.
        """
        roots = (self.root, self.data.resolve())
        places = [path, *(every_file(path) if _there(path) and path.is_dir() else ())]
        return all(any(held.resolve().is_relative_to(r) for r in roots) for held in places)

    def files(self) -> list[str]:
        """Returns the files of rows that were dropped here, the newest first, as they are typed."""
        if not self.data.is_dir():
            return []
        dropped = [
            path
            for path in self.data.iterdir()
            if path.is_file()
            and path.name.lower().removesuffix(".gz").endswith(ROWS)
            and self._holds(path)
        ]
        newest = sorted(dropped, key=lambda path: -path.stat().st_mtime)
        return [self.typed(path) for path in newest[:MOST]]

    def models(self) -> list[str]:
        """Returns the starter, the finished runs and the folders with a model that lie here."""
        runs = run_folders(self.root)
        done = [path for path in runs if (RunFolder(path).model / "tunesmith.json").is_file()]
        named = sorted(done, key=lambda path: name_of_run(path, self.root))
        folders = [
            path
            for path in sorted(self.root.iterdir())
            if path not in runs
            and (path / "config.json").is_file()
            and any(path.glob(WEIGHTS))
            and self._holds(path)
        ]
        return ["starter", *(self.typed(path) for path in (*folders, *named))][:MOST]


def kept_in(place: Path, pattern: str) -> list[Path]:
    """Returns what pages keep in a folder, by name. It may lie on another disk; a link in it that
    leads out of it is left out.
    """
    real = place.resolve()
    return [kept for kept in sorted(place.glob(pattern)) if kept.resolve().is_relative_to(real)]


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no system takes
        return False
