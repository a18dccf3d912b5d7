"""Checkpoints that are whole or absent: written aside, fsynced, listed with sizes and sha256,
renamed, verified on load.

A directory is never written twice; a damaged one is set aside as ``*.corrupt`` and the one before
it used.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from tunesmith.errors import CheckpointError, DiskError, Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.storage.atomic import fsync, sha256, write_whole
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.machine.parallel import Processes

SCHEMA = 1
MANIFEST = "MANIFEST.json"
LATEST = "LATEST"
FAILURES = 3
"""Saves that may fail in a row before the run stops."""

NAME = re.compile(r"step-(\d{8})(?:\.(\d+))?")


class Checkpoints:
    """The ``checkpoints`` folder of one run. Saving is entered by all ``processes`` of it."""

    def __init__(self, folder: Path, keep: int, processes: Processes | None = None) -> None:
        self.folder = folder
        self.keep = keep
        self._processes = processes
        self.failures = 0
        self.last_error = ""

    @property
    def processes(self) -> Processes:
        """The processes that save together; one alone where none were given."""
        # Whoever only looks at checkpoints does without torch.
        from tunesmith.machine.parallel import Processes

        return self._processes or Processes()

    def refuse_folders_apart(self) -> None:
        """Raises SpecError where not every process sees the folder that the first writes, and
        DiskError where the first cannot.
        """
        try:
            draft = self.processes.on_first(self._draft)
        except OSError as error:
            text = say("train.model_unsaved", folder=self.folder, error=error)
            raise DiskError(text) from error
        seen = self.processes.everyones(draft.is_dir())
        self.processes.on_first(draft.rmdir)
        if not all(seen):
            text = say("train.folders_apart", folder=self.folder, number=seen.index(False))
            raise SpecError(Problem("out", text))

    def save(
        self,
        step: int,
        write: Callable[[Path], None],
        write_own: Callable[[Path], list[Path]] = lambda _: [],
    ) -> bool:
        """Commits what ``write`` puts into a folder, in the first process, and before it
        ``write_own``, which returns its files, in each; returns False when the disk refused, and
        raises DiskError at the third refusal in a row.
        """
        try:
            self._commit(step, write, write_own)
        except (OSError, SafetensorError) as error:
            self.failures += 1
            self.last_error = str(error)
            if self.failures >= FAILURES:
                raise DiskError(
                    say("train.disk_refused", count=self.failures, folder=self.folder, error=error)
                ) from error
            return False
        self.failures = 0
        return True

    def _commit(
        self,
        step: int,
        write: Callable[[Path], None],
        write_own: Callable[[Path], list[Path]],
    ) -> None:
        processes = self.processes
        draft = processes.on_first(self._draft)
        try:
            files_written = write_own(draft)
            # Each process hashes what it wrote: one alone would be as many times as slow as there
            # are processes.
            facts = processes.on_all(
                lambda: {_name(draft, file): _facts(file) for file in files_written}
            )
            facts_by_name = {
                name: file_facts for part in facts for name, file_facts in part.items()
            }
            processes.on_first(lambda: self._finish(step, draft, write, facts_by_name))
        except BaseException:
            if processes.first:
                shutil.rmtree(draft, ignore_errors=True)
            raise

    def _draft(self) -> Path:
        draft = self.folder / f".step.tmp-{uuid.uuid4().hex[:8]}"
        draft.mkdir(parents=True)
        return draft

    def _finish(
        self,
        step: int,
        draft: Path,
        write: Callable[[Path], None],
        known: JsonObject,
    ) -> None:
        write(draft)
        paths = sorted(draft.rglob("*"))
        for path in paths:
            fsync(path)
        names = [_name(draft, path) for path in paths if path.is_file()]
        files = {name: known.get(name) or _facts(draft / name) for name in names}
        # Behind the files that it vouches for, and before the rename: a folder with a checkpoint's
        # name has a manifest that was written last.
        (draft / MANIFEST).write_text(
            json.dumps({"schema": SCHEMA, "files": files}, indent=1), encoding="utf-8"
        )
        fsync(draft / MANIFEST)
        fsync(draft)
        target = self.folder / self._fresh_name(step)
        # A rename is on the disk once the folder that holds it is.
        os.replace(draft, target)
        fsync(self.folder)
        write_whole(self.folder / LATEST, target.name + "\n")
        fsync(self.folder)
        # Last: until the new one stands, an old one is what a crash leaves.
        for old in self.committed()[self.keep :]:
            shutil.rmtree(old)

    def _fresh_name(self, step: int) -> str:
        matches = [match for path in self.folder.iterdir() if (match := NAME.match(path.name))]
        used = [int(match[2] or 0) for match in matches if int(match[1]) == step]
        return f"step-{step:08d}" + (f".{max(used) + 1}" if used else "")

    def committed(self) -> list[Path]:
        """Returns the checkpoints by name, newest first, not verified."""
        if not self.folder.is_dir():
            return []
        matches = [(NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        numbered = [(int(match[1]), int(match[2] or 0), path) for match, path in matches if match]
        return [path for *_, path in sorted(numbered, reverse=True)]

    def newest(self, tell: Callable[[str], None]) -> Path | None:
        """Returns the newest checkpoint that is whole; None when none was ever made; raises
        CheckpointError when all are damaged.

        ``LATEST`` is for people and other programs: a manifest that holds proves more than a
        pointer. Leftovers of a killed save are removed and damaged checkpoints set aside.
        """
        self._sweep()
        checkpoints = self.committed()
        for path in checkpoints:
            fault = damage(path)
            if fault is None:
                return path
            tell(say("train.damaged", path=path, fault=fault))
            os.replace(path, path.with_name(f"{path.name}.corrupt"))
        if checkpoints or any(self.folder.glob("*.corrupt")):
            raise CheckpointError(say("train.all_damaged", folder=self.folder))
        return None

    def _sweep(self) -> None:
        for left in self.folder.glob(".*.tmp-*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def damage(path: Path) -> str | None:
    """Returns what is wrong with a checkpoint, or None where every file has its size, hash and
    number of tensors.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            return say("train.schema", found=manifest["schema"], known=SCHEMA)
        for name, facts in manifest["files"].items():
            file = path / name
            if not file.is_file():
                return say("train.file_missing", name=name)
            if file.stat().st_size != facts["size"]:
                return say(
                    "train.file_size", name=name, found=file.stat().st_size, expected=facts["size"]
                )
            if _facts(file) != facts:
                return say("train.file_hash", name=name)
    except FileNotFoundError:
        return say("train.file_missing", name=MANIFEST)
    except (ValueError, KeyError, TypeError, AttributeError):
        return say("train.manifest_unreadable", name=MANIFEST)
    return None


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _facts(path: Path) -> JsonObject:
    facts: JsonObject = {"size": path.stat().st_size, "sha256": sha256(path)}
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            facts["tensors"] = len(list(file.keys()))
    return facts
