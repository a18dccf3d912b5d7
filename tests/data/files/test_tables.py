"""Tables as text: what stands between the cells, and whether the first row names the columns."""

from __future__ import annotations

import pytest

from tunesmith.data.files.tables import delimiter_of, has_header


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
