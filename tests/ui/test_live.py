"""A run is watched, stopped and resumed on its page, in a browser; the server may die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="pip install 'tunesmith[serve]'")

from material import runs
from material.browser import chromium, served, violations
from material.folders import bare, steps, write_lines
from tunesmith.storage.process import process_of
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no run is stopped there")

PATIENCE = 20
STAND_IN = """
import json, sys, time
from pathlib import Path
from tunesmith.machine.signals import StopSignal
from tunesmith.storage.process import named_in
from tunesmith.storage.run_folder import RunFolder

folder = RunFolder(Path(sys.argv[1]))
with StopSignal() as heard, folder.held(), named_in(folder.path):
    step = 20
    while heard.received is None:
        step += 1
        line = {"step": step, "loss": 1 / step, "epoch": step / 1000, "seconds": 0.1, "at": time.time()}
        with folder.record.open("a") as record:
            record.write(json.dumps(line) + "\\n")
        time.sleep(0.1)
"""
"""What a run does to its folder, without a model."""


def test_a_run_is_watched_and_stopped_in_a_browser(tmp_path: Path) -> None:
    folder = bare(tmp_path / "live")
    write_lines(folder.record, steps(20))
    bare(tmp_path / "before")  # where there are two, they can be chosen
    with (
        chromium() as browser,
        subprocess.Popen([sys.executable, "-c", STAND_IN, str(folder.path)]) as run,
        served(tmp_path, "zh") as (link, server),
    ):
        try:
            look = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
            page = look.new_page()
            page.set_default_timeout(1000 * PATIENCE)
            troubles: list[str] = []
            page.on("console", lambda said: troubles.append(said.text))
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.goto(link)
            assert page.locator("html").get_attribute("lang") == "zh-CN"
            assert fits(page) and violations(page) == []
            choose = page.get_by_role("checkbox", name="选择 live")
            choose.focus()
            page.keyboard.press("Space")
            page.wait_for_function("() => /@\\d\\d/.test(document.body.textContent)")
            time.sleep(1.2)  # the table has changed twice under it
            assert choose.is_checked()
            assert choose.evaluate("one => one === document.activeElement")
            page.get_by_role("link", name="live").click()
            page.get_by_text("训练中").wait_for()
            assert fits(page) and violations(page) == []
            server.kill()
            page.get_by_text("服务已结束").wait_for()
            assert run.poll() is None  # a run is nobody's child
            with served(tmp_path, "zh") as (again, _):
                page.goto(again)
                page.get_by_role("link", name="live").click()
                page.get_by_text("训练中").wait_for()
                stopped_by_keyboard(page, run)
            # What went with the first server is what the browser complained of.
            assert {one for one in troubles if "ERR_CONNECTION" not in one} == set()
        finally:
            run.kill()


def stopped_by_keyboard(page: Any, run: subprocess.Popen[bytes]) -> None:
    """The button keeps the focus while the page changes, and stops the run."""
    button = page.get_by_role("button", name="停止")
    button.focus()
    time.sleep(1.2)  # the page has changed twice under it
    assert button.evaluate("one => one === document.activeElement")
    page.keyboard.press("Enter")
    assert run.wait(PATIENCE) == 0
    page.get_by_role("button", name="继续训练").wait_for()
    assert fits(page) and violations(page) == []


def fits(page: Any) -> bool:
    """Whether nothing is wider than the phone."""
    return page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_a_resumed_run_outlives_the_server_and_ends(tmp_path: Path, tiny_llama: Path) -> None:
    """Only a real run shows that it names its process, goes on from the page, and is nobody's
    child.
    """
    out = tmp_path / "runs" / "a"

    def stop_at_four(line: dict[str, Any]) -> None:
        assert process_of(out) is not None
        if line["step"] == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    def begun() -> None:
        train(runs.resolved(out, tiny_llama), events=runs.on_step(stop_at_four))

    folder = RunFolder(out)
    assert runs.in_child(begun) == 75 and process_of(out) is None
    import httpx

    with (
        served(tmp_path / "runs", "en") as (link, server),
        httpx.Client(follow_redirects=True, timeout=PATIENCE, trust_env=False) as client,
    ):
        client.get(link)
        base = link.partition("?")[0]
        answer = client.post(f"{base}run/a/resume", headers={"origin": base.rstrip("/")})
        assert "Starting again" in answer.text
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 0
    until = time.monotonic() + 60
    while not (folder.model / "tunesmith.json").is_file() and time.monotonic() < until:
        time.sleep(0.1)
    steps_made = [line["step"] for line in folder.steps() if "loss" in line]
    assert steps_made == list(range(1, 11)), (out / ".resumed.txt").read_text()
    assert json.loads((folder.model / "tunesmith.json").read_text())["step"] == 10
