"""A real browser, and what axe-core finds on a page that is open in it."""

from __future__ import annotations

import importlib.resources
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
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
            told = one.stdout.readline()
            link = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", told)
            assert link is not None, told
            yield link[0], one
        finally:
            one.kill()
