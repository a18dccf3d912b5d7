"""Answers to files larger than memory: block by block, and on from there after a kill."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from tunesmith.data.asked_rows import AskedRows
from tunesmith.errors import Alike, DataError
from tunesmith.plain import JsonObject, Row
from tunesmith.storage.run_folder import RunFolder

BLOCK = 512
"""Rows that are answered together, and lost together when the process is killed."""
AT_ENDPOINT = 64
"""The same where an endpoint answers: it puts requests together itself, and may go away."""

Asked = tuple[str, Row | str]
"""A row or a text, with the place that messages name."""
Progress = Callable[[int, int], None]


class Answerer(Protocol):
    """What answers rows: a model here, or an endpoint."""

    rows: AskedRows

    def refuse_unread(self, row: Row) -> None:
        """Raises DataError for a row that cannot be asked."""

    def predict(
        self,
        rows: Iterable[Row],
        *,
        places: Sequence[str] = (),
        progress: Progress | None = None,
        taken: Iterable[str] = (),
    ) -> list[JsonObject]:
        """Returns the rows with their answers; ``taken`` are the columns of all blocks' rows."""
        ...


def look_through(answerer: Answerer, asked: Iterable[Asked]) -> tuple[int, set[str]]:
    """Counts the rows and returns their columns, before any is answered; raises DataError with
    those that cannot be read.
    """
    count, names = 0, set[str]()
    problems = Alike()
    for number, line in asked:
        row = _row(answerer, line)
        count += 1
        try:
            names |= {*row}
            answerer.refuse_unread(row)
        except DataError as error:
            for problem in error.problems:
                problems.add(number, problem)
    if problems.kinds:
        raise DataError(problems.told())
    return count, names


def answered(
    answerer: Answerer,
    asked: Iterable[Asked],
    seen: tuple[int, set[str]],
    *,
    done: int = 0,
    size: int | None = None,
    progress: Progress | None = None,
) -> Iterator[list[JsonObject]]:
    """Yields the answers by block (of BLOCK rows, or ``size``), without the first ``done`` rows;
    ``seen`` is what ``look_through`` returned.
    """
    total, names = seen
    rest = islice(asked, done, None)
    while block := list(islice(rest, size or BLOCK)):
        before = done

        def told(now: int, of: int, before: int = before, size: int = len(block)) -> None:
            if progress:
                progress(before + now * size // max(1, of), total)

        rows = [_row(answerer, line) for _, line in block]
        places = [number for number, _ in block]
        yield answerer.predict(rows, places=places, progress=told, taken=names)
        done += len(block)


def _row(answerer: Answerer, one: Row | str) -> Row:
    return answerer.rows.row_of(one) if isinstance(one, str) else one


class Unfinished:
    """The file beside ``out`` in which answers stand until all are there. Its name follows from the
    model and the rows, so that answers of others are never taken for its own.
    """

    def __init__(self, out: Path, folder: RunFolder, file: Path, engine: str | None) -> None:
        self.out = out
        parts = [folder.settings_text, engine, *map(_state, sorted(folder.model.glob("*")))]
        mark = hashlib.sha256(json.dumps([*parts, _state(file)]).encode()).hexdigest()[:12]
        self.path = out.with_name(f".{out.name}.{mark}.part")

    def done(self) -> int:
        """Counts the rows that are there; what a kill left of another is cut off."""
        if not self.path.is_file():
            return 0
        count = size = 0
        with self.path.open("r+b") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                count, size = count + 1, size + len(line)
            file.truncate(size)
        return count

    def add(self, rows: Iterable[JsonObject]) -> None:
        """Adds a block, down to the disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(lines(rows))
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Puts the file where it belongs."""
        self.add([])
        os.replace(self.path, self.out)


def lines(rows: Iterable[JsonObject]) -> str:
    """Writes rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def _state(file: Path) -> tuple[str, int, int]:
    stat = file.stat()
    return str(file.resolve()), stat.st_size, stat.st_mtime_ns
