"""How rows are laid out in a JSON file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.data.files.jsonrows import shape_of, table_of
from tunesmith.data.files.sources import rows

ROWS = [{"q": "a", "n": 1}, {"q": "b", "n": 2}]


@pytest.mark.parametrize(
    "table",
    [
        {"q": ["a", "b"], "n": [1, 2]},
        {"q": {"0": "a", "1": "b"}, "n": {"0": 1, "1": 2}},  # pandas' to_json
        {"columns": ["q", "n"], "data": [["a", 1], ["b", 2]]},  # orient="split"
    ],
)
def test_a_table_by_columns_is_rows(table: object) -> None:
    assert table_of(table) == ROWS


@pytest.mark.parametrize(
    "other",
    [
        ROWS,
        {},
        {"q": "a", "n": 1},
        {"q": ["a", "b"], "n": [1]},  # columns of two lengths
        {"q": ["a"], "n": [1]},  # one row with two lists as well
        {"q": {"0": "a"}, "n": {"1": 1}},  # rows of two names
        {"columns": ["q", "n"], "data": [["a", 1], ["b"]]},
    ],
)
def test_what_is_no_table_is_left_as_it_is(other: object) -> None:
    assert table_of(other) is None


@pytest.mark.parametrize(
    ("sample", "complete", "shape"),
    [
        ('{"a": 1}\n{"a": 2}\n', True, ("jsonl", False)),
        ('{\n  "a": 1\n}\n{\n  "a": 2\n}', True, ("jsonl", True)),
        ('[{"a": 1},\n {"a": 2}]', True, ("json array", False)),
        ('[{"a": "cut off', False, ("json array", False)),
        ('{"x": {"a": 1}, "y": {"a": 2}}', True, ("json object", False)),
        ('{\n"x": {"a": 1', False, ("json object", False)),
        ("{'a': 1}\n{'a': None}\n", True, ("python lines", False)),
        ("Once upon a time\n", True, None),
    ],
)
def test_the_layout_is_known_from_the_beginning(
    sample: str, complete: bool, shape: tuple[str, bool] | None
) -> None:
    assert shape_of(sample, complete, ".txt") == shape


def test_rows_that_were_written_as_json_twice_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = '{"question": "how much?", "answer": 19.90}'
    path.write_text("\n".join(json.dumps(text) for text in (row, "{not a row}", "a text")))
    found = [located.row for located in rows(path)]
    assert [*map(str, found[0].values())] == ["how much?", "19.90"]
    assert found[1:] == [{"text": "{not a row}"}, {"text": "a text"}]
