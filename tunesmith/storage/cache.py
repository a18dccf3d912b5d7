"""The user's cache folder: what is made once is made under a lock and renamed into place."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from tunesmith.errors import DiskError, Problem
from tunesmith.events.stream import notice
from tunesmith.words import say


def made(folder: Path) -> bool:
    """Tells whether a conversion of the current kind is there, whole."""
    made = folder / MADE
    return (
        made.is_file() and json.loads(made.read_text(encoding="utf-8"))["conversion"] == CONVERSION
    )


@contextmanager
def drafted(target: Path) -> Iterator[Path]:
    """Makes a folder that takes ``target``'s place when all went well, and is removed when not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with _without_bars():
            yield draft
        if target.exists():  # of an older conversion
            shutil.rmtree(target)
        os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def finish(draft: Path, facts: dict[str, str]) -> None:
    """Notes where a conversion came from, and flushes it to the disk."""
    draft.chmod(0o755)  # a temporary folder is its owner's alone; a cache may be shared
    (draft / MADE).write_text(
        json.dumps({"conversion": CONVERSION, **facts}, indent=1) + "\n", encoding="utf-8"
    )
    for path in draft.iterdir():
        path.chmod(0o644)
        with open(path, "rb+") as written:
            os.fsync(written.fileno())


@contextmanager
def _without_bars() -> Iterator[None]:
    """Hides transformers' progress bars, which end up in files and pipes; a line of ours says what
    is being made.
    """
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()


MADE = "converted.json"


CONVERSION = 1  # raised when the conversion below gives other files


def cache_folder() -> Path:
    """Returns where fetched and converted files are kept: ``TUNESMITH_CACHE``, else the platform's
    own place for caches.
    """
    given = os.environ.get("TUNESMITH_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    if os.name == "nt":
        return (
            Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
            / "tunesmith"
            / "Cache"
        )
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tunesmith"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "tunesmith"


def prepared_folder() -> Path:
    """Returns where rows that are prepared are kept for the next start."""
    return cache_folder() / "prepared"


def size_of(folder: Path) -> int:
    """Adds up the files of a folder (bytes); what goes away meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        with suppress(OSError):
            total += path.stat().st_size
    return total


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """Locks the cache folder, so that no other process works on ``name``; raises DiskError for a
    full disk inside.
    """
    from filelock import FileLock, Timeout

    folder = cache_folder()
    lock = FileLock(folder / f".{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            notice(say("hub.waiting", what=name))
            lock.acquire()
    except OSError as error:
        raise DiskError(
            Problem(str(folder), say("hub.cache_unwritable", reason=error.strerror))
        ) from None
    try:
        yield folder
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskError(Problem(str(folder), say("hub.disk_full_now"))) from None
    finally:
        lock.release()


def require_space(folder: Path, megabytes: int) -> None:
    """Raises DiskError unless ``megabytes`` are free where ``folder`` is."""
    free = shutil.disk_usage(folder).free // 10**6
    if free < megabytes:
        raise DiskError(Problem(str(folder), say("hub.disk_full", need=megabytes, free=free)))


def digest(path: Path) -> str:
    """Hashes a file with sha256, read in pieces."""
    total = sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()
