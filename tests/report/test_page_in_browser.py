"""The pages in a real browser: nothing wider than a phone, no label cut off, no error, and nothing
that axe-core finds hard to read or without a name, in light and dark.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from material.browser import AXE, BROWSERS
from material.folders import analysed, full, proof, write
from tunesmith import api, words
from tunesmith.report.build import build

DARK = "--blink-settings=preferredColorScheme=0"
MEASURE = """
<script src="axe.min.js"></script>
<script>
const found = [];
addEventListener("error", event => found.push("error " + event.message));
console.error = (...told) => found.push("error " + told.join(" "));
addEventListener("load", async () => {
  if (document.documentElement.scrollWidth > innerWidth) found.push("page " + document.documentElement.scrollWidth);
  for (const cell of document.querySelectorAll(".scroll tbody td:first-child, .paired > div:first-child"))
    if (cell.getBoundingClientRect().height > 3.2 * 16 * 1.6) found.push("tall " + cell.textContent.trim());
  for (const table of document.querySelectorAll(".scroll"))
    if (table.scrollWidth > table.clientWidth + 1) found.push("hidden " + table.textContent.trim().slice(0, 40));
  for (const text of document.querySelectorAll("svg text")) {
    const box = text.getBoundingClientRect(), all = text.ownerSVGElement.getBoundingClientRect();
    if (box.left < all.left - 1 || box.right > all.right + 1) found.push("cut " + text.textContent);
  }
  if (matchMedia("(prefers-color-scheme: dark)").matches !== WANT_DARK) found.push("not the colours that are tested");
  const judged = await axe.run(document);
  for (const one of judged.violations) found.push(one.id + " " + one.nodes[0].html.slice(0, 120));
  document.title = "MEASURED[" + found.join("; ") + "]";
});
</script>
"""


def measured(place: Path, page: Path, width: int, *, dark: bool = False) -> str:
    """Lays a page out in a frame of ``width`` and returns what is wrong with it."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine, so the page is not laid out")
    if importlib.util.find_spec(AXE) is None:
        pytest.skip("axe-core is not installed: pip install axe-playwright-python")
    script = importlib.resources.files(AXE) / "axe.min.js"
    (place / "axe.min.js").write_text(script.read_text(encoding="utf-8"), "utf-8")
    html = page.read_text(encoding="utf-8")
    policy = html.index("<meta http-equiv")  # it forbids scripts, and the measure is one
    html = html[:policy] + html[html.index(">", policy) + 1 :]
    measure = MEASURE.replace("WANT_DARK", json.dumps(dark))
    # A window of Chromium is at least 500 wide, a frame is as wide as it says.
    (place / "page.html").write_text(html.replace("<head>", "<head>" + measure, 1), "utf-8")
    (place / "frame.html").write_text(
        f'<iframe id="f" src="page.html" style="width:{width}px;height:900px;border:0"></iframe>'
        '<p id="told"></p><script>setInterval(() => { document.getElementById("told").textContent ='
        ' document.getElementById("f").contentDocument.title }, 50)</script>',
        "utf-8",
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    flags += [DARK] if dark else []
    done = subprocess.run(
        [browser, *flags, "--virtual-time-budget=6000", "--dump-dom", str(place / "frame.html")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    _, found, rest = done.stdout.partition('<p id="told">MEASURED[')
    assert found, done.stdout[-600:] + done.stderr[-300:]
    return rest.partition("]</p>")[0]


@pytest.mark.parametrize(
    ("language", "width", "dark"),
    [("en", 390, False), ("zh", 390, True), ("en", 1280, True), ("zh", 1280, False)],
)
def test_nothing_is_cut_off_or_hard_to_read(
    tmp_path: Path, language: str, width: int, dark: bool
) -> None:
    page = build(analysed(tmp_path / "trec"), lang=language)
    assert measured(tmp_path, page, width, dark=dark) == ""


@pytest.mark.parametrize(("language", "width", "dark"), [("en", 390, True), ("zh", 1280, False)])
def test_nor_is_anything_where_runs_are_compared(
    tmp_path: Path, language: str, width: int, dark: bool
) -> None:
    runs = [full(tmp_path / f"a-run-with-a-long-name-{n}", train={"seed": n}) for n in range(3)]
    for folder in runs:
        write(folder.proof, proof() | {"seed": 1})
    words.use(language)
    api.compare(runs, page=tmp_path / "compare.html")
    assert measured(tmp_path, tmp_path / "compare.html", width, dark=dark) == ""


def test_a_pale_text_is_found(tmp_path: Path) -> None:
    page = tmp_path / "pale.html"
    pale = '<p style="color: #bbb; background: #fff">hard to read</p>'
    page.write_text(
        f'<!doctype html><html lang="en"><head><meta http-equiv="x"><title>pale</title></head>'
        f"<body><main><h1>a</h1>{pale}</main></body></html>"
    )
    assert measured(tmp_path, page, 390).startswith("color-contrast")
