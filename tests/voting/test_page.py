"""The page on which people vote, by a real server process: in a browser, with keys alone, and with
nothing on it that says whose an answer is.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("uvicorn", reason="pip install 'tunesmith[serve]'")

from material.browser import chromium
from material.voted import NAMES, arena_of
from tunesmith.voting.comparison import Comparison
from tunesmith.voting.folder import Item
from tunesmith.voting.page import Page

PATIENCE = 20


@pytest.fixture(params=["en"])
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Comparison, str, Any]]:
    """An arena, the link to its page, and the process."""
    found = arena_of(tmp_path / "arena", prompts=8, twice=0.25)
    words = [sys.executable, "-u", "-m", "tunesmith", "arena", str(tmp_path / "arena")]
    words += ["--lang", request.param]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as one:
        assert one.stdout is not None
        told = one.stdout.readline()
        link = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", told)
        assert link is not None, told + one.stdout.read()
        yield found, link[0], one
        one.kill()


def test_a_page_is_voted_on_without_a_script_and_ends_well(served: tuple[Comparison, str, Any]):
    found, link, process = served
    with httpx.Client(follow_redirects=True, timeout=PATIENCE, trust_env=False) as client:
        first = client.get(link)
        assert "Decisive votes" in first.text and "start=1" in first.text
        base = link.partition("?")[0]
        origin = {"origin": base.rstrip("/")}
        page = client.get(f"{base}?start=1")
        seen = [first.text, page.text]
        for choice in ("left", "skip", "both_bad"):
            ballot = re.search(r'name="ballot" value="([^"]+)"', page.text)
            assert ballot is not None
            form = {"ballot": ballot[1], "choice": choice}
            page = client.post(f"{base}vote", data=form, headers=origin)
            seen.append(page.text)
        votes = found.votes.read()
        assert [vote.choice for vote in votes] == ["left", "skip", "both_bad"]
        assert [vote.ballot.id for vote in votes] == [one.id for one in found.ballots[:3]]
        assert all(vote.seconds is not None and vote.seconds < PATIENCE for vote in votes)
        for form in (
            {"ballot": "99", "choice": "left"},
            {"ballot": found.ballots[0].id, "choice": "A"},
            {},
        ):
            assert client.post(f"{base}vote", data=form, headers=origin).status_code == 400
        assert client.post(f"{base}vote", content=b"x" * 20_000, headers=origin).status_code == 400
        assert client.get(f"{base}arena.json").status_code == 404
        assert client.get(f"{base}arena.css").headers["content-type"].startswith("text/css")
        assert len(found.votes.read()) == 3
        told = "".join(seen)
        assert not any(name in told for name in NAMES) and "8 prompts" in told
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert "--result" in process.stdout.read()


def test_what_a_model_wrote_is_text_and_no_page(tmp_path: Path):
    found = arena_of(tmp_path)
    nasty = "<script>alert(1)</script>\n<img src=x onerror=alert(2)> \ud800"
    items = [Item("1", [{"role": "user", "content": nasty}], {0: nasty, 1: "plain & simple"})]
    facts = {"contenders": list(NAMES), "settings": found.settings, "left": {}}
    found.folder.write_items(items, facts)
    page = Page(Comparison(found.folder.path), "me")
    html = page._page(
        {
            "done": 0,
            "total": 1,
            "ballot": "1",
            "turns": items[0].messages,
            "keys": {},
            "answers": list(items[0].answers.values()),
            "before_this": None,
        }
    ).body
    assert (
        b"<script>alert" not in html
        and b"&lt;script&gt;alert(1)" in html
        and b"plain &amp;" in html
    )


@pytest.fixture
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.mark.parametrize("served", ["zh"], indirect=True)
@pytest.mark.slow  # 6 s
def test_keys_alone_vote_in_a_browser(served: tuple[Comparison, str, Any], browser: Any):
    found, link, _ = served
    page = browser.new_page(viewport={"width": 375, "height": 700})
    page.set_default_timeout(1000 * PATIENCE)
    troubles: list[str] = []
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(link)
    assert "token" not in page.url and page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.wait_for_load_state()
    page.keyboard.press("Enter")
    total = len(found.ballots)
    for place, key in enumerate("1234s" + "1" * (total - 5)):
        page.get_by_text(f"已完成 {place}/{total}").wait_for()
        if place == 0:
            assert page.evaluate("document.documentElement.scrollWidth") <= 375
            assert page.get_by_role("button").count() == 5
        if place == 2:  # think again about the last one
            page.get_by_text("修改上一票").click()
            page.locator(f'input[value="{found.ballots[1].id}"]').wait_for(state="attached")
            page.wait_for_load_state()
            page.keyboard.press("4")
            page.get_by_text(f"已完成 {place}/{total}").wait_for()
            page.locator(f'input[value="{found.ballots[2].id}"]').wait_for(state="attached")
        page.wait_for_load_state()
        page.keyboard.press(key)
    page.get_by_text("全部完成").wait_for()
    choices = {vote.ballot.id: vote.choice for vote in found.votes.read()}
    wanted = ["left", "both_bad", "tie", "both_bad", "skip"] + ["left"] * (total - 5)
    assert [choices[one.id] for one in found.ballots] == wanted
    assert troubles == []
    page.close()
