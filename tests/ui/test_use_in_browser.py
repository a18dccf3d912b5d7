"""What is done with runs from the page, in a real browser with real models."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="pip install 'tunesmith[serve]'")

from material.browser import PATIENCE, Tab, chromium, served, violations
from material.proved import labelled, trained
from tunesmith.ui.works import Works

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no work is stopped there"),
]


ANY_BALLOT = re.compile("Which answer|are done")
GONE = "shown => document.querySelector('input[name=ballot]')?.value !== shown"
"""Whether another ballot is shown than that one, or none."""


@pytest.fixture
def place(tiny_llama: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder with an adapter and a fully trained run; what pages began there is ended."""
    root, rows = tmp_path / "runs", labelled(60)
    train = {"steps": 1, "keep": {"evaluate": 0, "save": 0}}
    data = {"path": str(tmp_path / "rows.json"), "held_out": 0.3}
    for name, method in (("adapter", "lora"), ("full", "full")):
        how: dict[str, Any] = {"method": method, "train": train, "data": data}
        trained(tmp_path, tiny_llama, rows, out=str(root / name), **how)
    yield root
    works = Works(root)
    for kind in ("serve", "prove", "export", "arena"):
        for one in works.running(kind):
            works.end(one)


def test_base_and_runs_answer_side_by_side_in_two_tabs(place: Path) -> None:
    with chromium() as browser, served(place, "zh") as (link, _):
        one, two = Tab(browser, link, 390, "dark"), Tab(browser, link, 1280, "light")
        page = one.page
        page.get_by_role("link", name="对话").click()
        for name in ("adapter", "full"):
            page.get_by_role("checkbox", name=name).check()
        one.is_well()
        page.get_by_role("button", name="开始对话").click()
        page.get_by_text("模型已加载").wait_for()
        two.page.goto(page.url)
        page.get_by_label("你的问题").focus()
        page.keyboard.type("red xyz")
        page.keyboard.press("Enter")
        for tab in (one, two):
            # Two runs and their one base; each has said how long it took.
            tab.page.wait_for_function(
                "() => document.querySelectorAll('.answer .label b').length === 3"
            )
            assert tab.page.get_by_text("red xyz").count() == 1
            tab.is_well()
        assert page.evaluate("document.activeElement.id") == "question"
        page.reload()
        assert page.locator(".answer").count() == 3
        page.get_by_role("link", name="服务").click()
        page.get_by_text("ts-").wait_for()
        one.is_well()
        page.get_by_role("button", name="停止服务").click()
        page.get_by_text("当前没有提供任何服务").wait_for()
        two.page.get_by_role("button", name="加载模型").wait_for()
        assert two.troubles == []


def test_a_proof_outlives_its_server_and_its_page_shows_it_again(place: Path) -> None:
    with chromium() as browser:
        with served(place, "en") as (link, server):
            page = Tab(browser, link, 1280, "light").page
            page.goto(link.partition("?")[0] + "proof/full/")
            page.get_by_role("button", name="Prove this run").click()
            page.get_by_text("Under way").wait_for()
            (proof,) = Works(place).all("prove")
            server.kill()
            page.get_by_text("the server was ended").wait_for()
        with served(place, "en") as (link, _):
            tab = Tab(browser, link, 1280, "light")
            tab.page.goto(link.partition("?")[0] + "proof/full/")
            tab.page.frame_locator("iframe.report").locator(".verdict .says").wait_for()
            tab.page.get_by_role("button", name="Prove this run").wait_for()
            tab.is_well()
    assert (proof.read("ended") or {})["problem"] == ""
    assert (place / "full" / "proof.json").is_file()


def test_an_export_says_whether_it_still_is_the_model(place: Path) -> None:
    with chromium() as browser, served(place, "en") as (link, _):
        tab = Tab(browser, link, 1280, "dark")
        page = tab.page
        page.goto(link.partition("?")[0] + "run/adapter/")
        page.get_by_role("link", name="Export").click()
        page.get_by_label("name of the export").fill("merged")
        tab.press("Export")
        page.locator("#export-merged summary").click()
        page.locator("#export-merged", has_text="answers").wait_for()
        tab.is_well()
    assert (place / "adapter" / "exports" / "merged" / "config.json").is_file()


def test_an_arena_is_begun_and_voted_on_by_keys(place: Path, tiny_llama: Path) -> None:
    for answer in ("yes", "no"):
        rows = [{**row, "output": answer} for row in labelled(80)]
        trained(place.parent, tiny_llama, rows, out=str(place / answer), method="full")
    with chromium() as browser, served(place, "en") as (link, _):
        tab = Tab(browser, link, 1280, "light")
        page = tab.page
        page.get_by_role("link", name="Arena").click()
        for name in ("yes", "no"):
            page.get_by_role("checkbox", name=name, exact=True).check()
        page.get_by_label("Prompts").fill("red xyz\ncat uvw\nsix wzu")
        tab.press("Let them answer")
        with page.expect_popup() as opened:
            page.get_by_role("link", name="Open the page on which you vote").click()
        vote = opened.value
        vote.set_default_timeout(1000 * PATIENCE)
        vote.wait_for_load_state()
        assert violations(vote) == []
        vote.keyboard.press("Enter")
        ballot = vote.locator('input[name="ballot"]')
        for key in cycle("1234"):
            vote.get_by_text(ANY_BALLOT).first.wait_for()
            if not ballot.count():
                break
            shown = ballot.input_value()
            vote.keyboard.press(key)
            vote.wait_for_function(GONE, arg=shown)
            vote.wait_for_load_state()
        page.get_by_text("What the votes show").wait_for()
        tab.is_well()
    (votes,) = place.glob("arenas/*/votes.jsonl")
    told = [json.loads(line)["vote"] for line in votes.read_text("utf-8").splitlines()]
    assert told == list(islice(cycle(["left", "right", "tie", "both_bad"]), len(told))) != []
