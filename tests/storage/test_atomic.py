"""A file or a folder is written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from tunesmith.errors import SpecError
from tunesmith.storage.atomic import (
    barred,
    file_to_write,
    held_file,
    replace_folder,
    sweep,
    write_whole,
)


def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, "old")

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
def test_a_killed_draft_is_swept_and_one_that_is_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "rows[1].jsonl"
    killed = tmp_path / ".rows[1].jsonl.tmp-0123abcd"
    other = tmp_path / ".rows.jsonl.tmp-0123abcd"
    for left in (killed, other):
        left.write_text("half")
    with held_file(path) as first, held_file(path) as second:
        assert first.exists() and not killed.exists() and other.exists()
        first.write_text("the first")
        second.write_text("the second, which ends before it")
    assert path.read_text() == "the first" and {*tmp_path.iterdir()} == {path, other}


def test_a_folder_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    place = tmp_path / "model"

    def half(folder: Path) -> None:
        (folder / "part").write_text("new")
        raise ValueError("killed")

    replace_folder(place, lambda folder: (folder / "whole").write_text("old") and None)
    with pytest.raises(ValueError, match="killed"):
        replace_folder(place, half)
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "whole"]
    replace_folder(place, lambda folder: (folder / "other").write_text("new") and None)
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "other"]


def test_what_a_kill_left_is_put_right(tmp_path: Path) -> None:
    (tmp_path / ".model.old-1").mkdir()  # killed between the two renames
    (tmp_path / ".model.old-1" / "weights").touch()
    (tmp_path / "best").mkdir()
    (tmp_path / ".best.old-2").mkdir()  # killed before the old one was removed
    (tmp_path / ".best.tmp-3").mkdir()
    (tmp_path / ".run.yaml.tmp-4").touch()
    sweep(tmp_path)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["best", "model", "model/weights"]


def test_where_nothing_can_be_written_is_told_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert barred(tmp_path / "a" / "b" / "c") is None
    assert str(tmp_path / "file") in (barred(tmp_path / "file" / "b" / "c") or "")
    assert not [path for path in tmp_path.iterdir() if path.name != "file"], "nothing is left"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder in which nobody can write")
def test_a_folder_in_which_not_even_root_can_write_is_told_before() -> None:
    for place in (Path("/proc/job.yaml"), Path("/proc/a/b/job.yaml")):
        with pytest.raises(SpecError, match="cannot write in /proc"):
            file_to_write(place)


def test_a_full_disk_is_told_by_who_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert barred(tmp_path / "a") is None


def test_a_link_is_followed_and_a_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert file_to_write(tmp_path / "link") == (tmp_path / "real").resolve()
    assert file_to_write(None) is None
    for place in (Path(os.devnull), tmp_path):
        with pytest.raises(SpecError):
            file_to_write(place)
