"""The pages in a real browser, as people come to them: by keyboard alone, over a slow network, with
a full disk, with a wrong file, without scripts, while a run disappears.
"""

from __future__ import annotations

import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("uvicorn", reason="pip install 'tunesmith[serve]'")

from material.browser import PATIENCE, Tab, chromium, served
from material.folders import bare, full, write
from material.small_disk import small_disk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no run is stopped there"),
]
ROWS = "question,answer\n" + "".join(f"what is {n}?,it is {n + 1}\n" for n in range(40))

TWICE = """() => {
  let through = 0;
  addEventListener("submit", (event) => { through += !event.defaultPrevented; });
  for (const _ of [1, 2]) document.getElementById("new").requestSubmit();
  return through;
}"""
"""Sends the form twice at once; says how often it went."""


CUT = """() => Object.fromEntries([...document.querySelectorAll("[placeholder]")]
  .filter((one) => one.placeholder.length > 4)
  .map((one) => [one.name, getComputedStyle(one).textOverflow]))"""
"""How each field shows that the value which stands there of itself has no room in it."""

SHAPE = "found => found.map((one) => getComputedStyle(one).display)"
"""How the names of settings lie in their labels; the report has boxes of a legend."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a proved run, another finished one, and a file of rows."""
    root = tmp_path / "runs"
    full(root / "first")
    bare(root / "other", train={"epochs": 1})
    for name in ("first", "other"):
        (root / name / "model").mkdir()
        write(root / name / "model" / "tunesmith.json", {"step": 150})
    (root / "data").mkdir()
    (root / "data" / "faq.csv").write_text(ROWS, "utf-8")
    return root


def test_the_start_form_is_filled_and_sent_by_keyboard_alone(place: Path) -> None:
    with chromium() as browser, served(place, "en") as (link, _):
        tab = Tab(browser, link, 1280, "light")
        page = tab.page
        page.goto(link.partition("?")[0] + "new/")
        keys = page.keyboard

        def reach(id_: str) -> None:
            """Goes on by the tab key until the element has the focus, which must be seen."""
            for _ in range(120):
                keys.press("Tab")
                if (
                    page.evaluate("document.activeElement.id || document.activeElement.value")
                    == id_
                ):
                    style = "getComputedStyle(document.activeElement).outlineStyle"
                    assert page.evaluate(style) != "none", id_
                    return
            raise AssertionError(f"no key leads to {id_}")

        reach("f-data")
        keys.type(str(place / "data" / "faq.csv"))
        reach("answer")
        for _ in range(4):
            keys.press("ArrowDown")
        assert page.evaluate("document.activeElement.value") == "rewards"
        reach("on")
        keys.press("Space")
        reach("f-name")
        keys.type("by keys")
        keys.press("Enter")
        page.wait_for_url("**/new/data**")
        sent = parse_qs(urlsplit(page.url).query)
        assert sent["goal"] == ["rewards"] and sent["source.rewards"] == ["[exact]"]
        assert sent["name"] == ["by keys"] and sent["data"] == [str(place / "data" / "faq.csv")]
        assert tab.troubles == []


def test_what_another_goal_learns_from_stays_out_of_the_address(place: Path) -> None:
    with chromium() as browser, served(place, "en") as (link, _):
        page = Tab(browser, link, 1280, "light").page
        page.goto(link.partition("?")[0] + "new/")
        page.get_by_label("file or folder").fill(str(place / "data" / "faq.csv"))
        page.get_by_role("radio", name="Learn from rewards").check()
        page.get_by_role("checkbox", name="exact").check()
        page.get_by_role("radio", name="Answer questions").check()
        with page.expect_request("**/new/data**") as first:  # before the server makes it shorter
            page.get_by_role("button", name="Look at the rows").click()
        page.wait_for_url("**/new/data**")
        sent = parse_qs(urlsplit(first.value.url).query)
        assert sent["goal"] == ["answer"]
        assert not [one for one in sent if one.startswith(("reward", "weight", "learn", "source"))]
        page.go_back()  # and it is there again for whoever changes the goal back
        page.get_by_role("radio", name="Learn from rewards").check()
        assert page.get_by_role("checkbox", name="exact").is_visible()


def test_what_a_field_is_filled_with_of_itself_is_never_cut_without_a_sign(place: Path) -> None:
    with chromium() as browser, served(place, "en") as (link, _):
        page = Tab(browser, link, 390, "light").page
        page.goto(link.partition("?")[0] + "new/")
        cut = page.evaluate(CUT)
        assert {"train.learning_rate", "train.micro_tokens"} <= {*cut}
        assert {*cut.values()} == {"ellipsis"}
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        names = page.locator("label code:visible")
        assert names.count() > 60 and {*names.evaluate_all(SHAPE)} == {"inline"}


def test_a_file_of_another_kind_is_refused_in_words_and_the_page_stays(place: Path) -> None:
    with chromium() as browser, served(place, "en") as (link, _):
        tab = Tab(browser, "", 1280, "light")
        tab.page.goto(link)
        tab.page.goto(link.partition("?")[0] + "new/")
        tab.drop("run.sh", "rm -r /")
        tab.page.get_by_text("run.sh does not look like a file of rows").wait_for()
        tab.drop("empty.csv", "")
        tab.page.get_by_text("empty.csv is empty").wait_for()
        tab.drop("faq.csv", ROWS)
        tab.page.get_by_text("Kept as").wait_for()
        assert tab.page.get_by_label("file or folder").input_value().endswith("faq-2.csv")
    assert {one.name for one in (place / "data").iterdir()} == {"faq.csv", "faq-2.csv"}


