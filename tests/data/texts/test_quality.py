"""The rules of C4 for pages, and repeats."""

from __future__ import annotations

import pytest

from tunesmith.data.texts.quality import broken_c4_rule, repeated_share

WHOLE = "This is a whole sentence. Here is one more of them. And this line ends the page."
CHINESE = "今天的天气很好。我们一起去公园散步吧！明天也许会下雨？"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (WHOLE, None),
        (CHINESE, None),
        (WHOLE + " Lorem ipsum dolor.", "placeholder"),
        ("if (a) { b }. " + WHOLE, "braces"),
        (WHOLE + " Please enable JavaScript.", "script"),
        ("Two sentences are here. They are too few of them.", "sentences"),
        ("Menu.\nHome.\nAbout us.\nContact.", "sentences"),  # lines of fewer than five words
        (WHOLE.replace(".", ","), "sentences"),
        ("One of them waits... And so does this one... And they go on...", "sentences"),
        (CHINESE + "他们一直在等……", "sentences"),
    ],
)
def test_the_first_rule_that_a_page_breaks(text: str, rule: str | None) -> None:
    assert broken_c4_rule(text) == rule


def test_the_share_that_is_repeated() -> None:
    five = "one two three four five "
    assert repeated_share(five) == 0
    assert repeated_share(five * 2) == pytest.approx(1 / 2)
    assert repeated_share(five * 4) == pytest.approx(3 / 4)
    ten = "天地玄黄宇宙洪荒日月"
    assert repeated_share(ten * 2) == pytest.approx(1 / 2)
    assert repeated_share(ten[:5] * 2 + ten[5:]) == 0, "five Chinese signs are no run"
    assert repeated_share("ha" * 200) > 0.9, "a word of 400 letters is a loop"
    assert repeated_share("哈" * 200) > 0.9
    assert repeated_share("https://example.com/" + "abcdefghijklmnopqrstuvwxyz0123456789") == 0
