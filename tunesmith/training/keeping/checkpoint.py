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

from safetensors import SafetensorError, safe_open

from tunesmith.errors import CheckpointError, DiskError
from tunesmith.plain import JsonObject
from tunesmith.storage.atomic import fsync, sha256, write_whole
from tunesmith.words import say

SCHEMA = 1
MANIFEST = "MANIFEST.json"
LATEST = "LATEST"
FAILURES = 3
"""Saves that may fail in a row before the run stops."""

NAME = re.compile(r"step-(\d{8})(?:\.(\d+))?")


class Checkpoints:
    """The ``checkpoints`` folder of one run."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep
        self.failures = 0
        self.last_error = ""

    def save(self, step: int, write: Callable[[Path], None]) -> bool:
        """Commits what ``write`` puts into a folder; returns False when the disk refused, and
        raises DiskError at the third refusal in a row.
        """
        try:
            self._commit(step, write)
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

    def _commit(self, step: int, write: Callable[[Path], None]) -> None:
        draft = self.folder / f".step.tmp-{uuid.uuid4().hex[:8]}"
        try:
            draft.mkdir(parents=True)
            write(draft)
            found = sorted(draft.rglob("*"))
            for path in found:
                fsync(path)
            files = {
                path.relative_to(draft).as_posix(): _facts(path) for path in found if path.is_file()
            }
            (draft / MANIFEST).write_text(
                json.dumps({"schema": SCHEMA, "files": files}, indent=1), encoding="utf-8"
            )
            fsync(draft / MANIFEST)
            fsync(draft)
            target = self.folder / self._fresh_name(step)
            os.replace(draft, target)
            fsync(self.folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        write_whole(self.folder / LATEST, target.name + "\n")
        fsync(self.folder)
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
        found = [(int(match[1]), int(match[2] or 0), path) for match, path in matches if match]
        return [path for *_, path in sorted(found, reverse=True)]

    def newest(self, tell: Callable[[str], None]) -> Path | None:
        """Returns the newest checkpoint that is whole; None when none was ever made; raises
        CheckpointError when all are damaged.

        ``LATEST`` is for people and other programs: a manifest that holds proves more than a
        pointer. Leftovers of a killed save are removed and damaged checkpoints set aside.
        """
        self._sweep()
        found = self.committed()
        for path in found:
            fault = damage(path)
            if fault is None:
                return path
            tell(say("train.damaged", path=path, fault=fault))
            os.replace(path, path.with_name(f"{path.name}.corrupt"))
        if found or any(self.folder.glob("*.corrupt")):
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


def _facts(path: Path) -> JsonObject:
    facts: JsonObject = {"size": path.stat().st_size, "sha256": sha256(path)}
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            facts["tensors"] = len(list(file.keys()))
    return facts
