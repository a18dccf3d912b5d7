"""A real server process, ended by its id whatever happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START, END = 600, 120
"""Seconds: to load, and to end. They end what hangs; a machine with a core for ten such programs
needs some minutes to load.
"""


@dataclass
class Server:
    """A server that answers at ``url`` (with /v1) for who has ``key``."""

    process: subprocess.Popen[str]
    url: str
    key: str
    told: str
    """What it printed before it was ready."""
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        host, port = re.findall(r"//(.*):(\d+)/", self.url)[0]
        return host, int(port)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def end(self) -> int:
        """Tells it to end as a person's process manager does; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END)


@contextmanager
def serving(runs: Sequence[str], log: Path, *options: str) -> Iterator[Server]:
    """A server over the runs, at a port that was free."""
    command = [sys.executable, "-m", "tunesmith", "serve", *runs, "--port", "0", *options]
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1", "TUNESMITH_LANG": "en"}
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=env
        )
    patience = threading.Timer(START, process.kill)
    patience.start()
    try:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if "Ctrl-C" in line:
                break
        else:
            raise AssertionError(f"it did not start: {told}\n{log.read_text()[-2000:]}")
        patience.cancel()
        url = re.findall(r"http://\S+/v1", told)[0]
        key = re.findall(r"ts-\S+", told)
        yield Server(process, url, key[0] if key else "", told, log)
    finally:
        patience.cancel()
        process.kill()
        process.wait(END)
        if process.stdout is not None:
            process.stdout.close()
