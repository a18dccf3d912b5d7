"""Rows in XML: the elements that repeat, with what they hold as columns; nothing that a document
declares is followed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from material.read_rows import read, values
from tunesmith.api import check
from tunesmith.data.find import held_part
from tunesmith.errors import DataError


def xml(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "rows.xml"
    path.write_bytes(text.encode(encoding))
    return path


def rows(path: Path, objective: str = "sft", **data: Any) -> list[Any]:
    return [values(example) for _, example in read(path, objective, **data)]


TURNS = '<turn role="user">q{n}</turn><turn role="assistant">a{n}</turn>'


@pytest.mark.parametrize(
    "row",
    [
        "<row id='{n}'><question>q{n}</question><answer>a{n}</answer></row>",
        "<row question='q{n}' answer='a{n}'/>",
        "<row>{turns}</row>",
        "<row xmlns='http://x.y/z'><question> q{n}\n</question><answer><![CDATA[a{n}]]></answer></row>",
    ],
)
def test_rows_are_the_elements_that_repeat(tmp_path: Path, row: str) -> None:
    turns = [TURNS.format(n=n) for n in range(6)]
    body = "".join(row.format(n=n, turns=turns[n]) for n in range(6))
    path = xml(
        tmp_path, f'<?xml version="1.0"?>\n<set><about>a set</about><rows>{body}</rows></set>'
    )
    assert rows(path) == [[f"q{n}", f"a{n}"] for n in range(6)]


def test_the_encoding_that_is_stated_is_read_and_what_is_left_out_is_empty(tmp_path: Path) -> None:
    body = "".join(f"<条><问题>问题{n}</问题><答案>回答{n}</答案></条>" for n in range(6))
    text = f'<?xml version="1.0" encoding="gb2312"?><集>{body}<条><问题>无</问题></条></集>'
    reading = read(xml(tmp_path, text, "gb18030"), "sft")
    assert [values(one) for _, one in reading] == [[f"问题{n}", f"回答{n}"] for n in range(6)]
    assert [(row.number, row.reason) for row in reading.dropped] == [(7, "no answer")]


def test_marks_within_a_text_are_left_out_and_parts_are_known(tmp_path: Path) -> None:
    part = "".join(
        f"<r><text>so <b>very</b> {'good' if n % 2 else 'bad'} {n}</text><label>{n % 2}</label></r>"
        for n in range(30)
    )
    path = xml(
        tmp_path, f"<set><train>{part}</train><test>{part.replace('so', 'not')}</test></set>"
    )
    assert rows(path, "classify")[1] == ("so very good 1", None, ("1",))
    assert held_part(str(path)) == f"{path}#test"
    assert rows(path.with_name("rows.xml#test"), "classify")[0][0] == "not very bad 0"


def test_what_stands_once_in_some_rows_is_a_list_in_all(tmp_path: Path) -> None:
    said = ["<tag>x</tag>", "<tag>x</tag><tag>y</tag>"]
    body = "".join(f"<r><text>text {n}</text>{said[n % 2]}</r>" for n in range(6))
    columns = {"text": "text", "label": "tag"}
    found = rows(xml(tmp_path, f"<s>{body}</s>"), "classify", columns=columns)
    assert found[:2] == [("text 0", None, ("x",)), ("text 1", None, ("x", "y"))]


def test_a_translation_memory_is_read(tmp_path: Path) -> None:
    units = "".join(
        f'<tu><tuv xml:lang="en"><seg>tea {n}</seg></tuv><tuv xml:lang="zh"><seg>茶 {n}</seg></tuv></tu>'
        for n in range(6)
    )
    text = (
        f'<!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header/><body>{units}</body></tmx>'
    )
    path = xml(tmp_path, text).rename(tmp_path / "memory.tmx")
    assert rows(path)[2] == ["tea 2", "茶 2"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '<!DOCTYPE l [<!ENTITY a "x">]><l><r>&a;</r><r>b</r></l>',
            "rows.xml: declares a document",
        ),
        ("<l>\n<r>1</r>\n<r>2</l>", "rows.xml:3: is no XML: mismatched tag"),
        ("<l><a>1</a><a>2</a><b>3</b><b>4</b></l>", "holds several lists of elements (a, b)"),
        ("<a>" * 5000 + "</a>" * 5000, "lie too deep within each other"),
    ],
)
def test_what_is_no_rows_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=r"rows\.xml") as error:
        rows(xml(tmp_path, text))
    assert told in str(error.value)


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret words")
    text = f'<!DOCTYPE l SYSTEM "{tmp_path}/secret.txt"><l><r>&s;</r><r>b</r></l>'
    with pytest.raises(DataError, match="is no XML"):
        rows(xml(tmp_path, text), "pretrain")


def test_the_ledger_says_xml_and_adds_up(tmp_path: Path) -> None:
    body = "".join(f"<row question='q{n}' answer='a{n}'/>" for n in range(6))
    found = check({"data": str(xml(tmp_path, f"<rows>{body}</rows>"))})
    assert "rows.xml: xml, utf-8; columns: question, answer" in "\n".join(found.head())
    assert (found.ledger.rows, found.ledger.different) == (6, 6)
