"""Which files a path stands for."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tunesmith.data.files.row_keys import HELD, TRAIN
from tunesmith.errors import DataError, Problem
from tunesmith.words import say

SUFFIXES = (
    ".json",
    ".jsonl",
    ".ndjson",
    ".csv",
    ".tsv",
    ".txt",
    ".md",
    ".conll",
    ".bio",
    ".iob",
    ".bioes",
    ".parquet",
    ".arrow",
    ".xlsx",
    ".xlsm",
    ".xml",
    ".tmx",
)
ACCOUNT = ".account.jsonl"
"""What ``tunesmith data`` puts behind the name of a file for what became of each row; no data."""
_NOT_DATA = ("readme", "license", "licence", "notice", "changelog")
_ABOUT_DATA = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""What the library datasets and LLaMA-Factory write beside the rows."""


def on_disk(path: Path) -> tuple[Path, str]:
    """Returns the path on disk, and the part of it that ``file.json#test`` or ``folder#test``
    names.
    """
    name, mark, part = path.name.rpartition("#")
    if mark and not os.path.exists(path) and os.path.exists(path.with_name(name)):
        return path.with_name(name), part
    return path, ""


def files(path: Path) -> list[Path]:
    """Returns the data files that ``path`` stands for: itself, or those in and below a folder,
    sorted; of a folder with parts those of one part, the training part where none is named.
    """
    try:
        whole, part = on_disk(path)
        if whole.is_dir():
            of_one_part = of_part(every_file(whole), whole, part)
            if not of_one_part:
                raise DataError(
                    Problem(str(path), say("source.no_files", suffixes=" ".join(SUFFIXES)))
                )
            return of_one_part
        if whole.is_file():
            return [path]
        if path.exists():
            raise DataError(Problem(str(path), say("source.special")))
        beside = sorted(item.name for item in path.parent.iterdir()) if path.parent.is_dir() else []
    except OSError as error:
        raise DataError(
            Problem(str(path), say("source.unreadable", error=error.strerror or error))
        ) from None
    near = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.5)
    names, folder = ", ".join(near), path.parent
    if not folder.is_dir():
        message = say("source.missing_folder", folder=folder)
    elif folder == Path():
        message = say("source.near_here", names=names) if near else say("source.missing_here")
    elif near:
        message = say("source.missing_near", names=names, folder=folder)
    else:
        message = say("source.missing", folder=folder)
    raise DataError(Problem(str(path), message))


def every_file(folder: Path) -> list[Path]:
    """Returns the data files of a folder, whatever part they belong to."""
    return sorted(file for file in folder.rglob("*") if _is_data(file, folder))


def of_part(files: Sequence[Path], folder: Path, part: str) -> list[Path]:
    """Returns the files of one part (train-00000.parquet, train.json, train/a.csv); without
    ``part`` those of the training part, or all where the folder does not have both a training and a
    held-out part.
    """
    words = {file: _words(file.relative_to(folder)) for file in files}
    if part:
        return [file for file in files if part in words[file]]
    train = [file for file in files if words[file] & TRAIN]
    return train if train and held_words(files, folder) else list(files)


def held_words(files: Sequence[Path], folder: Path) -> list[str]:
    """Returns the names of the held-out parts among the files, the test part first."""
    words = [_words(file.relative_to(folder)) for file in files]
    if not any(words_of_file & TRAIN for words_of_file in words):
        return []
    return [
        name
        for name in HELD
        if any(name in words_of_file and not words_of_file & TRAIN for words_of_file in words)
    ]


def _words(name: Path) -> set[str]:
    return set(re.split(r"[/._-]", name.as_posix().casefold()))


def _is_data(file: Path, root: Path) -> bool:
    if any(
        part.startswith(".") for part in file.relative_to(root).parts
    ) or file.name.lower().startswith(_NOT_DATA):
        return False
    if file.name.endswith(ACCOUNT) and file.with_name(file.name.removesuffix(ACCOUNT)).exists():
        return False
    name = file.name.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES) and name not in _ABOUT_DATA and file.is_file()
