"""Writes files and folders whole or not at all."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.errors import Problem, SpecError
from tunesmith.words import say


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes ``path`` so that a crash leaves the old file or the new one, never a part (fsync, then
    rename).
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with drafted_file(path) as draft:
        draft.write_bytes(data)


@contextmanager
def drafted_file(path: Path) -> Iterator[Path]:
    """Gives a file beside ``path`` to write; it takes that place at the end of the block, whole and
    on the disk, and is removed after an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    try:
        yield draft
        fsync(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def held_file(path: Path) -> Iterator[Path]:
    """Gives a file beside ``path`` to write, as ``drafted_file``; what killed processes left of
    writing ``path`` is removed first, and what another process writes stays.
    """
    _sweep_drafts(path)
    with drafted_file(path) as draft:
        handle = _held(draft)
        try:
            yield draft
        finally:
            if handle is not None:
                os.close(handle)


def _sweep_drafts(path: Path) -> None:
    for draft in path.parent.glob(f".{glob.escape(path.name)}.tmp-*"):
        handle = _held(draft)
        if handle is not None:
            draft.unlink(missing_ok=True)
            os.close(handle)


def _held(draft: Path) -> int | None:
    """Opens a draft and locks it until the handle is closed or its process ends; returns None where
    another holds it, or the system or the disk keeps no such locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which replaces no file that is open
        return None
    handle = os.open(draft, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def barred(path: Path) -> str | None:
    """Returns why nothing can be written at ``path``; None where it can."""
    folder = path.absolute().parent
    # Not Path.exists, which in Python 3.11 raises below a folder that may not be read.
    while not os.path.exists(folder):
        folder = folder.parent
    if not folder.is_dir():
        return say("plan.out_is_file", out=folder)
    return None if _may_write(folder) else say("plan.out_unwritable", place=folder)


def _may_write(folder: Path) -> bool:
    """Tells whether a file can be made in a folder. A nameless one is made, because where all is
    allowed, as to root in /proc, not all is possible.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)  # which who writes tells, with the sizes


def file_to_write(path: Path | None) -> Path | None:
    """Returns ``path`` with links followed, for ``write_whole``; raises SpecError where no file can
    be put there.
    """
    if path is None:
        return None
    target = Path(os.path.realpath(path))
    # A device or a pipe would be replaced by a file.
    wrong = (
        say("spec.no_plain_file") if target.exists() and not target.is_file() else barred(target)
    )
    if wrong:
        raise SpecError(Problem(str(path), wrong))
    return target


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Puts what ``write`` writes at ``folder``, fsynced; what was there before stays until the new
    one is whole.
    """
    draft = folder.with_name(f".{folder.name}.tmp-{uuid.uuid4().hex[:8]}")
    old = folder.with_name(f".{folder.name}.old-{uuid.uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True)
        write(draft)
        for path in sorted(draft.rglob("*")):
            fsync(path)
        fsync(draft)
        if folder.exists():
            os.replace(folder, old)
        os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        raise
    fsync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def sweep(out: Path) -> None:
    """Removes what a killed save left in the run's folder, and puts back a model that was being
    replaced.
    """
    for old in out.glob(".*.old-*"):
        target = out / old.name.removeprefix(".").partition(".old-")[0]
        shutil.rmtree(old) if target.exists() else os.replace(old, target)
    for draft in out.glob(".*.tmp-*"):
        shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def fsync(path: Path) -> None:
    """Flushes a file, or a directory's names, to the disk; Windows keeps directories in order
    itself.
    """
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Hashes a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
