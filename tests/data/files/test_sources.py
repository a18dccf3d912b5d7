"""Any file to rows: formats, encodings, headers, streaming, and what a broken file is answered
with.
"""

from __future__ import annotations

import codecs
import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from material.fast import slow_but
from tunesmith.data.files.sources import Faults, facts, rows
from tunesmith.errors import DataError

ROWS = [
    {"instruction": "问题一", "output": "答案，一"},
    {"instruction": "two", "output": 'line 1\nline "2"'},
]


def read(path: Path, **settings: Any) -> list[dict[str, Any]]:
    return [located.row for located in rows(path, **settings)]


def written(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return path


def error(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def as_csv(delimiter: str = ",") -> str:
    return (
        delimiter.join(ROWS[0])
        + f'\r\n问题一{delimiter}"答案，一"\r\ntwo{delimiter}"line 1\nline ""2"""\r\n'
    )


SHAPES = {
    "array.json": (json.dumps(ROWS, ensure_ascii=False, indent=2), "json array"),
    "one_line.json": (json.dumps(ROWS, ensure_ascii=False), "json array"),
    "array_in.txt": (json.dumps(ROWS, ensure_ascii=False, indent=2), "json array"),
    "lines.jsonl": (
        "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n",
        "jsonl",
    ),
    "lines_in.json": ("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), "jsonl"),
    "spread.jsonl": (
        "\n".join(json.dumps(row, ensure_ascii=False, indent=2) for row in ROWS),
        "jsonl",
    ),
    "quoted.csv": (as_csv(), "csv"),
    "semicolon.csv": (as_csv(";"), "csv"),
    "tabs.csv": (as_csv("\t"), "tsv"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
@pytest.mark.parametrize("name", SHAPES)
def test_every_layout_in_every_encoding_gives_the_same_rows(
    name: str, encoding: str, tmp_path: Path
) -> None:
    text, kind = SHAPES[name]
    path = written(tmp_path / name, text, encoding)
    assert read(path) == ROWS
    found = facts(path)
    assert (found.format, found.encoding, found.columns) == (
        kind,
        encoding,
        ("instruction", "output"),
    )
    packed = written(tmp_path / f"{name}.gz", gzip.compress(path.read_bytes()))
    assert read(packed) == ROWS
    assert facts(packed).compressed


@pytest.mark.parametrize("name", ["array.json", "lines.jsonl", "spread.jsonl"])
def test_crlf_line_ends_change_nothing(name: str, tmp_path: Path) -> None:
    assert read(written(tmp_path / name, SHAPES[name][0].replace("\n", "\r\n"))) == ROWS


def test_utf16_big_endian_needs_its_mark(tmp_path: Path) -> None:
    content = codecs.BOM_UTF16_BE + SHAPES["lines.jsonl"][0].encode("utf-16-be")
    assert read(written(tmp_path / "be.jsonl", content)) == ROWS


def test_an_object_keyed_by_id_keeps_the_key(tmp_path: Path) -> None:
    path = written(
        tmp_path / "keyed.json",
        json.dumps({"7": {"a": "x"}, "8": {"a": "y", "id": "own"}}, indent=1),
    )
    assert read(path) == [{"id": "7", "a": "x"}, {"id": "own", "a": "y"}]
    one_line = written(tmp_path / "keyed_line.json", json.dumps({"7": {"a": "x"}}))
    assert facts(one_line).format == "json object"


def test_arrays_of_arrays_and_texts(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.json", '[["q", "a"],\n ["q2", "a2"]]')) == [
        {"0": "q", "1": "a"},
        {"0": "q2", "1": "a2"},
    ]
    assert read(written(tmp_path / "l.jsonl", '["q", "a"]\n["q2", "a2"]\n')) == [
        {"0": "q", "1": "a"},
        {"0": "q2", "1": "a2"},
    ]
    assert read(written(tmp_path / "t.json", '["one", "two"]')) == [
        {"text": "one"},
        {"text": "two"},
    ]


def test_text_is_one_row_a_line_with_its_number(tmp_path: Path) -> None:
    path = written(tmp_path / "t.txt", "[客户] one\r\n\r\n{{name}} two\r\n")
    found = [(located.number, located.row) for located in rows(path)]
    assert found == [(1, {"text": "[客户] one"}), (3, {"text": "{{name}} two"})]
    assert facts(path).columns == ("text",)


def test_tsv_decides_its_header_by_evidence(tmp_path: Path) -> None:
    without = written(tmp_path / "pairs.txt", 'Run.\t跑。\n"Hi", he said.\t"嗨"，他说。\n')
    assert read(without)[1] == {"0": '"Hi", he said.', "1": '"嗨"，他说。'}
    labelled = written(tmp_path / "labels.tsv", "good film\t1\nbad film\t0\n")
    assert (facts(labelled).header, facts(labelled).columns) == (False, ("0", "1"))
    named = written(tmp_path / "named.tsv", "sentence\tlabel\ngood film\t1\nbad film\t0\n")
    assert read(named)[0] == {"sentence": "good film", "label": "1"}
    unclear = written(tmp_path / "unclear.tsv", "alpha\tbeta\nx\ty\n")
    assert facts(unclear).columns == ("0", "1")
    assert facts(unclear, columns={"question": "alpha"}).columns == ("alpha", "beta")
    assert facts(named, columns={"question": "0", "answer": "1"}).header is False
    escaped = written(tmp_path / "escaped.tsv", 'question\tanswer\n"say ""x"""\t"b"\n')
    assert read(escaped) == [{"question": 'say "x"', "answer": "b"}]


def test_csv_without_header_and_with_an_unnamed_index(tmp_path: Path) -> None:
    assert read(written(tmp_path / "no.csv", "3,what is it?\n4,and now?\n"))[0] == {
        "0": "3",
        "1": "what is it?",
    }
    assert read(written(tmp_path / "index.csv", ",Question,Answer\n0,a,B\n")) == [
        {"0": "0", "Question": "a", "Answer": "B"}
    ]


def test_parquet_and_excel(tmp_path: Path) -> None:
    import openpyxl
    import pyarrow
    import pyarrow.parquet

    chats = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    ] * 3
    path = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(chats), path)
    assert read(path) == chats
    assert read(written(tmp_path / "rows.parquet.gz", gzip.compress(path.read_bytes()))) == chats
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (["question", "answer"], ["q", "a"], [None, None], ["q2", 7]):
        book.active.append(row)
    book.create_sheet("empty")
    book.save(tmp_path / "rows.xlsx")
    assert read(tmp_path / "rows.xlsx") == [
        {"question": "q", "answer": "a"},
        {"question": "q2", "answer": 7},
    ]
    for row in (["another", "b"], ["c", "d"]):
        book["empty"].append(row)
    book.save(tmp_path / "two.xlsx")
    assert "empty: this sheet begins with another row" in error(tmp_path / "two.xlsx")


def test_a_folder_means_its_data_files_in_sorted_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.jsonl", "a.jsonl", "sub/c.jsonl", "README.md", "picture.jpg", ".hidden.jsonl"):
        written(tmp_path / name, json.dumps({"text": name}) + "\n")
    assert [row["text"] for row in read(tmp_path)] == ["a.jsonl", "b.jsonl", "sub/c.jsonl"]


@pytest.mark.parametrize("layout", slow_but(["keyed"], ["array", "keyed", "lines", "csv"]))
def test_memory_does_not_grow_with_the_file(layout: str, tmp_path: Path) -> None:
    path, count, text = (
        tmp_path / ("big.csv" if layout == "csv" else "big.json"),
        1100,
        "中文 words \\n" * 4000,
    )
    with open(path, "w", encoding="utf-8") as file:
        file.write({"array": "[", "keyed": "{", "lines": "", "csv": "text,answer\n"}[layout])
        for n in range(count):
            comma = "," if n < count - 1 else {"array": "]", "keyed": "}"}.get(layout, "")
            row = f'{{"text": "{text}", "answer": {n}}}'
            file.write(
                {
                    "array": row + comma,
                    "keyed": f'"{n}": {row}{comma}',
                    "lines": row + "\n",
                    "csv": f"{text},{n}\n",
                }[layout]
            )
    assert path.stat().st_size > 50_000_000
    tracemalloc.start()
    try:
        assert sum(int(located.row["answer"]) for located in rows(path)) == count * (count - 1) // 2
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


def test_values_that_a_chunk_cuts_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.data.files import jsonstream

    data = [
        {"n": [1, -2.5e-7, True, None], "s": 'é\\u4e2d\\" \\\\ 😀', "o": {}},
        123456,
        {"deep": [[["x"]]]},
        {},
    ]
    for size in range(1, 9):
        monkeypatch.setattr(jsonstream, "_CHUNK", size)
        for indent in (None, 2):
            path = written(tmp_path / f"{size}{indent}.json", json.dumps(data, indent=indent))
            with open(path, encoding="utf-8") as stream:
                assert list(jsonstream.array(stream, jsonstream.Decoder())) == data


BROKEN = {
    "row.jsonl": (
        '{"a": "x"}\n{"a": "y\n{"a": "z"}\n',
        "row.jsonl:2: this is not valid JSON: Unterminated string",
    ),
    "array.json": (
        '[{"a": 1},\n {"a": 2},\n {"a" 3},\n {"a": 4}]',
        "array.json:3: this is not valid JSON: Expecting ':' delimiter, on line 3",
    ),
    "comma.json": (
        '[{"a": 1} {"a": 2}]',
        "comma.json:2: this is not valid JSON: expected one of , ]",
    ),
    "cut.json": (
        '[{"a": 1},\n{"a": "abc',
        "cut.json:2: this is not valid JSON: Unterminated string starting at, on line 2",
    ),
    "open.json": (
        '[{"a": 1}',
        "open.json:2: this is not valid JSON: the file ends too early, on line 1",
    ),
    "after.json": (
        '[\n{"a": 1}\n]\n[\n{"a": 2}\n]',
        "after.json:2: this is not valid JSON: there is more text after the end",
    ),
    "number.jsonl": (
        '{"a": 1}\n17\n',
        "number.jsonl:2: is not a row: expected an object, a list or a text, found '17'",
    ),
    "ragged.csv": (
        "question,answer\na,b\nc,d,e\n",
        "ragged.csv:2: has 3 fields, where the file has 2 columns (question, answer)",
    ),
    "quote.csv": (
        'question,answer\na,b\n\nc,"d\n' + "e,f\n" * 30,
        "quote.csv: the row that begins in line 4 of the file is not CSV (unexpected end",
    ),
    "zero.txt": (
        "plain text\nand then \0 a zero\n" + "more and more text " * 40,
        "zero.txt:2: is a binary file",
    ),
    "empty.json": ("", "the file is empty (0 bytes)"),
    "blank.json": ("\n \n", "the file has no rows"),
    "sheet.xls": (b"\xd0\xcf\x11\xe0rest".decode("latin-1"), "old Excel file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_row_and_what_stands_there(name: str, tmp_path: Path) -> None:
    content, expected = BROKEN[name]
    assert expected in error(
        written(tmp_path / name, content, "latin-1" if name.endswith("xls") else "utf-8")
    )


def test_bad_rows_of_one_kind_are_told_once_with_their_number(tmp_path: Path) -> None:
    path = written(
        tmp_path / "bad.jsonl",
        '{"a": "ok"}\n' + "".join(f'{{"a": {n}!\n' for n in range(25)) + "......\n",
    )
    faults = Faults()
    assert [located.number for located in rows(path, faults=faults)] == [1]
    assert [located.number for located in faults.skipped] == [27]
    with pytest.raises(DataError) as caught:
        faults.stop()
    [problem] = caught.value.problems
    assert problem.where == f"{path}:2" and "here: " in problem.text
    assert problem.text.endswith("(the same in 24 more rows: 3, 4, 5, 6, 7, …)")


def test_bad_rows_of_many_kinds_name_ten_of_them(tmp_path: Path) -> None:
    faults = Faults()
    for number in range(12):
        faults.add(tmp_path / "bad.jsonl", number, f"fault {'x' * number}")
    faults.add(tmp_path / "bad.jsonl", 30, "fault xxx")
    with pytest.raises(DataError) as caught:
        faults.stop()
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 11 and told[-1] == "these are 10 of 12 kinds of fault in the rows"
    assert told[3].endswith("(the same in 1 more row: 30)")


def test_other_encodings_are_named_and_never_guessed(tmp_path: Path) -> None:
    big5 = written(tmp_path / "big5.txt", "繁體中文的問題與回答，這是一個測試檔案。\n" * 30, "big5")
    assert "byte 0 (0xC1) is not valid UTF-8" in error(big5) and "iconv -f big5 -t UTF-8" in error(
        big5
    )
    damaged = written(
        tmp_path / "damaged.jsonl", '{"a": "中文字符在这里"}\n'.encode() * 9 + b'{"a": "\xff"}\n'
    )
    offset = len('{"a": "中文字符在这里"}\n'.encode()) * 9 + 7
    assert f"damaged.jsonl:10: byte {offset} (0xFF) is not valid UTF-8" in error(damaged)
    latin = written(tmp_path / "latin.csv", "question,answer\ncafé au lait,déjà vu où\n", "latin-1")
    assert "latin.csv:2: byte 19 (0xE9) is not valid UTF-8" in error(latin)
    marked = written(tmp_path / "marked.txt", codecs.BOM_UTF8 + b"abc\xff")
    assert "says that it is utf-8-sig, but byte" in error(marked)
    late = written(
        tmp_path / "late.jsonl", b'{"a": "x"}\n' * 200_000 + '{"a": "中文"}\n'.encode("gb18030")
    )
    assert facts(late).encoding == "gb18030"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "my_rows.json", "[]")
    assert "there is no such file; " in error(tmp_path / "my_row.json") and "my_rows.json" in error(
        tmp_path / "my_row.json"
    )
    assert "no folder" in error(tmp_path / "nowhere" / "x.json")
    (tmp_path / "empty").mkdir()
    told = error(tmp_path / "empty" / "x.json")
    assert "no such file in" in told and "no folder" not in told
    (tmp_path / "bare").mkdir()
    assert "the folder has no data file; these can be read: .json" in error(tmp_path / "bare")
    os.mkfifo(tmp_path / "pipe.json")
    assert "is neither a file nor a folder" in error(tmp_path / "pipe.json")
    cut = written(tmp_path / "cut.jsonl.gz", gzip.compress(b'{"a": "x"}\n' * 1000)[:-20])
    assert "the gzip file cannot be unpacked" in error(cut)
    assert "is a zip archive" in error(written(tmp_path / "data.json", b"PK\x03\x04rest"))
    assert "not a Parquet file" in error(written(tmp_path / "x.parquet", "hello"))
    assert "cannot be read as Parquet" in error(
        written(tmp_path / "y.parquet", b"PAR1 and no more")
    )
    assert "cannot be read as an Excel workbook" in error(
        written(tmp_path / "y.xlsx", b"PK\x03\x04 and no more")
    )


def test_every_real_file_gives_the_rows_that_its_description_counts(shared_data: Path) -> None:
    counted: dict[str, int] = {}
    for line in (shared_data / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip(" `") for cell in line.split("|")]
        if len(cells) > 5 and cells[2].isdecimal() and "*" not in cells[1]:
            counted[cells[1]] = int(cells[2])
    assert len(counted) > 40
    found = {name: sum(1 for _ in rows(shared_data / name, faults=Faults())) for name in counted}
    assert found == counted


def test_header_evidence_on_real_tables(shared_data: Path) -> None:
    headers = {
        "sst2_en/train.tsv": False,
        "translation_en_zh/cmn.txt": False,
        "summarisation_zh/csl_ts_dev.tsv": False,
        "pairs_afqmc_zh/train.txt": False,
        "pairs_stsb_zh/sts-b-dev.txt": False,
        "pairs_pawsx_zh/dev_2k.tsv": True,
        "customer_service_en/bitext_customer_support.csv": True,
        "cmmlu_zh/dev/anatomy.csv": True,
        "mmlu_en/test/anatomy_test.csv": True,
    }
    assert {name: facts(shared_data / name).header for name in headers} == headers


def test_a_title_above_a_table_is_no_header(tmp_path: Path) -> None:
    """A merged cell holds it; a sheet of one column keeps its first row."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["客服数据"], [], ["问题", "回答", "备注"]):
        sheet.append(row)
    sheet.merge_cells("A1:C1")
    for n in range(6):
        sheet.append([f"q{n}", f"a{n}", None])
    book.save(tmp_path / "titled.xlsx")
    found = [located.row for located in rows(tmp_path / "titled.xlsx")]
    assert found == [{"问题": f"q{n}", "回答": f"a{n}", "备注": None} for n in range(6)]

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for text in ("text", "one", "two", "three"):
        sheet.append([text])
    book.save(tmp_path / "narrow.xlsx")
    assert [located.row["text"] for located in rows(tmp_path / "narrow.xlsx")] == [
        "one",
        "two",
        "three",
    ]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_a_web_page_in_place_of_rows_is_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n<!DOCTYPE html>\n<html><body>404</body></html>\n", "utf-8")
    with pytest.raises(DataError, match="is a web page, not rows"):
        facts(tmp_path / name)
