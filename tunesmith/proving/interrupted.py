"""Scoring that was interrupted goes on: pieces of it are kept as they are made, until the proof is
written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.batches.batch import Tokens
from tunesmith.data.items import Item, fingerprint
from tunesmith.plain import JsonObject
from tunesmith.storage.atomic import write_whole

T = TypeVar("T")
Progress = Callable[[int, int], None]

AT_ONCE = 64
"""Items of a piece."""


class Kept:
    """Pieces in a file of JSON lines, each under the digest of all that it was made from, so that
    one of another model, row or setting is never taken.

    Pieces are the same whether they were made in one go or not, and so is all that follows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: JsonObject = {}
        if path.is_file():
            *whole, cut_short = path.read_text(encoding="utf-8").split("\n")
            self.found = dict(json.loads(line) for line in whole)
            if cut_short:
                write_whole(path, "".join(line + "\n" for line in whole))

    def __contains__(self, name: str) -> bool:
        """Tells whether something is kept under ``name``."""
        return _key(name) in self.found

    def __getitem__(self, name: str) -> Any:
        """Returns what is kept under ``name``."""
        return self.found[_key(name)]

    def value(self, name: str, make: Callable[[], Any]) -> Any:
        """Returns what was kept under ``name``, else what ``make`` gives: plain JSON, kept from now
        on.
        """
        key = _key(name)
        if key not in self.found:
            line = json.dumps([key, make()])
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            self.found[key] = json.loads(line)[1]
        return self.found[key]

    def by_pieces(
        self,
        name: str,
        items: Sequence[T],
        make: Callable[[Sequence[T], Progress], list[Any]],
        digest: Callable[[Sequence[T]], str],
        progress: Progress,
    ) -> list[Any]:
        """Returns a value for each item, made in pieces of ``AT_ONCE``; ``make`` gets some items
        and a listener to its progress. ``name`` and ``digest`` of the items say what a piece is
        made from.
        """
        values: list[Any] = []
        progress(0, len(items))
        for start in range(0, len(items), AT_ONCE):
            some = items[start : start + AT_ONCE]

            tell = partial(_onward, progress, start, len(items))
            values += self.value(f"{name} {digest(some)}", partial(make, some, tell))
            progress(len(values), len(items))
        return values

    def done(self) -> None:
        """Forgets all, once the proof is written."""
        self.path.unlink(missing_ok=True)


def _key(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _onward(progress: Progress, before: int, of: int, done: int, _: int) -> None:
    progress(before + done, of)


def digest_of(sequences: Sequence[Sequence[Tokens]]) -> str:
    """Returns a digest of what is scored."""
    return fingerprint([Item("", tuple(some)) for some in sequences])


def weights_in(*folders: Path) -> str:
    """Returns what tells the model of some folders from any other: names, sizes and times of
    their files.
    """
    files = [
        (str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns)
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256(repr(files).encode("utf-8", "surrogatepass")).hexdigest()
