"""Which files a path stands for."""

from __future__ import annotations

import difflib
from pathlib import Path

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
    ".xlsx",
    ".xlsm",
)
_NOT_DATA = ("readme", "license", "licence", "notice", "changelog")


def files(path: Path) -> list[Path]:
    """The data files that ``path`` stands for: itself, or those of a folder, below it too, in
    sorted order.
    """
    try:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if _is_data(file, path))
            if not found:
                raise DataError(
                    Problem(str(path), say("source.no_files", suffixes=" ".join(SUFFIXES)))
                )
            return found
        if path.is_file():
            return [path]
        if path.exists():
            raise DataError(Problem(str(path), say("source.special")))
        beside = sorted(item.name for item in path.parent.iterdir()) if path.parent.is_dir() else []
    except OSError as error:
        raise DataError(
            Problem(str(path), say("source.unreadable", error=error.strerror or error))
        ) from None
    near = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.5)
    if near:
        raise DataError(
            Problem(
                str(path), say("source.missing_near", names=", ".join(near), folder=path.parent)
            )
        )
    raise DataError(
        Problem(
            str(path),
            say("source.missing" if beside else "source.missing_folder", folder=path.parent),
        )
    )


def _is_data(file: Path, root: Path) -> bool:
    if any(
        part.startswith(".") for part in file.relative_to(root).parts
    ) or file.name.lower().startswith(_NOT_DATA):
        return False
    name = file.name.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES) and file.is_file()
