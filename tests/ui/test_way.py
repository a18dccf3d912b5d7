"""The whole way in a real browser: a file is dropped, a goal chosen, rows and plan are looked at, a
run is trained and proved. Only this shows that each page leads to the next one.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="pip install 'tunesmith[serve]'")

from material.browser import chromium, served, violations
from tunesmith.storage.run_folder import RunFolder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no run is stopped there")

PATIENCE = 90
"""Seconds that a page may take where everything else on the machine is at work as well."""
DROP = """text => {
  const given = new DataTransfer();
  given.items.add(new File([text], "常见问题.csv"));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: given}));
}"""


@pytest.mark.slow
def test_from_a_dropped_file_to_a_proof(tmp_path: Path, tiny_llama: Path) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    shutil.copytree(tiny_llama, root / "tiny")
    rows = "问题,答案\n" + "".join(f"{n} 加一是几？,是 {n + 1}\n" for n in range(120))
    with chromium() as browser, served(root, "zh") as (link, _):
        look = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
        page = look.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        troubles: list[str] = []
        page.on("console", lambda said: troubles.append(said.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))

        def sound() -> None:
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, page.url
            assert violations(page) == [] and troubles == [], page.url

        page.goto(link)
        page.get_by_role("link", name="新建运行").click()
        page.wait_for_url("**/new/", wait_until="load")  # the script hears the drop
        page.evaluate(DROP, rows)
        page.get_by_text("已存为").wait_for()
        page.get_by_label("模型", exact=True).fill(str(root / "tiny"))
        page.get_by_text("训练", exact=True).click()
        page.get_by_label("train.epochs").fill("1")
        sound()
        press(page, "查看数据")
        page.get_by_text("模型实际看到的数据").wait_for()
        sound()
        assert page.locator("mark").first.inner_text().startswith("是 ")
        page.get_by_label("行号").fill("7")
        press(page, "显示")
        page.locator("figcaption", has_text="常见问题.csv:7").wait_for()
        page.get_by_role("link", name="继续：查看计划").click()
        page.get_by_text("这台机器容得下").wait_for()
        sound()
        press(page, "开始训练")
        page.wait_for_url("**/run/**")
        page.get_by_text("已完成", exact=True).wait_for()
        sound()
        page.get_by_role("link", name="检验").click()
        press(page, "检验这次运行")
        page.frame_locator("iframe.report").locator(".verdict .says").wait_for()
        sound()
    run = RunFolder(root / "常见问题")
    assert run.resolved().run.train.epochs == 1 and run.proof.is_file() and run.report.is_file()


def press(page: Any, name: str) -> None:
    """Presses a button by the keyboard."""
    page.get_by_role("button", name=name).focus()
    page.keyboard.press("Enter")
