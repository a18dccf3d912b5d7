"""Faults put into real rows are found at the rates that the docs print."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIGURE = re.compile(r"\d+")
RECALL = re.compile(r": (\d+) of (\d+), ")


def rates(line: str) -> list[int]:
    """The figures of a table's line, in the order of "found of all"; English groups thousands by
    spaces, and Chinese says "of all, found".
    """
    text = re.sub(r"(?<=\d) (?=\d{3}\b)", "", line)
    text = re.sub(r"(\d+) [行条]中 (\d+) [行条]", r"\2 of \1", text)
    return [int(figure) for figure in FIGURE.findall(text)]


@pytest.mark.slow  # half a minute: copies of 1 000 rows, leaks, words, 5 000 labels, 2 600 rows with a value
def test_the_docs_print_what_the_command_prints(shared_data: Path, tmp_path: Path) -> None:
    lines = runpy.run_path(str(ROOT / "benchmarks" / "faults.py"))["tables"](shared_data, tmp_path)
    tabled = [rates(line) for line in lines if line.startswith("| ") and " of " in line]
    recalls = [found.groups() for found in map(RECALL.search, lines) if found]
    assert len(tabled) == 19 and len(recalls) == 16
    for language in ("en", "zh"):
        page = (ROOT / "docs" / language / "data.md").read_text(encoding="utf-8")
        printed = [rates(line) for line in page.splitlines() if line.startswith("|")]
        assert [figures for figures in tabled if figures not in printed] == []
        told = "{0} of {1}" if language == "en" else "{1} 个中 {0} 个"
        assert [each for each in recalls if told.format(*each) not in page] == []
