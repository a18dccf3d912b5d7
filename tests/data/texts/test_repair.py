"""Damaged texts come back, and sound ones stay what they are."""

from __future__ import annotations

import pytest

from conftest import SHARED_DATA
from tunesmith.data.files.sources import rows
from tunesmith.data.texts.quality import broken_rule, repeated_share
from tunesmith.data.texts.repair import (
    evenly_spaced,
    mended,
    plain_width,
    without_tags,
    without_unseen,
)
from tunesmith.data.texts.script import script_of


def answers(*names: str) -> list[str]:
    found: list[str] = []
    for name in names:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"there is no {path}")
        for located in rows(path):
            found += [located.row["output"]] if located.row.get("output") else []
    return found


def test_sound_texts_stay_as_they_are() -> None:
    texts = answers("medical_llama_zh/llama_data.json", "alpaca_en/alpaca_en_demo.json")
    assert len(texts) > 3000
    assert [text for text in texts if mended(text) != text] == []


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_a_wrong_encoding_is_undone(encoding: str) -> None:
    texts = answers("medical_llama_zh/llama_data.json")[:300]
    back = [mended(text.encode(encoding, "ignore").decode("latin-1")) for text in texts]
    same = sum(
        one == text.encode(encoding, "ignore").decode(encoding)
        for one, text in zip(back, texts, strict=True)
    )
    assert same >= 297


@pytest.mark.parametrize(
    "text", ["café naïve", "Ünïcödé Größe", "«à la carte»", "£5 ± 2°C", "ÄÖÜ äöü ß"]
)
def test_accents_are_no_damage(text: str) -> None:
    assert mended(text) == text


def test_tags_go_and_other_brackets_stay() -> None:
    text = "<p>Hello&nbsp;<b>you</b></p><script>x()</script><ul><li>one</li><li>two</li></ul>"
    assert without_tags(text).split() == ["Hello", "you", "one", "two"]
    for kept in (
        "a<b and c>d",
        "<think>why</think>",
        "<image>",
        "<|im_end|>",
        "if (a<b && b>c)",
        "```\n<p>code</p>\n```",
    ):
        assert without_tags(kept) == kept


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<table><tr><td>12</td><td nowrap>3</td></tr></table>", "12 | 3"),
        ("Hello<p>world<p class='x'>again", "Hello\nworld\nagain"),
        ("<ul><li>one<li>two</ul>", "one\ntwo"),
        ("<b>one</b><div>two</div>", "one\ntwo"),
        ("a<!-- unseen\n --><input disabled>b", "ab"),
        ("<!DOCTYPE html><p>你好&nbsp;世界", "你好 世界"),
        ("/?id=1&copy=2&reg_x=3&lang=en", "/?id=1&copy=2&reg_x=3&lang=en"),
        ("&copy 2020, AT&T, R&D; &unknown;", "© 2020, AT&T, R&D; &unknown;"),
        ("if a <b and c> d", "if a <b and c> d"),
    ],
)
def test_what_tags_part_stays_apart_and_an_address_stays_whole(text: str, read: str) -> None:
    assert without_tags(text).strip() == read


def test_unseen_signs_go_and_joiners_stay() -> None:
    assert without_unseen("a\u200bb\ufeffc\x00d\u202ee") == "abcde"
    assert without_unseen("e\u0301") == "é"
    family, persian = "👩\u200d👩\u200d👧", "می\u200cخواهم"
    assert without_unseen(family) == family and without_unseen(persian) == persian
    assert without_unseen("a\tb\nc") == "a\tb\nc"


def test_width_and_spaces() -> None:
    assert plain_width("ＡＢＣ１２３，好！") == "ABC123，好！"
    assert evenly_spaced("a  \r\n\r\n\n\nb\n") == "a\n\nb"


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("今天天气很好", "zh"),
        ("今日はいい天気です", "ja"),
        ("오늘 날씨", "ko"),
        ("Good day", "latin"),
        ("Добрый день", "cyrillic"),
        ("我用Python写了hello", "zh"),
        ("123", None),
    ],
)
def test_scripts(text: str, script: str | None) -> None:
    assert script_of(text) == script


def test_repetition() -> None:
    assert repeated_share("我很好" * 20) > 0.9
    assert repeated_share("床前明月光，疑是地上霜。举头望明月，低头思故乡。") == 0.0
    assert repeated_share("the cat sat on the mat and " * 8) > 0.8


def test_gophers_rules() -> None:
    page = " ".join(
        f"The {number} houses of the village have been there for years, and people say that they want to stay with them."
        for number in ("seven", "eight", "nine", "ten")
    )
    assert broken_rule("too short") == "words"
    assert broken_rule(page.replace("The", "the")) in (None, "grams")
    assert broken_rule(" ".join(["xyzzy"] * 60)) == "stop_words"
    assert broken_rule("\n".join(["the same line of words is here to stay"] * 10)) == "lines"
    assert broken_rule(" ".join(f"#tag{n} the and" for n in range(30))) == "marks"
