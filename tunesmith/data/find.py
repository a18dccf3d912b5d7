"""Finds the rows of a data setting: a file, a folder, or what a hub's snapshot holds."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tunesmith.data.files.packaged import packaged_data
from tunesmith.data.files.paths import SUFFIXES, every_file, files, held_words, on_disk
from tunesmith.data.files.row_keys import HELD, TRAIN
from tunesmith.data.files.sources import facts, parts
from tunesmith.errors import DataError, Problem
from tunesmith.storage.hub import looks_local, snapshot
from tunesmith.words import say


def find_data(path: str) -> list[Path]:
    """Finds the files that hold the rows of ``path``: a local file or folder, ``package:NAME``, or
    a data set on a hub.

    A hub's id may name a subset after a colon, ``id:subset``. Where a data set has its own training
    part, only that is taken.
    """
    if path.startswith("package:"):
        return [packaged_data(path.removeprefix("package:"))]
    here = Path(path).expanduser()
    source = "ms:" if path.startswith("ms:") else ""
    # os.path and not Path: a name that no system takes is absent, and is told below.
    if os.path.exists(on_disk(here)[0]) or (not source and means_a_file(path)):
        return files(here)
    name, _, subset = path.removeprefix(source).partition(":")
    folder = snapshot(source + name, "dataset", patterns=DATA_PATTERNS, ignore=NOT_ROWS)
    return _rows_of(folder, path, subset)


def means_a_file(path: str) -> bool:
    """Tells whether the text can only mean a place on this machine: by its form, or by a suffix, of
    which ``my.cvs`` has one, too. A hub's id without an owner (``squad``) has none.
    """
    return (
        looks_local(path)
        or path.lower().removesuffix(".gz").endswith(SUFFIXES)
        or ("/" not in path and re.search(r"\w\.[A-Za-z]+$", path) is not None)
    )


_WITH_PARTS = (".json", ".yaml", ".yml", ".xml", ".xlsx", ".xlsm")
"""Files that may hold several parts of a data set."""


def held_part(path: str) -> str | None:
    """Returns ``path#test`` where the rows of ``path`` are a training part and a held-out part lies
    beside it, in the same JSON object or folder; None otherwise.
    """
    here = Path(path).expanduser()
    if os.path.isdir(here):
        held = held_words(every_file(here), here)
    elif os.path.isfile(here) and here.name.lower().removesuffix(".gz").endswith(_WITH_PARTS):
        key = facts(here).key
        train = len(key) == 1 and key[0].casefold() in TRAIN
        held = [name for name in parts(here) if name.casefold() in HELD] if train else []
        held.sort(key=lambda name: HELD.index(name.casefold()))
    else:
        held = []
    return f"{path}#{held[0]}" if held else None


def _rows_of(folder: Path, path: str, subset: str) -> list[Path]:
    names = sorted(
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()
    )
    names = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    if subset:
        of_subset = [name for name in names if subset in re.split(r"[/.\-]", name)]
        if not of_subset:
            raise DataError(
                Problem(
                    path, say("hub.no_subset", subset=subset, found=", ".join(names[:10]) or "-")
                )
            )
        names = of_subset
    # Parts are told by a word in a file's or folder's name: train-00000-of-00001.parquet,
    # train.json, train/a.csv.
    names = [name for name in names if re.search(r"(^|[/._-])train([/._-]|$)", name)] or names
    if not names:
        raise DataError(Problem(path, say("hub.no_rows", kinds=" ".join(DATA_PATTERNS[::2]))))
    return [folder / name for name in names]


DATA_PATTERNS = [
    f"*{kind}{zipped}"
    for kind in (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt")
    for zipped in ("", ".gz")
]


NOT_ROWS = [
    "dataset_info.json",
    "dataset_infos.json",
    "*/dataset_info.json",
    "state.json",
    "requirements.txt",
    ".*",
]
