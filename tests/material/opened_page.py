"""The page of a folder of runs, opened by its link."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from tunesmith.pages.guard import Guard
from tunesmith.ui.page import Page
from tunesmith.ui.runs import Runs

TOKEN, HOST = "right-token", "127.0.0.1:4321"


def opened(place: Path) -> TestClient:
    """Opens the page of ``place``."""
    client = TestClient(Guard(Page(Runs(place)).app(), TOKEN, 4321), base_url=f"http://{HOST}")
    client.get("/", params={"token": TOKEN})
    return client
