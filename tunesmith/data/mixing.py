"""``tunesmith data mix A B OUT``: rows of several files in one, each file with its share; no row
stands there twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.drawing import drawn
from tunesmith.data.files.file_facts import Faults, Located
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.files.writing import write_rows
from tunesmith.data.find import find_data
from tunesmith.data.mix import shares
from tunesmith.data.steps import place_to_write, write_account
from tunesmith.data.transforms import Account, came_from
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.words import say


class Mixing(Spec):
    """How much of each file is taken."""

    shares: list[Annotated[float, Gt(0)]] | None = None
    """The share of each file, in their order: ``[0.7, 0.3]``."""
    temperature: Annotated[float, Ge(1)] | None = None
    """Instead of shares: each file gets its number of rows to the power 1/temperature; 1 takes all
    rows, 100 as many of each.
    """
    rows: Annotated[int, Gt(0)] | None = None
    """How many rows in all; as many as the shares allow when not given."""
    seed: Annotated[int, Ge(0)] = 0
    """Another number draws others."""


def mix(sources: Sequence[str], out: Path, settings: Mixing) -> Account:
    """Writes rows of each of ``sources`` to ``out``, in the order of the files, drawn by a hash of
    what they hold; raises SpecError where a file has too few rows for its share.
    """
    if settings.shares is not None and settings.temperature is not None:
        raise SpecError(Problem("shares", say("transforms.shares_or_temperature")))
    if settings.shares is not None and len(settings.shares) != len(sources):
        fields = {"given": len(settings.shares), "files": len(sources)}
        raise SpecError(Problem("shares", say("transforms.shares_each", **fields)))
    files = [find_data(source) for source in sources]
    every = [file for some in files for file in some]
    target = place_to_write(out, every)
    twice = [file for file, times in Counter(map(Path.resolve, every)).items() if times > 1]
    if twice:
        raise SpecError([Problem(str(file), say("transforms.named_twice")) for file in twice])
    chosen = [_Source(name, some) for name, some in zip(sources, files, strict=True)]
    _share_out(chosen, settings)
    account = Account()

    def written() -> Iterator[JsonObject]:
        account.read = account.written = 0
        for source in chosen:
            taken = drawn((located.row for located in source.rows()), source.take, settings.seed)
            for number, located in enumerate(source.rows()):
                account.read += 1
                if number not in taken:
                    account.dropped(located, "mix", "not_drawn")
                    continue
                account.written += 1
                yield {**located.row, CAME_FROM: came_from(located, ["mix"])}

    def beside() -> None:
        account.notes = [
            say("transforms.mixed", file=source.name, taken=source.take, rows=source.number)
            for source in chosen
        ]
        for source in chosen:
            account.notes += source.faults.notes()
            account.skipped(source.faults.skipped, "mix")
        write_account(target, account)

    write_rows(target, written, beside)
    return account


class _Source:
    """One source with its number of rows, and how many are taken."""

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        self.name, self.files = name, files
        self.faults = Faults()
        self.number = sum(1 for _ in self.rows())
        self.take = self.number

    def rows(self) -> Iterator[Located]:
        """Yields the rows of all its files; raises DataError where one cannot be read."""
        self.faults.clear()  # rows are read several times
        for file in self.files:
            yield from rows_of(file, faults=self.faults)
        self.faults.stop()


def _share_out(chosen: Sequence[_Source], how: Mixing) -> None:
    """Sets how many rows are taken of each, so that the shares are met within a row."""
    if how.shares is not None:
        total = sum(how.shares)
        wanted = [share / total for share in how.shares]
    else:
        counts = {str(index): source.number for index, source in enumerate(chosen)}
        wanted = list(shares(counts, how.temperature or 1).values())
    most = min(source.number / share for source, share in zip(chosen, wanted, strict=True))
    rows = int(most + 1e-9) if how.rows is None else how.rows
    if rows > most + 1e-9:
        short = min(chosen, key=lambda source: source.number / wanted[chosen.index(source)])
        fields = {"file": short.name, "number": short.number, "most": int(most)}
        raise SpecError(Problem("rows", say("transforms.too_few", **fields)))
    # The whole parts first, then one more for the largest remainders.
    exact = [rows * share for share in wanted]
    for source, part in zip(chosen, exact, strict=True):
        source.take = int(part + 1e-9)
    left = rows - sum(source.take for source in chosen)
    order = sorted(range(len(exact)), key=lambda index: chosen[index].take - exact[index])
    for index in order[:left]:
        chosen[index].take += 1
