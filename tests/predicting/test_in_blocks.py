"""Files answered in blocks: the same answers as at once, after a kill too, here or at an endpoint."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from material.proved import labelled
from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.data.files.questions import each_asked
from tunesmith.errors import DataError, Stopped
from tunesmith.predicting import in_blocks
from tunesmith.predicting.in_blocks import answered, look_through
from tunesmith.predicting.predictor import Predictor


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(in_blocks, "BLOCK", 4)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"id": n, "instruction": row["instruction"]} for n, row in enumerate(labelled(11))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_killed_call_goes_on_where_it_was(label_run, file, tmp_path, small_blocks, monkeypatch):
    out = tmp_path / "out.jsonl"
    command = ["predict", str(label_run.path), str(file), "--out", str(out), "--lang", "en"]
    asked: list[int] = []
    predict = Predictor.predict

    def counting(self: Predictor, rows: Any, **how: Any) -> Any:
        asked.append(len([*rows]))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return predict(self, rows, **how)

    monkeypatch.setattr(Predictor, "predict", counting)
    assert main(command) != 0
    [part] = tmp_path.glob(".out.jsonl.*.part")
    assert not out.exists() and len(lines(part)) == 8
    with part.open("a") as stream:
        stream.write('{"id": 8, "instr')  # what a kill leaves of a line
    assert main(command) == 0
    assert asked == [4, 4, 3, 3]
    monkeypatch.undo()
    rows = lines(file)
    assert lines(out) == api.predict(label_run, rows)
    assert not [*tmp_path.glob(".out*")]


def test_a_folder_that_is_not_there_is_made(label_run, file, tmp_path):
    out = tmp_path / "new" / "folder" / "out.jsonl"
    assert main(["predict", str(label_run.path), str(file), "--out", str(out)]) == 0
    assert len(lines(out)) == 11 and [*out.parent.iterdir()] == [out]


def test_answers_of_another_file_or_model_are_not_taken(label_run, adapter_run, file, tmp_path):
    def name(run: Any, engine: str | None = None) -> str:
        return in_blocks.Unfinished(tmp_path / "out", run, file, engine).path.name

    names = [name(label_run), name(adapter_run), name(label_run, "http://localhost:1/v1")]
    file.write_text(file.read_text() + "\n")
    assert len({*names, name(label_run)}) == 4


def test_rows_that_cannot_be_read_are_all_told_before_any_is_answered(
    label_run, tmp_path, small_blocks, capsys
):
    path, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows = [{"instruction": "red"}] * 6 + [{"instruction": ""}] + [{"instruction": "red"}] * 5
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"x": 1}]))
    assert main(["predict", str(label_run.path), str(path), "--out", str(out), "--lang", "en"]) == 2
    told = capsys.readouterr().err
    assert f"{path}:7" in told and f"{path}:13" in told
    assert [*tmp_path.iterdir()] == [path]


def test_the_new_column_is_called_the_same_in_all_blocks(label_run, tmp_path, small_blocks):
    path, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows = [{"instruction": "red"}] * 5 + [{"instruction": "cow", "prediction": "mine"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["predict", str(label_run.path), str(path), "--out", str(out)]) == 0
    assert all("prediction_1" in row for row in lines(out))
    assert lines(out)[-1]["prediction"] == "mine"


def test_less_is_lost_where_an_endpoint_goes_away(label_run, tmp_path, monkeypatch):
    path, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps({"text": str(n)}) + "\n" for n in range(150)))
    asked: list[int] = []

    class Going(_Echo):
        def predict(self, rows: Any, **how: Any) -> list[dict[str, Any]]:
            asked.append(len(rows))
            if len(asked) == 2:
                raise Stopped("it went away")
            return super().predict(rows, **how)

    monkeypatch.setattr("tunesmith.cli.results._answerer", lambda *_: Going())
    command = ["predict", str(label_run.path), str(path), "--out", str(out)]
    command += ["--engine", "http://localhost:1/v1"]
    assert main(command) == Stopped.exit_code and not out.exists()
    assert main(command) == 0
    assert asked == [64, 64, 64, 22] and [row["text"] for row in lines(out)] == [
        *map(str, range(150))
    ]


class _Texts:
    """Makes rows of texts."""

    def row_of(self, text: str) -> dict[str, str]:
        return {"text": text}


class _Echo:
    """Answers without a model."""

    rows: Any = _Texts()

    def refuse_unread(self, row: Any) -> None:
        if "text" not in row:
            raise DataError("no text")

    def predict(self, rows: Any, **how: Any) -> list[dict[str, Any]]:
        return [{**row, "prediction": 1} for row in rows]


@pytest.mark.slow  # 2 s each
@pytest.mark.parametrize("kind", ["jsonl", "txt", "csv"])
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.{kind}"
        with path.open("w") as stream:
            for number in range(rows):
                text = f"{number} " * 500
                stream.write((json.dumps({"text": text}) if kind == "jsonl" else text) + "\n")
        tracemalloc.start()
        seen = look_through(_Echo(), each_asked(path))
        assert sum(map(len, answered(_Echo(), each_asked(path), seen))) == rows
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(9000) < 1.3 * peak(3000)
