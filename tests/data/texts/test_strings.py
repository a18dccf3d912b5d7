"""The texts within a row are found and changed wherever they stand, and words of a format are not."""

from __future__ import annotations

from tunesmith.data.texts.strings import changed, changed_row, strings

ROW = {
    "messages": [{"role": "user", "content": "ask"}, {"from": "a@b.example", "value": ("say", 7)}],
    "phone": 13800138000,
    "count": 12,
    "done": True,
}


def test_every_text_is_found_and_no_word_of_a_format() -> None:
    assert list(strings(ROW)) == ["ask", "a@b.example", "say", "13800138000"]


def test_each_is_changed_in_its_place() -> None:
    made = changed(ROW, str.upper)
    assert made == {
        "messages": [
            {"role": "user", "content": "ASK"},
            {"from": "A@B.EXAMPLE", "value": ["SAY", 7]},
        ],
        "phone": 13800138000,
        "count": 12,
        "done": True,
    }
    assert changed(13800138000, lambda text: text[:3] + "*") == "138*"


def test_only_the_named_columns_are_changed() -> None:
    row = {"a": "x", "b": "y"}
    assert changed_row(row, str.upper, ["b"]) == {"a": "x", "b": "Y"}
    assert changed_row(row, str.upper) == {"a": "X", "b": "Y"}
