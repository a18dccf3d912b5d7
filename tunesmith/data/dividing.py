"""``tunesmith data split``: rows into a training file and a held-out file, by what they hold, so
that new rows move no old one to the other side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt
from pydantic import BeforeValidator

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.located import Faults, Located
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.files.writing import write_rows
from tunesmith.data.find import find_data
from tunesmith.data.steps import came_from
from tunesmith.data.texts.duplicates import Clusters, join_near, normalise, sketch_of
from tunesmith.data.texts.strings import strings
from tunesmith.data.transforms import Account, content_columns
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.settings.spec import Spec
from tunesmith.words import say

TRAIN, HELD = "train", "held_out"


class Split(Spec):
    """Which rows are held out."""

    held_out: Annotated[float, Gt(0), Lt(1)] = 0.1
    """The share of the groups that is held out. Each group falls by a hash of its own, so it is
    about this share of the rows and not exactly.
    """
    by: str | None = None
    """A column whose equal values stay together (patient, document); rows that are nearly the same
    stay together without it.
    """
    after: Annotated[str, BeforeValidator(str)] | None = None
    """Hold out the rows whose column ``time`` is at or after this, instead of a share."""
    time: str | None = None
    """The column with a date or time, in a form that sorts as text: 2026-11-27."""
    seed: Annotated[int, Ge(0)] = 0
    """Another number holds out others."""
    format: Literal["jsonl", "json", "csv", "tsv", "parquet"] = "jsonl"
    """How the two files are written."""


def split(source: str, out: Path, how: Split) -> Account:
    """Writes ``train`` and ``held_out`` into the folder ``out``; raises DataError where a row
    cannot be read or a side is empty, and writes nothing then.
    """
    if (how.after is None) != (how.time is None):
        raise SpecError(Problem("after", say("transforms.after_and_time")))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(Problem(str(out), say("transforms.folder_there")))
    found = _read(source)
    held = _by_time(found, how) if how.time is not None else _by_share(found, how)
    sides = {TRAIN: ~held, HELD: held}
    for name, side in sides.items():
        if not side.any():
            raise DataError(Problem(source, say("transforms.empty_side", side=name)))
    for name, side in sides.items():
        chosen = [one for one, here in zip(found, side, strict=True) if here]
        write_rows(out / f"{name}.{how.format}", lambda chosen=chosen: _written(chosen))
    account = Account(read=len(found), written=len(found))
    numbers = {name: int(side.sum()) for name, side in sides.items()}
    account.notes.append(say("transforms.sides", **numbers))
    return account


def _read(source: str) -> list[Located]:
    faults = Faults()
    found = [one for file in find_data(source) for one in rows_of(file, faults=faults)]
    faults.stop()
    return found


def _written(chosen: list[Located]) -> Iterator[dict[str, Any]]:
    for located in chosen:
        yield {**located.row, CAME_FROM: came_from(located, ["split"])}


def _by_time(found: list[Located], how: Split) -> np.ndarray:
    """Marks the rows of the time to come, as a model meets them."""
    assert how.time is not None and how.after is not None, "both or neither are given"
    return np.array([_value(one, how.time, "time") >= how.after for one in found])


def _by_share(found: list[Located], how: Split) -> np.ndarray:
    """Marks the rows whose group's hash is below the share."""
    names = (
        [_value(one, how.by, "by") for one in found] if how.by is not None else _likenesses(found)
    )
    return np.array([_place(name, how.seed) < how.held_out for name in names])


def _likenesses(found: list[Located]) -> list[str]:
    """Names each row by its near copies: by the smallest hash that any of them holds, which a new
    copy seldom changes.
    """
    texts = ["\n".join(_texts(one)) for one in found]
    sketches = [sketch_of(text) for text in texts]
    clusters = Clusters(len(found))
    join_near(clusters, sketches)
    clusters.join_equal([normalise(text) for text in texts])
    roots = clusters.roots()
    smallest: dict[int, int] = {}
    for root, sketch in zip(roots, sketches, strict=True):
        smallest[root] = min(smallest.get(root, 1 << 32), int(sketch[0]))
    return [str(smallest[root]) for root in roots]


def _texts(located: Located) -> list[str]:
    columns = content_columns(located.row, None)
    return [text for name in columns for text in strings(located.row[name])]


def _value(located: Located, column: str, setting: str) -> str:
    if column not in located.row:
        told = {"name": column, "where": located.where, "columns": ", ".join(located.row)}
        raise SpecError(Problem(setting, say("ledger.no_column", **told)))
    return str(located.row[column])


def _place(name: str, seed: int) -> float:
    """Returns a number between 0 and 1 for a name, the same each time."""
    salt = seed.to_bytes(8, "little")
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt)
    return int.from_bytes(digest.digest(), "little") / 2**64
