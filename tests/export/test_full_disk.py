"""A memory that is too small, and a disk that refuses in the middle of an export: one clear line from the writers of every format,
and nothing half-written. A limit on the size of a file stands for it, which needs no rights.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import tiny_model
from material.exported import asked, tuned
from tunesmith.errors import DiskError, SpecError
from tunesmith.export.make import export
from tunesmith.storage.run_folder import RunFolder


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Lets the system refuse to write more than ``size`` bytes to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(autouse=True)
def little_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.export.parity.PROBES", 2)
    monkeypatch.setattr("tunesmith.export.parity.NEW_TOKENS", 2)
    monkeypatch.setattr("tunesmith.export.make.TIMED", 1)
    monkeypatch.setattr("tunesmith.export.make.TIMED_TOKENS", 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("full")
    base = tiny_model(folder / "base", vocab_size=2000, hidden_size=64, intermediate_size=96)
    return tuned(folder / "run", base, scale=0.1)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (["format=hf"], 200_000),
        (["format=int8"], 200_000),
        (["format=gguf"], 200_000),
        (["format=adapter"], 20_000),
        (["format=vllm"], 20_000),
        (["format=gguf", "format.part=adapter"], 20_000),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else None,
)
def test_every_format_says_so_and_leaves_nothing(
    run: RunFolder, tmp_path: Path, line: list[str], size: int
) -> None:
    with no_file_above(size), pytest.raises(DiskError) as told:
        export(run, tmp_path / "out", asked(*line, "items=0"))
    text = str(told.value)
    assert text.startswith(f"{tmp_path / 'out'}: ") and "\n" not in text
    # GGUF is written by numpy, which says it in its own words.
    assert ("requested and" if line[0] == "format=gguf" else "File too large") in text
    assert "No partial files were left" in text
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_fit_is_told_before_it_is_loaded(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.export.make.load_trained", lambda source: pytest.fail("loaded"))
    monkeypatch.setattr("tunesmith.export.folders.source.total_and_free", lambda: (1e6, 1e3))
    with pytest.raises(SpecError, match=r"of memory to be loaded .* 0\.00 GiB are free"):
        export(run, tmp_path / "out", asked("format=hf"))
    assert list(tmp_path.iterdir()) == []
