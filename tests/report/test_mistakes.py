"""The page shows where a run is wrong, with the numbers of its proof, and an old proof without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from material.folders import analysed, full
from material.page import Page
from tunesmith.report.build import build


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (
            "en",
            [
                "label = ABBR 25 0.0 % 100.0 %",
                "By chance alone about",
                "ABBR ENTY 25 0",
                "label = ABBR weaker 83 83",
            ],
        ),
        (
            "zh",
            [
                "标签 = ABBR 25 0.0% 100.0%",
                "仅凭偶然",
                "ABBR ENTY 25 0",
                "label = ABBR 更弱 83 83",
            ],
        ),
    ],
)
def test_slices_pairs_and_what_to_collect(tmp_path: Path, language: str, told: list[str]) -> None:
    page = Page(build(analysed(tmp_path / "trec"), lang=language).read_text(encoding="utf-8"))
    for text in told:
        assert text in page.text


def test_a_proof_from_before_has_no_such_section(tmp_path: Path) -> None:
    assert "By slice" not in Page(build(full(tmp_path / "trec"), lang="en").read_text("utf-8")).text
