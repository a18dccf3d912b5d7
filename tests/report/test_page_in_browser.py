"""The page in a real browser: nothing wider than a phone, no label cut off, light, dark and print."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from material.folders import analysed
from tunesmith.report.build import build

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MEASURE = """
<script>
addEventListener("load", () => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push("page " + document.documentElement.scrollWidth);
  for (const cell of document.querySelectorAll(".scroll td:first-child, .paired > div:first-child"))
    if (cell.getBoundingClientRect().height > 3.2 * 16 * 1.6) found.push("tall " + cell.textContent.trim());
  for (const table of document.querySelectorAll(".scroll"))
    if (table.scrollWidth > table.clientWidth + 1) found.push("hidden " + table.textContent.trim().slice(0, 40));
  for (const text of document.querySelectorAll("svg text")) {
    const box = text.getBoundingClientRect(), all = text.ownerSVGElement.getBoundingClientRect();
    if (box.left < all.left - 1 || box.right > all.right + 1) found.push("cut " + text.textContent);
  }
  document.title = "MEASURED[" + found.join("; ") + "]";
});
</script>
"""


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off(tmp_path: Path, width: int, language: str) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine, so the page is not laid out")
    html = build(analysed(tmp_path / "trec"), lang=language).read_text(encoding="utf-8")
    policy = html.index("<meta http-equiv")  # it forbids scripts, and the measure is one
    html = html[:policy] + html[html.index(">", policy) + 1 :]
    # A window of Chromium is at least 500 wide, a frame is as wide as it says.
    (tmp_path / "page.html").write_text(html.replace("</body>", MEASURE + "</body>"), "utf-8")
    (tmp_path / "frame.html").write_text(
        f'<iframe id="f" src="page.html" style="width:{width}px;height:900px;border:0"></iframe>'
        '<p id="told"></p><script>setInterval(() => { document.getElementById("told").textContent ='
        ' document.getElementById("f").contentDocument.title }, 50)</script>',
        "utf-8",
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    done = subprocess.run(
        [browser, *flags, "--virtual-time-budget=3000", "--dump-dom", str(tmp_path / "frame.html")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert '<p id="told">MEASURED[]</p>' in done.stdout, done.stdout[-600:] + done.stderr[-300:]
