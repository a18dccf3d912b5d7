"""``tunesmith data split``: rows into a training file and a held-out file, by what they hold, so
that new rows move no old one to the other side.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import BeforeValidator

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.file_facts import Faults, Located
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.files.writing import write_rows
from tunesmith.data.find import find_data
from tunesmith.data.steps import write_account
from tunesmith.data.texts.duplicates import Clusters, fold, join_near, sketch_of
from tunesmith.data.texts.strings import strings
from tunesmith.data.transforms import Account, came_from, content_columns
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.settings.spec import Spec, Word
from tunesmith.storage.atomic import replace_folder
from tunesmith.words import say

TRAIN, HELD = "train", "held_out"


class Split(Spec):
    """Which rows are held out."""

    held_out: Annotated[float, Gt(0), Lt(1)] = 0.1
    """The share of the groups that is held out. Each group falls by a hash of its own, so it is
    about this share of the rows and not exactly.
    """
    by: Word | None = None
    """A column whose equal values stay together (patient, document); rows that are nearly the same
    stay together without it.
    """
    stratify: Word | None = None
    """A column of which every value gives its share exactly, such as the label; a group counts for
    the value that most of its rows have. New rows may then move an old one: name the earlier split
    in ``like``.
    """
    like: str | None = None
    """The folder of an earlier split: its rows stay on the side where they are, and new rows that
    belong to them go there too.
    """
    after: Annotated[str, BeforeValidator(str)] | None = None
    """Hold out the rows whose column ``time`` is at or after this, instead of a share. An earlier
    row of a group that goes on until then is left out.
    """
    time: Word | None = None
    """The column with a date or time, in a form that sorts as text: 2026-11-27."""
    seed: Annotated[int, Ge(0)] = 0
    """Another number holds out others."""
    format: Literal["jsonl", "json", "csv", "tsv", "parquet"] = "jsonl"
    """How the two files are written."""


def split(source: str, out: Path, settings: Split) -> Account:
    """Writes ``train`` and ``held_out`` into the folder ``out``, both or neither; raises DataError
    where a row cannot be read or a side is empty.
    """
    _refuse(settings)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(Problem(str(out), say("transforms.folder_there")))
    faults = Faults()
    rows = _read(source, faults)
    groups = _groups(rows, settings)
    account = Account(read=len(rows))
    if settings.time is not None:
        sides = _by_time(rows, groups, settings)
    else:
        sides = _by_share(rows, groups, settings)
    for name in (TRAIN, HELD):
        if name not in sides:
            raise DataError(Problem(source, say("transforms.empty_side", side=name)))
    for row, side in zip(rows, sides, strict=True):
        if side is None:
            account.dropped(row, "split", "goes_on")
    numbers = {name: sides.count(name) for name in (TRAIN, HELD)}
    account.written = sum(numbers.values())
    account.notes += [say("transforms.sides", **numbers), *faults.notes()]
    account.skipped(faults.skipped, "split")
    # First: the folder is never written over, so what was interrupted before it can be done again.
    write_account(out, account)

    def write(folder: Path) -> None:
        for name in (TRAIN, HELD):
            chosen = [row for row, side in zip(rows, sides, strict=True) if side == name]
            write_rows(folder / f"{name}.{settings.format}", partial(_written, chosen))

    replace_folder(out, write)
    return account


def _refuse(how: Split) -> None:
    """Raises SpecError for settings that do not go together."""
    problems: list[Problem] = []
    if (how.after is None) != (how.time is None):
        problems.append(Problem("after", say("transforms.after_and_time")))
    if how.time is not None:
        given = {"held_out", "stratify", "like"} & how.model_fields_set
        problems += [Problem(name, say("transforms.not_with_time")) for name in sorted(given)]
    if problems:
        raise SpecError(problems)


def _read(source: str, faults: Faults) -> list[Located]:
    rows = [row for file in find_data(source) for row in rows_of(file, faults=faults)]
    faults.stop()
    return rows


def _written(chosen: list[Located]) -> Iterator[dict[str, Any]]:
    for located in chosen:
        yield {**located.row, CAME_FROM: came_from(located, ["split"])}


def _by_time(found: list[Located], groups: list[str], how: Split) -> list[str | None]:
    """Returns the side of each row: those of the time to come are held out, as a model meets them;
    None for an earlier row whose group goes on until then.
    """
    assert how.time is not None and how.after is not None, "both or neither are given"
    late = [_time(row, how.time, how.after) >= how.after for row in found]
    going_on = {group for group, is_late in zip(groups, late, strict=True) if is_late}
    sides: list[str | None] = []
    for group, is_late in zip(groups, late, strict=True):
        earlier = None if group in going_on else TRAIN
        sides.append(HELD if is_late else earlier)
    return sides


def _by_share(found: list[Located], groups: list[str], how: Split) -> list[str | None]:
    """Returns the side of each row, the same for all of a group."""
    earlier = _earlier(found, groups, how.like) if how.like is not None else {}
    if how.stratify is None:
        held = {group for group in groups if _place(group, how.seed) < how.held_out}
    else:
        held = _stratified(found, groups, earlier, how)
    held = {group for group in held if group not in earlier}
    held |= {group for group, side in earlier.items() if side == HELD}
    return [HELD if group in held else TRAIN for group in groups]


def _stratified(
    found: list[Located], groups: list[str], known: dict[str, str], how: Split
) -> set[str]:
    """Holds out groups of each value, by their hashes, until the value has its share of rows; what
    an earlier split held out counts first.
    """
    assert how.stratify is not None, "the column is given"
    values: dict[str, Counter[str]] = {group: Counter() for group in groups}
    for row, group in zip(found, groups, strict=True):
        values[group][_value(row, how.stratify, "stratify")] += 1
    of_value: dict[str, list[str]] = defaultdict(list)
    for group, counts in values.items():
        of_value[counts.most_common(1)[0][0]].append(group)
    held: set[str] = set()
    for here in of_value.values():
        wanted = round(how.held_out * sum(values[group].total() for group in here))
        rest = sorted(here, key=lambda group: (_rank(known.get(group)), _place(group, how.seed)))
        for group in rest:
            size = values[group].total()
            if known.get(group) == HELD or (group not in known and size <= wanted):
                held.add(group)
                wanted -= size
    return held


def _rank(side: str | None) -> int:
    return 0 if side == HELD else 1


def _earlier(found: list[Located], groups: list[str], folder: str) -> dict[str, str]:
    """Returns the side that an earlier split gave to groups; a group on both is held out."""
    before: dict[str, str] = {}
    for side in (TRAIN, HELD):
        for file in sorted(Path(folder).glob(f"{side}.*")):
            before |= {_whole(row): side for row in rows_of(file, faults=Faults())}
    side_of: dict[str, str] = {}
    for row, group in zip(found, groups, strict=True):
        side = before.get(_whole(row))
        if side is not None and side_of.get(group) != HELD:
            side_of[group] = side
    if not side_of:
        raise SpecError(Problem("like", say("transforms.not_alike", folder=folder)))
    return side_of


def _whole(located: Located) -> str:
    """Returns all that a row holds as a text, the same from every kind of file."""
    row = {name: value for name, value in located.row.items() if name != CAME_FROM}
    plain = {
        name: json.dumps(value, ensure_ascii=False, sort_keys=True)
        if isinstance(value, dict | list)
        else str(value)
        for name, value in row.items()
        if value not in (None, "")
    }
    return json.dumps(plain, ensure_ascii=False, sort_keys=True)


def _groups(found: list[Located], how: Split) -> list[str]:
    """Names the group of each row: its value of a column, or what its near copies share."""
    return [_value(row, how.by, "by") for row in found] if how.by else _likenesses(found)


def _likenesses(found: list[Located]) -> list[str]:
    """Names each row by its near copies: by the smallest hash of a whole text among them. Runs of
    characters are no name: rows of many groups hold them ("in the"), and would fall as one.
    """
    texts = ["\n".join(_texts(row)) for row in found]
    clusters = Clusters(len(found))
    join_near(clusters, [sketch_of(text) for text in texts])
    keys = [fold([text]) for text in texts]
    clusters.join_equal(keys)
    roots = clusters.roots()
    smallest: dict[int, int] = {}
    for root, key in zip(roots, keys, strict=True):
        smallest[root] = min(smallest.get(root, key), key)
    return [str(smallest[root]) for root in roots]


def _texts(located: Located) -> list[str]:
    columns = content_columns(located.row, None)
    return [text for name in columns for text in strings(located.row[name])]


def _value(located: Located, column: str, setting: str) -> str:
    if column not in located.row:
        fields = {"name": column, "where": located.where, "columns": ", ".join(located.row)}
        raise SpecError(Problem(setting, say("ledger.no_column", **fields)))
    return str(located.row[column])


def _time(located: Located, column: str, after: str) -> str:
    """Returns the time of a row; raises DataError where it does not begin in the form of ``after``:
    as texts, 2026-5-3 stands behind 2026-11-27.
    """
    time = _value(located, column, "time")
    form = re.sub(r"\d", "0", time)
    begins = re.sub(r"\d", "0", after)
    if not form.startswith(begins) or form[len(begins) :].startswith("0"):
        message = say("transforms.other_time", column=column, time=repr(time), after=after)
        raise DataError(Problem(located.where, message))
    return time


def _place(name: str, seed: int) -> float:
    """Returns a number between 0 and 1 for a name, the same each time."""
    salt = seed.to_bytes(8, "little")
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt)
    return int.from_bytes(digest.digest(), "little") / 2**64
