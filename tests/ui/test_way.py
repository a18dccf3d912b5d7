"""The whole way in a real browser: files are dropped, a goal chosen, questions written, rows and plan
looked at, a run is trained, proved, and proved on another file. Only this shows that each page leads
to the next one.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="pip install 'tunesmith[serve]'")

from material.browser import Tab, chromium, served
from tunesmith.storage.run_folder import RunFolder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no run is stopped there")


@pytest.mark.slow
def test_from_a_dropped_file_to_a_proof(tmp_path: Path, tiny_llama: Path) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    shutil.copytree(tiny_llama, root / "tiny")
    rows = "问题,答案\n" + "".join(f"{n} 加一是几？,是 {n + 1}\n" for n in range(120))
    (root / "data").mkdir()
    for name, first in (("more", 200), ("exam", 300)):
        told = "".join(f"{n} 再加一是几？,是 {n + 1}\n" for n in range(first, first + 30))
        (root / "data" / f"{name}.csv").write_text("问题,答案\n" + told, "utf-8")
    with chromium() as browser, served(root, "zh") as (link, _):
        tab = Tab(browser, link, 390, "dark")
        page = tab.page
        page.get_by_role("link", name="新建运行").click()
        page.wait_for_url("**/new/", wait_until="load")  # the script hears the drop
        tab.drop("常见问题.csv", rows)
        page.get_by_text("已存为").wait_for()
        page.get_by_text("多个文件", exact=True).click()
        page.get_by_label("文件 2", exact=True).fill(str(root / "data" / "more.csv"))
        page.get_by_text("自己的问题", exact=True).click()
        page.get_by_label("每行一个问题").fill("7 加一是几？")
        page.get_by_label("模型", exact=True).fill(str(root / "tiny"))
        page.get_by_text("训练", exact=True).click()
        page.get_by_label("train.epochs").fill("1")
        tab.is_well()
        tab.press("查看数据")
        page.get_by_text("模型实际看到的数据").wait_for()
        tab.is_well()
        assert page.locator("mark").first.inner_text().startswith("是 ")
        page.get_by_label("行号").fill("7")
        tab.press("显示")
        page.locator("figcaption", has_text="常见问题.csv:7").wait_for()
        page.get_by_role("link", name="继续：查看计划").click()
        page.get_by_text("这台机器容得下").wait_for()
        tab.is_well()
        tab.press("开始训练")
        page.wait_for_url("**/run/**")
        page.get_by_text("已完成", exact=True).wait_for()
        tab.is_well()
        page.get_by_role("link", name="检验这次运行").click()
        tab.press("检验这次运行")
        page.frame_locator("iframe.report").locator(".verdict .says").wait_for()
        tab.is_well()
        page.get_by_text("检验内容").click()
        page.get_by_label("另一个文件里的数据").fill(str(root / "data" / "exam.csv"))
        tab.press("检验这次运行")
        page.locator("#proof-exam summary").click()
        page.locator("#proof-exam", has_text="exam.csv").wait_for()
        tab.is_well()
    run = RunFolder(root / "常见问题")
    assert run.resolved().run.train.epochs == 1 and run.proof.is_file() and run.report.is_file()
    assert "7 加一是几" in run.questions.read_text("utf-8")
    assert (run.path / "proofs" / "exam" / "proof.json").is_file()
