"""What every page does with a share and with an option of a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from markupsafe import Markup

from tunesmith.pages.templates import templates, unbroken
from tunesmith.words import Share, say


@pytest.mark.parametrize(("lang", "share"), [("en", "30.0 %"), ("zh-CN", "30.0%"), ("zh", "30.0%")])
def test_a_share_is_written_as_in_the_language_of_the_page(
    lang: str, share: str, tmp_path: Path
) -> None:
    text = "<td>{{ cell }}</td>{{ 0.03 | share }} {{ answer }} {{ number }}"
    (tmp_path / "a.j2").write_text(text, "utf-8")
    page = templates(tmp_path).get_template("a.j2")
    told = page.render(lang=lang, cell=Share("30.0 %"), answer="30 %", number=4)
    alone = "3 %" if lang == "en" else "3%"
    assert told == f"<td>{share}</td>{alone} 30 % 4"


def test_an_option_within_a_text_stays_on_one_line_and_the_text_stays_text() -> None:
    told = say("prove.of_last", step=3, by="loss", best=2, last=3)
    page = unbroken(told)
    assert page.count('<span class="option">--which best</span>') == 1
    assert Markup(page).striptags() == told
    assert unbroken("<b> a--b 加--x-y") == ('&lt;b&gt; a--b 加<span class="option">--x-y</span>')
    assert unbroken("a – b, -- c") == "a – b, -- c"
