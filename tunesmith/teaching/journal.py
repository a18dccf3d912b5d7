"""The answers so far, in a file beside the one that is asked for: one line each, as they come; a
killed process loses none.

Its first line says what was asked of whom. The file that is asked for is written whole, in the
order of the rows, at the end.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tunesmith.errors import Problem, SpecError
from tunesmith.teaching.written import Written
from tunesmith.words import say


class Journal:
    """The answers by their number, found again by where their lines begin."""

    def __init__(self, out: Path, key: Mapping[str, str]) -> None:
        self.out, self.key = out, dict(key)
        self.path = out.with_name(f"{out.name}.partial")
        self.places: dict[int, int] = {}
        self.finishes: Counter[str] = Counter()
        self.tokens = self.retries = 0
        self._end = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the file for this process, with the answers that it has; raises SpecError where
        they are answers to something else.
        """
        from filelock import FileLock, Timeout

        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path.with_name(f".{self.out.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise SpecError(Problem("out", say("generate.busy", out=self.out))) from None
        try:
            self._open()
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def _open(self) -> None:
        """Reads what is there; a last line that was not written to its end is cut off."""
        if self.path.is_file():
            with open(self.path, "rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._take(line)
            os.truncate(self.path, self._end)
        if not self._end:
            self._append(json.dumps({"asked": self.key}, ensure_ascii=False))

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            raise SpecError(Problem("out", say("generate.damaged", path=self.path))) from None
        if not self._end:
            before = entry.get("asked", {})
            other = [
                name for name in {**before, **self.key} if before.get(name) != self.key.get(name)
            ]
            if other:
                raise SpecError(
                    Problem("out", say("generate.other", path=self.path, keys=", ".join(other)))
                )
        else:
            self._note(entry.pop("number"), Written(**entry), self._end)
        self._end += len(line)

    def _note(self, number: int, answer: Written, place: int) -> None:
        self.places[number] = place
        self.finishes[answer.finish] += 1
        self.tokens += answer.tokens
        self.retries += answer.retries

    def add(self, number: int, answer: Written) -> None:
        """Keeps an answer: from here on it outlives the process."""
        begin = self._end
        self._append(json.dumps({"number": number, **vars(answer)}, ensure_ascii=False))
        self._note(number, answer, begin)

    def _append(self, line: str) -> None:
        data = line.encode("utf-8", "replace") + b"\n"
        with open(self.path, "ab") as file:
            file.write(data)
        self._end += len(data)

    def answers(self, numbers: Iterable[int]) -> Iterator[Written]:
        """Yields the answers of these numbers."""
        with open(self.path, "rb") as file:
            for number in numbers:
                file.seek(self.places[number])
                entry = json.loads(file.readline())
                del entry["number"]
                yield Written(**entry)

    def finish(self, rows: Iterable[dict[str, object]]) -> int:
        """Writes the file that was asked for, whole or not at all, and clears the answers away; the
        number of rows.
        """
        draft = self.path.with_name(f".{self.out.name}.draft")
        count = 0
        try:
            with open(draft, "wb") as file:
                for row in rows:
                    count += 1
                    file.write(
                        (json.dumps(row, ensure_ascii=False, default=str) + "\n").encode(
                            "utf-8", "replace"
                        )
                    )
                file.flush()
                os.fsync(file.fileno())
            if count:
                os.replace(draft, self.out)
                self.path.unlink()
        finally:
            draft.unlink(missing_ok=True)
        return count
