"""What a page draws can be told from what it is drawn on, in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2", reason="pip install 'tunesmith[serve]'")

import tunesmith
from tunesmith.ui.drawn import GAP, NARROWEST, laid

PLACE = Path(tunesmith.__file__).parent
REPORT = (PLACE / "report" / "style.css.j2").read_text("utf-8")
PAGES = (PLACE / "ui" / "new.css").read_text("utf-8")
PAINTED = re.compile(r"(?m)(?:^|(?<=\} ))([^{}\n]*?) \{ (?:fill|background): var\(--(\w+)\); \}")
LEAST = 3.0
"""The contrast that WCAG 2.1 (1.4.11) asks of what is drawn."""


def colours(dark: bool) -> dict[str, str]:
    """The colours of the pages by name."""
    light, night = re.findall(r":root \{([^}]*)\}", REPORT)[:2]
    return dict(re.findall(r"--([\w-]+): (#\w{6});", night if dark else light))


def brightness(colour: str) -> float:
    """The relative luminance of a colour."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return sum(share * one for share, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21."""
    dark, light = sorted((brightness(one), brightness(other)))
    return (light + 0.05) / (dark + 0.05)


def painted(style: str, kind: str) -> dict[str, str]:
    """The names of the colours by what they paint, of rules whose name begins with ``kind``."""
    return {rule: name for rule, name in PAINTED.findall(style) if rule.startswith(kind)}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_each_part_of_a_bar_is_seen(dark: bool) -> None:
    known = colours(dark)
    parts = {**painted(PAGES, "rect.m-"), **painted(PAGES, ".part."), **painted(PAGES, ".column")}
    assert len(parts) == 13
    found = {
        f"{part} on {ground}": round(contrast(known[name], known[ground]), 2)
        for part, name in parts.items()
        for ground in ("tint", "paper")
    }
    assert {pair: seen for pair, seen in found.items() if seen < LEAST} == {}


@pytest.mark.parametrize("sizes", [(90.0, 0.1, 9.9), (20.0, 1.0, 0.2, 0.1, 5.0), (99.9, 0.1)])
def test_the_smallest_part_of_a_bar_is_seen_and_none_lies_beyond_its_end(sizes: Any) -> None:
    parts = laid([(str(number), size) for number, size in enumerate(sizes)])
    assert [style for style, _, _ in parts] == [str(number) for number in range(len(sizes))]
    place = 0.0
    for (_, x, width), size in zip(parts, sizes, strict=True):
        assert x == pytest.approx(place) and 5 < width < 10 * size + NARROWEST
        place = x + width + GAP
    assert sum(sizes) < 99 or place == pytest.approx(1000)


def test_what_a_bar_shows_has_the_colour_of_its_name() -> None:
    bars, names = painted(PAGES, "rect.m-"), painted(PAGES, "i.m-")
    assert {part.removeprefix("rect"): colour for part, colour in bars.items()} == {
        part.removeprefix("i"): colour for part, colour in names.items()
    }
    assert len(set(bars.values())) == len(bars) == 7
    shares, told = painted(PAGES, ".part."), painted(REPORT, ".")
    for part, colour in shares.items():
        assert told[part.removeprefix(".part")] == colour
    assert len(set(shares.values())) == len(shares) == 5