def test_a_form_with_an_error_is_led_to_and_keeps_what_was_typed(place: Path) -> None:
    with chromium() as browser, served(place, "zh") as (link, _):
        tab = Tab(browser, link, 390, "dark")
        page = tab.page
        page.goto(link.partition("?")[0] + "proof/other/")
        page.get_by_text("检验内容").click()
        page.get_by_label("最多行数").fill("0")
        page.get_by_label("给原模型看的示例数").fill("3")
        page.get_by_role("checkbox", name="probe").check()
        tab.press("检验这次运行")
        told = page.get_by_text("必须大于 0")
        told.wait_for()
        tab.troubles.clear()  # the console says that the answer was 400
        items = page.get_by_label("最多行数")
        described = items.get_attribute("aria-describedby")
        assert items.get_attribute("aria-invalid") == "true"
        assert described == told.get_attribute("id") and told.get_attribute("role") == "alert"
        assert items.evaluate("one => one === document.activeElement")
        tab.is_well()
        # What the server has to say meanwhile leaves a form alone that is being mended.
        page.get_by_label("给原模型看的示例数").fill("4")
        (place / "other" / "proofs" / "exam").mkdir(parents=True)
        (place / "other" / "proofs" / "exam" / "proof.json").write_text("{", "utf-8")
        page.locator("#proof-exam").wait_for()
        assert told.is_visible() and items.input_value() == "0"
        assert page.get_by_label("给原模型看的示例数").input_value() == "4"
        assert page.get_by_role("checkbox", name="probe").is_checked()
        tab.is_well()


def test_over_a_slow_network_the_page_says_that_it_waits_and_sends_once(place: Path) -> None:
    with chromium() as browser, served(place, "en") as (link, _):
        tab = Tab(browser, link, 1280, "light")
        page = tab.page
        page.goto(link.partition("?")[0] + "new/")
        asked: list[str] = []
        page.on("request", lambda one: asked.append(f"{one.method} {urlsplit(one.url).path}"))
        slow = {"offline": False, "latency": 800, "downloadThroughput": 40_000}
        debugger = page.context.new_cdp_session(page)
        debugger.send("Network.enable")
        debugger.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": 20_000})
        tab.drop("big.csv", ROWS + "what is long?,it is " + "x" * 60_000 + "\n")
        page.get_by_text("Sending the file big.csv").wait_for()
        tab.drop("big.csv", ROWS)  # a second time, out of impatience
        tab.press("Look at the rows")
        page.get_by_text("The file is still on its way").wait_for()
        page.get_by_text("Kept as").wait_for()
        assert asked.count("POST /new/upload") == 1 and "GET /new/data" not in asked
        assert page.evaluate(TWICE) == 1
        page.wait_for_url("**/new/data**")
        assert tab.troubles == []
    assert {one.name for one in (place / "data").iterdir()} == {"faq.csv", "big.csv"}


def test_a_full_disk_is_one_clear_line(place: Path) -> None:
    (place / "data" / "faq.csv").unlink()
    with small_disk(place / "data"), chromium() as browser, served(place, "en") as (link, _):
        tab = Tab(browser, link, 1280, "light")
        tab.page.goto(link.partition("?")[0] + "new/")
        tab.drop("faq.csv", ROWS)
        told = tab.page.get_by_text("there is no room for this file")
        told.wait_for()
        assert "\n" not in told.inner_text() and not any((place / "data").iterdir())


def test_a_run_that_disappears_is_told_and_what_was_seen_stays(place: Path) -> None:
    with chromium() as browser, served(place, "en") as (link, _):
        tab = Tab(browser, link, 1280, "light")
        page = tab.page
        page.goto(link.partition("?")[0] + "run/first/")
        step = page.locator("#facts b").first.inner_text()
        shutil.rmtree(place / "first")
        page.get_by_text("the run's folder is gone").wait_for()
        assert page.locator("#facts b").first.inner_text() == step
        page.get_by_role("link", name="All runs").click()
        page.get_by_role("link", name="other").wait_for()
        assert page.get_by_role("link", name="first").count() == 0
        page.go_back()
        page.get_by_text("may have been moved").wait_for()


class Elsewhere(BaseHTTPRequestHandler):
    """A page of another site, as a terminal in a browser is one."""

    link = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(f'<a href="{self.link}">the link</a>'.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_the_link_opens_the_page_from_another_site_too(place: Path) -> None:
    with (
        chromium() as browser,
        served(place, "en") as (link, _),
        ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as other,
    ):
        Elsewhere.link = link
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"http://localhost:{other.server_port}/")
        page.get_by_text("the link").click()
        page.get_by_role("link", name="other").wait_for()
        assert "token" not in page.url
        other.shutdown()


def test_a_browser_without_scripts_is_told_so(place: Path) -> None:
    with chromium() as browser, served(place, "en") as (link, _):
        page = browser.new_context(java_script_enabled=False).new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(link)
        for name in ("", "run/first/", "proof/first/", "chat/", "arena/", "serve/", "new/"):
            page.goto(link.partition("?")[0] + name)
            assert seen(page, "script") or seen(page, "JavaScript"), name
        # And it is served all the same: a form that is sent needs no script.
        page.get_by_label("file or folder").fill(str(place / "data" / "faq.csv"))
        page.get_by_role("button", name="Look at the rows").click()
        page.wait_for_url("**/new/data**")


def seen(page: Any, text: str) -> bool:
    return text in page.locator("body").inner_text()
