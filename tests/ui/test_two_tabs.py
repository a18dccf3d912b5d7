"""Two tabs do the same at once: one of them does it, and neither breaks the other."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui import control
from tunesmith.ui.look import Asked
from tunesmith.ui.looks import Looks

ASKED = Asked(("model=starter",), "answer", "en")


def test_of_two_tabs_that_begin_a_run_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[list[str]] = []

    class Slow:
        def __init__(self, command: list[str], **how: Any) -> None:
            time.sleep(0.05)
            begun.append(command)

        def poll(self) -> None:
            return None

    monkeypatch.setattr(control.subprocess, "Popen", Slow)
    one, folder = control.Control(), RunFolder(tmp_path / "run")
    with ThreadPoolExecutor(4) as tabs:
        told = [*tabs.map(lambda _: one.begin(folder, ["train"]), range(4))]
    assert told.count(None) == 1 and len(begun) == 1


@pytest.mark.parametrize("path", ["/new/upload", "/new/load"])
def test_a_tab_that_is_closed_while_it_sends_leaves_nothing(tmp_path: Path, path: str) -> None:
    pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")
    from tunesmith.ui.page import Page
    from tunesmith.ui.runs import Runs

    parts = [{"type": "http.request", "body": b"a,b\n", "more_body": True}]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asked = {"type": "http", "method": "POST", "path": path, "query_string": b"name=a.csv"}
    app = Page(Runs(tmp_path)).app()
    asyncio.run(app({**asked, "headers": [], "root_path": ""}, receive, send))
    assert sent[0]["status"] == 400 and not [*tmp_path.rglob("*.*")]


class Waiting(Executor):
    """Takes what it is given and does none of it, until it is shut down."""

    def __init__(self) -> None:
        self.given: list[Future[Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.given.append(Future())
        return self.given[-1]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for one in self.given:
            one.cancel()


def test_a_look_that_the_start_of_a_run_ended_is_looked_at_again() -> None:
    made: list[Waiting] = []
    looks = Looks(lambda: (made.append(Waiting()), made[-1])[1])
    with ThreadPoolExecutor(1) as tab:
        other = tab.submit(looks.at, ASKED, [], 60)
        while not made or not made[0].given:
            time.sleep(0.01)
        looks.rest()
        assert other.result(20) is None, "its page asks again, and at once"
    assert looks.at(ASKED, [], 0) is None and len(made) == 2
    made[1].given[0].set_result({"objective": "sft"})
    assert looks.at(ASKED, [], 0) == {"objective": "sft"}
