"""What is done with runs from the page, in a real browser with real models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="pip install 'tunesmith[serve]'")

from material.browser import Tab, chromium, served
from material.proved import labelled, trained
from tunesmith.ui.works import Works

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no work is stopped there"),
]


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
