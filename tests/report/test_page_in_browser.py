"""The pages in a real browser, as they are written: nothing wider than a phone, no label cut off, no
error, nothing that axe-core finds hard to read or without a name, in light and dark; and on paper
everything, in light colours.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from material.browser import Tab, chromium
from material.folders import analysed, full, proof, write
from material.wide_pages import PAGES
from tunesmith import api, words
from tunesmith.report.build import build
from tunesmith.storage.run_folder import RunFolder

CUT_OFF = """() => {
  const found = [];
  for (const cell of document.querySelectorAll(".scroll tbody td:first-child, .paired > div:first-child"))
    if (cell.getBoundingClientRect().height > 3.2 * 16 * 1.6) found.push("tall " + cell.textContent.trim());
  for (const table of document.querySelectorAll(".scroll"))
    if (table.scrollWidth > table.clientWidth + 1) found.push("hidden " + table.textContent.trim().slice(0, 40));
  for (const option of document.querySelectorAll(".option"))
    if (option.getClientRects().length > 1) found.push("broken " + option.textContent);
  for (const text of document.querySelectorAll("svg text")) {
    const box = text.getBoundingClientRect(), all = text.ownerSVGElement.getBoundingClientRect();
    if (box.left < all.left - 1 || box.right > all.right + 1) found.push("cut " + text.textContent);
  }
  return found;
}"""
WORDS = """() => {
  document.querySelector("nav")?.remove();
  const found = [], texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) found.push(...texts.currentNode.data.split(/\\s+/));
  return found;
}"""
BROKEN = """() => {
  const found = [], range = document.createRange();
  for (const head of document.querySelectorAll("table:not(.confusion) th")) {
    const texts = document.createTreeWalker(head, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) for (const word of texts.currentNode.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) found.push(word[0]);
    }
  }
  return found;
}"""
"""Words of heads that stand on two lines; only the many heads of confusions may."""
PAPER = 680
"""Pixels between the margins of A4: 210 mm less 15 mm on each side, at 96 an inch."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


def wrong(browser: Any, page: Path, width: int, scheme: str, media: str = "screen") -> list[str]:
    """What is wrong with a page as it stands in its file, its own policy included."""
    tab = Tab(browser, "", width, scheme)
    tab.page.emulate_media(media=media)
    tab.page.goto(page.as_uri())
    told = [*tab.wrong(), *tab.page.evaluate(CUT_OFF)]
    found = [one for one in told if one != page.as_uri()]  # it may ask for itself, and nothing else
    dark = tab.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert dark == (scheme == "dark"), "these are not the colours that are tested"
    tab.page.context.close()
    return found


