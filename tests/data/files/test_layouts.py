"""Whole files as people wrap them: rows below keys, in parts, by columns, within each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.files.sources import facts, rows
from tunesmith.data.reading import examples
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Labelled
from tunesmith.settings.run import Data

ROWS = [{"instruction": f"q{n}", "input": "", "output": f"a{n}"} for n in range(12)]
TURNS = [
    [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}] for n in (1, 2)
]
QAS = [
    {"id": f"x{n}", "question": f"who {n}", "answers": [{"text": f"a{n}", "answer_start": 1}]}
    for n in (0, 1)
]


def saved(folder: Path, content: Any) -> Path:
    path = folder / "file.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def by_column(orient: str) -> dict[str, Any]:
    cells = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    if orient == "list":
        return cells
    return {name: {str(n): cell for n, cell in enumerate(cells[name])} for name in cells}


LAYOUTS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "an array in an array": ([ROWS], ROWS),
    "several arrays in an array": ([ROWS[:5], ROWS[5:]], ROWS),
    "rows below two keys": ({"version": "1.0", "data": {"rows": ROWS}}, ROWS),
    "rows below two keys, more after": ({"data": {"rows": ROWS, "n": 3}, "code": 0}, ROWS),
    "parts": ({"train": ROWS, "test": [{"instruction": "t", "output": "t"}]}, ROWS),
    "parts, train last": ({"validation": ROWS[:1], "test": ROWS[:2], "train": ROWS}, ROWS),
    "pandas' columns": (by_column("columns"), ROWS),
    "columns as lists": (by_column("list"), ROWS),
    "pandas' split": (
        {"columns": [*ROWS[0]], "index": [*range(12)], "data": [[*row.values()] for row in ROWS]},
        ROWS,
    ),
    "conversations alone": (TURNS, [{"messages": turns} for turns in TURNS]),
    "instances": (
        [{"id": "t", "instruction": "do", "instances": [{"input": "x", "output": "y"}] * 2}],
        [{"id": "t", "instruction": "do", "input": "x", "output": "y"}] * 2,
    ),
    "squad": (
        {"version": "1", "data": [{"title": "T", "paragraphs": [{"context": "c", "qas": QAS}]}]},
        [{"title": "T", "context": "c", **qa} for qa in QAS],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_are_found_wherever_they_stand(name: str, tmp_path: Path) -> None:
    content, wanted = LAYOUTS[name]
    path = saved(tmp_path, content)
    found = list(rows(path))
    assert [located.row for located in found] == wanted
    assert [located.number for located in found] == [*range(1, len(wanted) + 1)]
    assert set(facts(path).columns) == {name for row in wanted for name in row}


def test_an_object_of_rows_is_no_table_by_columns(tmp_path: Path) -> None:
    keyed = {"a": {"question": "q", "answer": "x"}, "b": {"question": "p", "answer": "y"}}
    assert [located.row["id"] for located in rows(saved(tmp_path, keyed))] == ["a", "b"]
    one = {"question": "q", "answer": "a"}
    assert [located.row for located in rows(saved(tmp_path, one))] == [one]
    options = {"question": "q", "options": ["x", "y"], "answer": "A"}
    assert [located.row for located in rows(saved(tmp_path, options))] == [options]


def test_what_was_unwrapped_is_said(tmp_path: Path) -> None:
    def notes(content: Any) -> str:
        reading = examples(Data(path=str(saved(tmp_path, content))))
        assert all(isinstance(one, Chat) for _, one in reading)
        return "\n".join(reading.notes)

    assert "taken from the list under 'data.rows'" in notes({"data": {"rows": ROWS}})
    assert "its part 'train' is trained" in notes({"train": ROWS, "test": ROWS[:2]})
    assert "the lists in paragraphs, qas were unfolded" in notes(LAYOUTS["squad"][0])


def test_the_shared_cases_are_read(shared_cases: Path) -> None:
    counts = {
        "array_in_array.json": 30,
        "wrapped_rows.json": 30,
        "nested_split.json": 30,
        "instances.jsonl": 40,
        "chinese_header_utf16.txt": 30,
        "choices.csv": 30,
        "typed_parts.jsonl": 30,
    }
    for name, count in counts.items():
        found = [one for _, one in examples(Data(path=str(shared_cases / name)))]
        assert len(found) == count and all(isinstance(one, Chat) for one in found), name
    (first, *_) = examples(Data(path=str(shared_cases / "chinese_header_utf16.txt")))
    assert isinstance(first[1], Chat) and first[1].turns[0].content == "翻译第0句\n\nsentence 0"
    (first, *_) = examples(Data(path=str(shared_cases / "choices.csv")))
    assert isinstance(first[1], Chat) and first[1].answer == "B"
    assert first[1].turns[0].content == "What is 0 + 1?\nA. 0\nB. 1\nC. 2\nD. 3"


def test_what_an_encoding_looks_like_decodes_to_sensible_text(tmp_path: Path) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_bytes("instruction,output\nWhat’s this?,“quoted” – dash €5\n".encode("cp1252"))
    with pytest.raises(
        DataError, match="looks like windows-1252: convert it with `iconv -f windows"
    ):
        facts(quotes)
    dense = tmp_path / "dense.csv"
    dense.write_bytes(("question,answer\n" + "it’s,“d’j”\n" * 9).encode("cp1252"))
    with pytest.raises(DataError, match="looks like windows-1252"):
        facts(dense)
    french = tmp_path / "french.jsonl"
    french.write_bytes('{"q": "Où est l’école ?", "a": "Là-bas, à côté."}\n'.encode("cp1252") * 3)
    with pytest.raises(DataError, match="windows-1252"):
        facts(french)
    russian = tmp_path / "russian.txt"
    russian.write_bytes(
        ("Это предложение написано по-русски, и его надо прочесть.\n" * 9).encode("cp1251")
    )
    with pytest.raises(DataError) as caught:
        facts(russian)
    assert "windows-1252" not in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "question", "answer"),
    [
        ("cp932", "これは何ですか", "それは本です"),
        ("cp949", "이것은 무엇입니까", "그것은 책입니다"),
        ("koi8-r", "что это такое", "это книга"),
        ("windows-1251", "что это такое", "это книга"),
    ],
)
def test_a_short_table_in_another_script_is_never_read_as_chinese(
    tmp_path: Path, encoding: str, question: str, answer: str
) -> None:
    """In GB18030 the Korean one has only common Chinese characters."""
    table = tmp_path / "table.csv"
    table.write_bytes(f"question,answer\n{question} 1,{answer} 1\n".encode(encoding) * 2)
    with pytest.raises(DataError, match=f"it looks like {encoding}: convert it"):
        facts(table)


def test_empty_names_at_the_end_of_a_header_are_left_by_a_spreadsheet(tmp_path: Path) -> None:
    """As SMS Spam is published: taken for a row, its header would be learned as a class."""
    table = tmp_path / "spam.csv"
    rows = [f"{('ham', 'spam')[n % 2]},Go until point {n},,,\n" for n in range(12)]
    table.write_text("v1,v2,,,\n" + "".join(rows), "utf-8")
    assert facts(table).columns[:2] == ("v1", "v2")
    found = [example for _, example in examples(Data(path=str(table)), eats=Labelled)]
    assert len(found) == 12 and {one.labels for one in found} == {("ham",), ("spam",)}


def test_a_name_that_stands_twice_in_the_header_is_told(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("question,answer,answer\na,b,c\nd,e,f\n", encoding="utf-8")
    with pytest.raises(DataError, match="the header names these columns twice: answer"):
        facts(table)
    table.write_text("yes,yes,no\nno,no,yes\n", encoding="utf-8")
    assert facts(table).columns == ("0", "1", "2")


NEARLY_JSON = {
    "comments": '// mine\n[\n {"q": "a // b"}, // first\n /* two\n */ {"q": "/* c */"}\n]\n',
    "a comma too many": '[\n {"q": "a // b"},\n {"q": "/* c */"},\n]\n',
    "a comment above rows under a key": '/* x */\n{"data": [{"q": "a // b"}, {"q": "/* c */"}]}',
}
NEARLY_LINES = {
    "commas": '{"q": "a // b"},\n{"q": "/* c */"},\n',
    "two on a line": '{"q": "a // b"}{"q": "/* c */"}\n',
    "comments": '# x\n{"q": "a // b"}\n// y\n{"q": "/* c */"}\n',
    "of Python": "{'q': 'a // b', 'x': None}\n{'q': \"/* c */\", 'x': True}\n",
}


@pytest.mark.parametrize("kind", NEARLY_JSON)
def test_what_is_nearly_json_is_read_where_it_can_mean_one_thing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(NEARLY_JSON[kind], "utf-8")
    assert [one.row["q"] for one in rows(path)] == ["a // b", "/* c */"]


@pytest.mark.parametrize("kind", NEARLY_LINES)
def test_lines_that_are_nearly_json_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(NEARLY_LINES[kind], "utf-8")
    assert [one.row["q"] for one in rows(path)] == ["a // b", "/* c */"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"q": "a", // x\n "r": "b"}]', "JSON knows no comments"),
        ('[{"q": "a",}]', "a comma too many"),
        ("[{'q': 'a'}]", "json.dumps writes it"),
        ('[{"q": True}]', "true, false and null"),
        ('[{q: "a"}]', "JSON wants names"),
        ('[{"q": "a"} {"q": "b"}]', "expected one of"),
    ],
)
def test_what_json_does_not_know_is_said_once(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError) as caught:
        list(rows(path))
    assert len(caught.value.problems) == 1 and told in str(caught.value)


def test_a_line_that_goes_on_after_its_row_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": "a"} and more\n{"q": "b"}\n', "utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: .*Extra data"):
        list(rows(path))
