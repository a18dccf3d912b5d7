"""A real browser, and what axe-core finds on a page that is open in it."""

from __future__ import annotations

import importlib.resources
import importlib.util
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 300
"""Seconds that a page may take where everything else on the machine is at work as well."""
DROP = """([name, text]) => {
  const given = new DataTransfer();
  given.items.add(new File([text], name));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: given}));
}"""
HERE = re.compile(r"http://127\.0\.0\.1:|data:|about:|blob:")
"""What a page may ask: its own server."""
AXE = "axe_playwright_python"
"""The package that brings axe.min.js; its own code is not used."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of this machine; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no browser: apt-get install chromium")
    with playwright.sync_playwright() as started:
        one = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield one
        one.close()


def violations(page: Any) -> list[str]:
    """What axe-core finds hard to read or without a name. It comes by the debugger, which the
    page's policy does not bind.
    """
    if importlib.util.find_spec(AXE) is None:
        pytest.skip("axe-core is not installed: pip install axe-playwright-python")
    script = importlib.resources.files(AXE) / "axe.min.js"
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document)")["violations"]
    return [f"{one['id']} {one['nodes'][0]['html'][:120]}" for one in found]


@contextmanager
def served(folder: Path, lang: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The link to the page of a folder of runs, and the server's process."""
    words = [sys.executable, "-u", "-m", "tunesmith", "ui", str(folder), "--lang", lang]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as one:
        try:
            assert one.stdout is not None
            late = threading.Timer(PATIENCE, one.kill)  # which ends the line that is waited for
            late.start()
            told = one.stdout.readline()
            late.cancel()
            link = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", told)
            assert link is not None, f"no link within {PATIENCE} s: {told!r}"
            yield link[0], one
        finally:
            one.kill()


class Tab:
    """A page at a width, with all that it complained of."""

    def __init__(self, browser: Any, link: str, width: int, scheme: str) -> None:
        look = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
        self.page, self.width = browser.new_context(**look).new_page(), width
        self.page.set_default_timeout(1000 * PATIENCE)
        self.troubles: list[str] = []
        self.page.on("console", lambda said: self.troubles.append(said.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", lambda one: HERE.match(one.url) or self.troubles.append(one.url))
        if link:
            self.page.goto(link)

    def drop(self, name: str, text: str) -> None:
        """Drops a file of this text on the start page."""
        self.page.evaluate(DROP, [name, text])

    def press(self, name: str) -> None:
        """Presses a button by the keyboard."""
        self.page.get_by_role("button", name=name).focus()
        self.page.keyboard.press("Enter")

    def wrong(self) -> list[str]:
        """What is wider than the window, unnamed or hard to read, or was complained of."""
        self.page.wait_for_load_state()  # before its style is there, a line does not wrap
        width = self.page.evaluate("document.documentElement.scrollWidth")
        wide = [f"{width} pixels wide"] if width > self.width else []
        return [*wide, *violations(self.page), *self.troubles]

    def is_well(self) -> None:
        """Nothing is wrong."""
        assert self.wrong() == []
