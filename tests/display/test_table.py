"""Tables of the terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tunesmith.display.table import table_lines
from tunesmith.words import Share, use


def test_columns_are_aligned_by_what_a_terminal_shows() -> None:
    rows = [["方法", "exact", "note"], ["lora", "0.5", "好"], ["提示", "12.25", ""]]
    lines = table_lines(rows, numbers=1)
    assert lines == [
        "  方法  exact  note",
        "  lora    0.5  好",
        "  提示  12.25",
    ]
    # Numbers end in one place, though a Chinese sign is two cells wide.
    ends = [
        line.index(number) + len(number) for line, (_, number, _) in zip(lines, rows, strict=True)
    ]
    assert {cell_len(line[:end]) for line, end in zip(lines, ends, strict=True)} == {13}


@pytest.mark.parametrize(("lang", "share"), [("en", "30 %"), ("zh", "30%")])
def test_shares_are_written_as_in_the_language(lang: str, share: str) -> None:
    use(lang)
    rows = [["method", "share", "a user's words"], ["lora", Share("30 %"), "30 %"]]
    assert table_lines(rows, numbers=1)[1].split()[1:] == [*share.split(), "30", "%"]
