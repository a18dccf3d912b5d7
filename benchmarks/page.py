"""How long a person waits for the pages of ``tunesmith ui``: until something is seen, and from when
a run writes a step until the page shows it. On a phone's width, in Chromium, over loopback.

python benchmarks/page.py            # writes its table into benchmarks/README.md
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tables import measured_with, write

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from material.browser import Tab, chromium, served  # noqa: E402
from material.folders import bare, full, steps, write_lines  # noqa: E402

LIMIT = 60
"""Seconds that one page, and one step on it, may take; the longest that was seen is under 1."""
PAGES = {
    "the runs": "",
    "a run with 150 steps": "run/first/",
    "a run with 10,000 steps": "run/long/",
    "its proof": "proof/first/",
    "two runs compared": "compare?run=first&run=long",
    "New run": "new/",
}
PAINTED = """() => {
  const one = performance.getEntriesByName("first-contentful-paint")[0];
  return one ? one.startTime : 0;
}"""
"""Milliseconds from when the page was asked for."""
WRITER = """
import json, sys, time
for step in range(151, 100_000):
    with open(sys.argv[1], "a") as record:
        record.write(json.dumps({"step": step, "loss": 1 / step, "at": time.time()}) + "\\n")
    time.sleep(0.25)
"""
SHOWN = "step => [...document.querySelectorAll('#facts b')].some(b => +b.textContent >= step)"


@contextmanager
def waited(what: str, server: subprocess.Popen[str]) -> Iterator[None]:
    """Ends the benchmark where something is not seen in time: says what was waited for, and where
    each thread of the server stands. Chromium itself may be what hangs, so that no wait of its own
    is relied on.
    """

    def late() -> None:
        # The server has a handler for this signal (see main) that shows its threads, and ends it.
        server.send_signal(signal.SIGABRT)
        threading.Timer(5, server.kill).start()  # where not even that is heard
        told = server.stdout.read() if server.stdout is not None else ""
        print(f"{what}: not seen within {LIMIT} s. The server:\n{told}", file=sys.stderr)
        os._exit(1)

    clock = threading.Timer(LIMIT, late)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()


def painted(page: Any, address: str) -> float:
    """Seconds until the first text of a page is seen."""
    page.goto(address)
    # By a clock: a browser that draws nothing calls nothing that waits for its next frame.
    page.wait_for_function(PAINTED, polling=50)
    return page.evaluate(PAINTED) / 1000


def behind(page: Any, folder: Any, looks: int, server: subprocess.Popen[str]) -> list[float]:
    """Seconds from when a step is written until it is shown."""
    late = []
    for _ in range(looks):
        wanted = folder.steps()[-1]["step"] + 2
        with waited(f"step {wanted} of a run", server):
            page.wait_for_function(SHOWN, arg=wanted, polling=20)
        written = next(one["at"] for one in folder.steps() if one["step"] == wanted)
        late.append(time.time() - written)
    return late


def told(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> None:
    """Opens the pages in turn, follows a run, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in PAGES}
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        root = Path(name)
        full(root / "first")
        write_lines(bare(root / "long").record, steps(10_000))
        live = bare(root / "live")
        write_lines(live.record, steps(150))
        os.environ["PYTHONFAULTHANDLER"] = "1"
        with served(root, "en") as (link, server):
            with waited("the first page", server):
                page = Tab(browser, link, 390, "light").page
            base = link.partition("?")[0]
            for number in range(rounds + 1):
                for case, path in PAGES.items():
                    with waited(case, server):
                        taken = painted(page, base + path)
                    if number:  # the first round imports what the server needs
                        times[case].append(taken)
            with waited("the page of a run that writes", server):
                page.goto(f"{base}run/live/")
            words = [sys.executable, "-c", WRITER, str(live.record)]
            with subprocess.Popen(words) as writer:
                try:
                    late = behind(page, live, 2 * rounds, server)
                finally:
                    writer.kill()
    lines = [f"| {case} | first paint | {told(taken)} |" for case, taken in times.items()]
    lines.append(f"| a run that writes a step each 0.25 s | behind | {told(late)} |")
    head = ["| page | | seconds, median (range) |", "|---|---|---|"]
    load = f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end"
    facts = f"{measured_with('starlette', 'uvicorn', 'playwright')}; {rounds} rounds; {load}."
    write("page", [facts, "", *head, *lines])


if __name__ == "__main__":
    main()
