"""Data sets that the library datasets saved: Arrow's files in a folder for each part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from material.read_rows import read, values
from tunesmith.data.files.sources import rows
from tunesmith.data.find import held_part
from tunesmith.errors import DataError

FEATURES = {"ner_tags": {"feature": {"names": ["O", "B-PER"]}}}
HEAD = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}


def saved(path: Path, columns: dict[str, list[Any]], *, streamed: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(columns).replace_schema_metadata(HEAD)
    opened = pyarrow.ipc.new_stream if streamed else pyarrow.ipc.new_file
    with pyarrow.OSFile(str(path), "wb") as file, opened(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return path


def asked(word: str, count: int = 10) -> dict[str, list[Any]]:
    return {
        "question": [f"{word} question {n}" for n in range(count)],
        "answer": [f"answer {n}" for n in range(count)],
    }


@pytest.mark.parametrize("streamed", [True, False])
def test_both_forms_of_arrow_are_read(tmp_path: Path, streamed: bool) -> None:
    path = saved(tmp_path / "rows.arrow", asked("a"), streamed=streamed)
    found = [values(example) for _, example in read(path, "sft")]
    assert found == [[f"a question {n}", f"answer {n}"] for n in range(10)]


def test_the_folder_of_a_data_set_is_its_training_part(tmp_path: Path) -> None:
    for part in ("train", "test"):
        folder = tmp_path / "set" / part
        saved(folder / "data-00000-of-00001.arrow", asked(part))
        (folder / "state.json").write_text('{"_data_files": []}')
        (folder / "dataset_info.json").write_text('{"features": {}}')
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found = [values(example) for _, example in read(tmp_path / "set", "sft")]
    assert found[9] == ["train question 9", "answer 9"]
    assert held_part(str(tmp_path / "set")) == f"{tmp_path}/set#test"


def test_the_names_of_tags_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "tags.arrow", {"tokens": [["Ada", "ran"]], "ner_tags": [[1, 0]]})
    assert [located.row for located in rows(path)] == [
        {"tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"]}
    ]


def test_a_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "rows.arrow", asked("a", 50))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DataError, match=r"rows\.arrow: cannot be read as an Arrow file"):
        list(rows(path))
