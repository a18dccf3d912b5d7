"""Which files of a folder are rows, and which part of the data each belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.files.paths import files, held_words, of_part, on_disk
from tunesmith.data.find import find_data, held_part, means_a_file
from tunesmith.errors import DataError
from tunesmith.planning.paths import place


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(found: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in found]


def test_of_a_folder_with_parts_the_training_part_is_taken(tmp_path: Path) -> None:
    made(tmp_path, "train-00000.parquet", "train-00001.parquet", "test.json", "valid/a.csv")
    assert names(files(tmp_path), tmp_path) == ["train-00000.parquet", "train-00001.parquet"]
    assert names(files(Path(f"{tmp_path}#test")), tmp_path) == ["test.json"]
    every = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert held_words(every, tmp_path)[0] == "test"
    assert names(of_part(every, tmp_path, "valid"), tmp_path) == ["valid/a.csv"]


def test_without_a_training_part_all_files_are(tmp_path: Path) -> None:
    made(tmp_path, "test.json", "b/more.jsonl.gz")
    assert names(files(tmp_path), tmp_path) == ["b/more.jsonl.gz", "test.json"]
    assert held_words(files(tmp_path), tmp_path) == []


def test_what_is_no_data_is_left(tmp_path: Path) -> None:
    made(tmp_path, "a.json", "README.md", "LICENSE.txt", ".git/b.json", "c.py", "model.safetensors")
    assert names(files(tmp_path), tmp_path) == ["a.json"]


def test_a_mark_that_is_part_of_a_name_names_no_part(tmp_path: Path) -> None:
    made(tmp_path, "a#b.json", "c.json")
    assert on_disk(tmp_path / "a#b.json") == (tmp_path / "a#b.json", "")
    assert on_disk(tmp_path / "c.json#b") == (tmp_path / "c.json", "b")
    assert on_disk(tmp_path / "gone#b") == (tmp_path / "gone#b", "")


def test_a_file_that_is_not_there_is_told_with_what_is_near(tmp_path: Path) -> None:
    made(tmp_path, "rows.json")
    with pytest.raises(DataError, match=r"rows\.json"):
        files(tmp_path / "row.json")
    with pytest.raises(DataError, match="none"):
        files(tmp_path / "none" / "x.json")
    for name in ("n" * 300 + ".csv", "n" * 300 + ".json#test"):  # no system takes such a name
        assert held_part(str(tmp_path / name)) is None and place(name) == name
        with pytest.raises(DataError, match="long"):
            find_data(str(tmp_path / name))
    made(tmp_path, "empty/a.py")
    with pytest.raises(DataError, match=r"\.parquet"):
        files(tmp_path / "empty")


def test_a_file_whose_ending_is_misspelt_is_no_id_of_a_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, "my.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"my\.cvs: there is no such file; this folder has my\.csv"):
        find_data("my.cvs")
    assert not any(map(means_a_file, ("squad", "ms:squad", "me/rows.v2", "squad:v1.1")))


def test_the_account_beside_a_file_is_no_data(tmp_path: Path) -> None:
    made(tmp_path, "a.jsonl", "a.jsonl.account.jsonl", "mine.account.jsonl")
    assert names(files(tmp_path), tmp_path) == ["a.jsonl", "mine.account.jsonl"]