@pytest.mark.parametrize(
    ("language", "width", "scheme"),
    # Each took 5 to 8 s.
    [
        pytest.param("en", 390, "light", marks=pytest.mark.slow),
        ("zh", 390, "dark"),
        pytest.param("en", 1280, "dark", marks=pytest.mark.slow),
        pytest.param("zh", 1280, "light", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_cut_off_or_hard_to_read(
    browser: Any, tmp_path: Path, language: str, width: int, scheme: str
) -> None:
    page = build(analysed(tmp_path / "trec"), lang=language)
    assert "Content-Security-Policy" in page.read_text(encoding="utf-8")
    assert wrong(browser, page, width, scheme) == []


def compared(place: Path, language: str) -> Path:
    """The page that compares three runs."""
    runs = [full(place / f"a-run-with-a-long-name-{n}", train={"seed": n}) for n in range(3)]
    for folder in runs:
        write(folder.proof, proof() | {"seed": 1})
    words.use(language)
    api.compare(runs, page=place / "compare.html")
    return place / "compare.html"


@pytest.mark.parametrize(
    ("language", "width", "scheme"),
    [("en", 390, "dark"), pytest.param("zh", 1280, "light", marks=pytest.mark.slow)],
)
def test_nor_is_anything_where_runs_are_compared(
    browser: Any, tmp_path: Path, language: str, width: int, scheme: str
) -> None:
    assert wrong(browser, compared(tmp_path, language), width, scheme) == []


def classified(place: Path) -> RunFolder:
    """A run folder with everything, and the confusions of 20 classes with long names."""
    folder, count = analysed(place), 20
    names = [f"a class with a long name {n}" for n in range(count)]
    each = [{"label": one, "precision": 0.5, "recall": 0.5, "f1": 0.5, "rows": 9} for one in names]
    confusion = [[100 * (k == n) + k for k in range(count)] for n in range(count)]
    found = folder.read(folder.proof)
    assert found is not None
    write(folder.proof, found | {"classes": {"tuned": {"table": each, "confusion": confusion}}})
    return folder


def to_print(place: Path, kind: str, language: str) -> Path:
    """The page of a run with everything, that of runs compared, or another of several runs."""
    if kind == "run":
        return build(classified(place / "trec"), lang=language)
    if kind == "compared":
        return compared(place, language)
    words.use(language)
    return PAGES[kind](place)


def on_paper(browser: Any, page: Path) -> tuple[list[str], list[str]]:
    """The words of each sheet of A4 that a person in the dark prints, and those that the page has
    to say: all but its way around itself, with what is folded.
    """
    tab = Tab(browser, "", 1280, "dark")
    tab.page.goto(page.as_uri())
    told = tab.page.evaluate(WORDS)
    sheets = PdfReader(io.BytesIO(tab.page.pdf(format="A4"))).pages
    tab.page.context.close()
    return [sheet.extract_text() for sheet in sheets], told


def letters(text: str) -> str:
    """A text without what printing changes: spaces, where a word is broken, joined letters."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "compared", *PAGES])
def test_on_paper_nothing_is_missing_and_no_sheet_is_empty(
    browser: Any, tmp_path: Path, kind: str
) -> None:
    sheets, told = on_paper(browser, to_print(tmp_path, kind, "en"))
    printed = letters("".join(sheets))
    assert [word for word in told if letters(word) not in printed] == []
    assert min(len(letters(text)) for text in sheets) > 60


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", *PAGES])
def test_on_paper_no_head_is_broken_within_a_word(browser: Any, tmp_path: Path, kind: str) -> None:
    tab = Tab(browser, "", PAPER, "light")
    tab.page.emulate_media(media="print")
    tab.page.goto(to_print(tmp_path, kind, "en").as_uri())
    broken = tab.page.evaluate(BROKEN)
    tab.page.context.close()
    assert broken == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*PAGES])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_of_several_runs_are_read_on_every_screen(
    browser: Any, tmp_path: Path, kind: str, width: int
) -> None:
    """Wide tables may be moved there, by keys as well, and settings may be long."""
    told = wrong(browser, to_print(tmp_path, kind, "en"), width, "dark")
    assert [one for one in told if not one.startswith(("hidden ", "tall "))] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "compared", *PAGES])
def test_on_paper_colours_are_light_and_nothing_is_wider(
    browser: Any, tmp_path: Path, kind: str
) -> None:
    page = to_print(tmp_path, kind, "zh")
    assert wrong(browser, page, PAPER, "dark", "print") == []
    tab = Tab(browser, "", PAPER, "dark")
    tab.page.emulate_media(media="print")
    tab.page.goto(page.as_uri())
    look = tab.page.evaluate(
        "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
    )
    tab.page.context.close()
    assert look == ["rgb(17, 17, 17)", "rgb(255, 255, 255)"]


def test_a_pale_text_is_found(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "pale.html"
    pale = '<p style="color: #bbb; background: #fff">hard to read</p>'
    page.write_text(
        f'<!doctype html><html lang="en"><head><title>pale</title></head>'
        f"<body><main><h1>a</h1>{pale}</main></body></html>"
    )
    assert wrong(browser, page, 390, "light")[0].startswith("color-contrast")


def test_what_asks_a_network_or_runs_a_script_is_found(browser: Any, tmp_path: Path) -> None:
    page = build(full(tmp_path / "trec"), lang="en")
    html = page.read_text(encoding="utf-8")
    script = "<script>document.title = 'ran'</script>"
    page.write_text(html.replace("<main>", f"<main>{script}", 1), encoding="utf-8")
    assert any("Content Security Policy" in one for one in wrong(browser, page, 390, "light"))
