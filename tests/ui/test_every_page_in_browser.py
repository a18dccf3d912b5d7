"""Every page in a browser as wide as a phone and as a 4k screen, light and dark, in both languages:
nothing is wider than the window, unnamed or hard to read, and the browser complains of nothing. And
the plan that does not fit, and the time of a step.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("uvicorn", reason="pip install 'tunesmith[serve]'")

from material.browser import Tab, chromium, served
from material.folders import analysed, bare, full, write, write_lines
from material.voted import arena_of
from tunesmith.storage.run_folder import RunFolder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no run is stopped there"),
]
CHAT = "20260101-000000-abcdef"
PAGES = (
    *("", "run/first/", "proof/first/", "export/first/?format=gguf", "run/other/"),
    *("compare?run=first&run=other", "chat/", f"chat/{CHAT}/", "arena/", "serve/", "new/"),
    *("new/?goal=rewards&reward.length=on&reward.length.target=far", "new/data?{}", "new/plan?{}"),
)
"""The ways to all pages; {} stands for the model and the rows."""
WAITED = "() => !document.querySelector('[data-wait]')"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> Path:
    """A folder with all that a page can show."""
    root = tmp_path_factory.mktemp("every") / "runs"
    analysed(root / "first")
    full(root / "other", train={"seed": 1})
    bare(root / "half")
    for name in ("first", "other"):
        run = RunFolder(root / name)
        run.model.mkdir()
        write(run.model / "tunesmith.json", {"step": 150})
        write(run.proof, {**run.read(run.proof), "seed": 0, "primary_reason": "labels"})
    proved = root / "first" / "proofs" / "exam"
    proved.mkdir(parents=True)
    shutil.copy(root / "first" / "proof.json", proved)
    made = root / "first" / "exports" / "small"
    made.mkdir(parents=True)
    (made / "parity.md").write_text("# parity\n\n" + "word " * 200, "utf-8")
    shutil.copytree(tiny_llama, root / "tiny")
    (root / "data").mkdir()
    rows = "question,answer\n" + "".join(f"what is {n}?,it is {n + 1}\n" for n in range(40))
    (root / "data" / "faq.csv").write_text(rows + "what is 1?,it is 2\n", "utf-8")
    (root / "chats").mkdir()
    answers = [
        {"turn": 0, "model": model, "text": text, "finish": finish, "seconds": 1.5, "problem": ""}
        for model, text, finish in (("first", "so " * 300, "length"), ("base", "x" * 400, "stop"))
    ]
    asked = [{"runs": {"first": "first"}}, {"asked": "why? " * 40, "how": {"temperature": 0.5}}]
    write_lines(root / "chats" / f"{CHAT}.jsonl", [*asked, *answers])
    arena_of(root / "arenas" / "20260101-000000-abcdef")
    return root


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def links(place: Path) -> Iterator[dict[str, str]]:
    """The links to the folder's page, by language."""
    with ExitStack() as stack:
        yield {lang: stack.enter_context(served(place, lang))[0] for lang in ("en", "zh")}


def address(link: str, page: str, place: Path, **settings: str) -> str:
    """Where a page is; {} in it becomes the model, the rows and the settings."""
    rows = {"model": str(place / "tiny"), "data": str(place / "data" / "faq.csv"), "name": "new"}
    return link.partition("?")[0] + page.replace("{}", urlencode({**rows, **settings}))


@pytest.mark.parametrize(
    ("lang", "width", "scheme"),
    [("en", 390, "light"), ("zh", 390, "dark"), ("en", 3840, "dark"), ("zh", 3840, "light")],
)
def test_every_page_can_be_read(
    place: Path, browser: Any, links: dict[str, str], lang: str, width: int, scheme: str
) -> None:
    tab, wrong = Tab(browser, links[lang], width, scheme), {}
    for page in PAGES:
        answer = tab.page.goto(address(links[lang], page, place))
        tab.page.wait_for_function(WAITED)
        for one in tab.page.locator("details").all():
            one.evaluate("one => { one.open = true; }")
        if answer.status == 400:  # which Chromium writes into its console
            tab.troubles.clear()
        wrong[page] = tab.wrong()
        tab.troubles.clear()
    assert {page: found for page, found in wrong.items() if found} == {}
    tab.page.context.close()


@pytest.mark.starter
def test_a_plan_that_does_not_fit_is_red_and_a_button_makes_it_fit(
    place: Path, browser: Any, links: dict[str, str]
) -> None:
    # Of what all weights of the starter need, about 1.5 GiB are gradients and the optimizer's.
    too_little = {"model": "starter", "method": "full", "train.machine.memory": "2"}
    tab = Tab(browser, links["en"], 390, "dark")
    page = tab.page
    page.goto(address(links["en"], "new/plan?{}", place, **too_little))
    page.get_by_text("It does not fit").wait_for()
    page.get_by_text("The cheapest change").wait_for()
    tab.is_well()
    page.get_by_role("link", name="method=lora").focus()
    page.keyboard.press("Enter")
    page.get_by_text("It fits on this machine").wait_for()
    assert page.get_by_role("link", name="method=lora").count() == 0
    tab.is_well()
    page.goto(
        address(links["en"], "new/plan?{}", place, **{**too_little, "train.machine.memory": "0.1"})
    )
    page.get_by_text("None of the usual changes").wait_for()
    page.context.close()


def test_a_step_is_measured_on_the_plan_page(
    place: Path, browser: Any, links: dict[str, str]
) -> None:
    tab = Tab(browser, links["zh"], 390, "light")
    page = tab.page
    page.goto(address(links["zh"], "new/plan?{}", place))
    page.get_by_role("link", name="测量一步").focus()
    page.keyboard.press("Enter")
    page.get_by_text("按刚测得的速度").wait_for()
    assert page.get_by_role("link", name="测量一步").count() == 0
    tab.is_well()
    page.context.close()
