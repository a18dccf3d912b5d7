"""Tables as text: what stands between the cells, and whether the first row names the columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.files.sources import facts, rows
from tunesmith.data.files.tables import delimiter_of, has_header, stated
from tunesmith.errors import DataError


@pytest.mark.parametrize(
    ("sample", "delimiter"),
    [
        ("a,b\n1;2;3", ","),
        ("question;answer\nx, y, z;1", ";"),
        ("a|b|c\n", "|"),
        ("long, text, here\tlabel\n", "\t"),  # commas of a text beside one tab
        ('"a;b;c;d",e\n', ","),  # marks inside quotes do not count
        ('"two\nlines; of; text",b\n1;2;3;4', ","),  # nor does the end of a line
        ("\r\n\na;b\n", ";"),
        ("word\n", ","),
    ],
)
def test_the_delimiter_is_that_of_the_first_line(sample: str, delimiter: str) -> None:
    assert delimiter_of(sample) == delimiter


@pytest.mark.parametrize(
    ("first", "body", "named"),
    [
        (["text", "label"], [["good film", "1"]], True),
        (["问题", "回答"], [["什么是湿热", "……"]], True),
        (["0", "1"], [["a", "b"]], True),  # as pandas numbers columns
        (["good film", "1"], [["bad film", "0"]], False),  # a number names no column
        (["What is it?", "x"], [["Who is it?", "y"]], False),  # a sentence names no column
        (["sport", "a"], [["b", "c"], ["sport", "d"]], False),  # the same value stands below
        (["headline", "worth"], [["a", "3"], ["b", "4"]], True),  # words above numbers
        (["red", "blue"], [["green", "grey"]], False),
    ],
)
def test_whether_the_first_row_names_the_columns(
    first: list[str], body: list[list[str]], named: bool
) -> None:
    assert has_header(first, body, columns=None, default=False) is named


def test_where_the_rows_do_not_tell_the_settings_or_the_default_do() -> None:
    first, body = ["red", "blue"], [["green", "grey"]]
    assert has_header(first, body, columns=None, default=True)
    assert has_header(first, body, columns={"question": "red"}, default=False)
    assert not has_header(first, body, columns={"question": "0", "answer": "1"}, default=True)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("sep=;\r\nquestion;answer\r\n", ";"),
        ('"sep=,"\nquestion,answer\n', ","),
        ("SEP=\t\nquestion\tanswer\n", "\t"),
        ("sep=;;;\nquestion;answer\n", ";"),  # saved again as a row of the table
        ("sep=a\n", ""),  # a letter parts no cells
        ("separator;x\n", ""),
        ("question;answer\nsep=;\n", ""),
    ],
)
def test_a_first_line_may_state_the_delimiter(text: str, delimiter: str) -> None:
    assert stated(text) == delimiter


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_the_line_that_states_the_delimiter_is_no_row(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    body = 'question;answer\r\nWho, what, why?;me\r\n"two\r\nlines";yes\r\n'
    file.write_bytes(b"\xef\xbb\xbf" + ("sep=;\r\n" + body).encode())
    found = [(one.number, one.row) for one in rows(file)]
    assert facts(file).delimiter == ";"
    assert found == [
        (1, {"question": "Who, what, why?", "answer": "me"}),
        (2, {"question": "two\r\nlines", "answer": "yes"}),
    ]
    file.write_text('sep=;\nquestion;answer\nwho?;me\nwhat?;"it\n')
    with pytest.raises(DataError, match="line 4"):
        list(rows(file))
