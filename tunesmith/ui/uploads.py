"""Files that are dropped on the page: streamed to the disk, bounded, whole or absent."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from tunesmith.display.table import readable
from tunesmith.errors import DataError, DiskError, Problem
from tunesmith.ui.places import ROWS
from tunesmith.words import say

MOST = 4 << 30
"""Bytes of one file; larger ones are named by a path."""
SPARE = 256 << 20
"""Bytes that stay free on the disk."""
LONGEST_NAME = 180
"""Bytes of a name; systems take 255, and a number may be added to it."""
OFTEN = 16 << 20
"""Bytes after which it is asked again whether there is room; others write there too."""


async def keep(name: str, length: int | None, parts: AsyncIterator[bytes], folder: Path) -> Path:
    """Writes what is sent into ``folder`` under its own name, or one with a number where another
    file has that. Raises DataError for a file that is too large or holds no rows by its name, and
    DiskError where there is no room.
    """
    wanted = _plain(name)
    if not wanted.lower().removesuffix(".gz").endswith(ROWS):
        raise DataError(Problem("data", say("ui_new.no_rows", name=wanted, kinds=_kinds())))
    if length is not None and length > MOST:
        raise DataError(Problem("data", say("ui_new.too_large", most=readable(MOST))))
    folder.mkdir(parents=True, exist_ok=True)
    _room(folder, length or 0)
    checked = 0
    draft = folder / f".{secrets.token_hex(8)}.part"
    try:
        with draft.open("xb") as file:
            written = 0
            async for part in parts:
                written += len(part)
                if written > MOST:
                    raise DataError(Problem("data", say("ui_new.too_large", most=readable(MOST))))
                if written - checked > OFTEN:
                    checked = written
                    _room(folder, 0)
                file.write(part)
        if not written:
            raise DataError(Problem("data", say("ui_new.empty", name=wanted)))
        return _named(draft, folder / wanted)
    except OSError as error:
        text = say("ui_new.not_kept", reason=error.strerror or str(error))
        raise DiskError(Problem("data", text)) from None
    finally:
        draft.unlink(missing_ok=True)


def _plain(name: str) -> str:
    """Returns the last part of a name, with nothing in it that a shell or a path would read, and no
    longer than a system takes.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = re.sub(r"[^\w.\-+ ]+", "_", last).strip(" .")
    stem, dot, end = plain.partition(".")
    end = _last_bytes(end, LONGEST_NAME // 2)
    stem = stem.encode()[: LONGEST_NAME - len(end.encode())].decode("utf-8", "ignore")
    return f"{stem or 'rows'}{dot}{end}"


def _last_bytes(text: str, most: int) -> str:
    return text.encode()[-most:].decode("utf-8", "ignore")


def _room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        text = say("ui_new.no_room", needed=readable(needed + SPARE), free=readable(free))
        raise DiskError(Problem("data", text))


def _named(draft: Path, wanted: Path) -> Path:
    """Gives the file its name, and the next free number where another file has it."""
    stem, dot, end = wanted.name.partition(".")
    target, number = wanted, 1
    while True:
        try:
            target.touch(exist_ok=False)
        except FileExistsError:
            number += 1
            target = wanted.with_name(f"{stem}-{number}{dot}{end}")
        else:
            os.replace(draft, target)
            return target


def _kinds() -> str:
    return ", ".join(ROWS)
