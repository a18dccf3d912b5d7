"""A browser without a screen, and commands that are begun without a process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from material.opened_page import opened
from tunesmith.ui import works


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were begun; no process is."""
    commands: list[list[str]] = []

    class Begun:
        def __init__(self, command: list[str], **how: Any) -> None:
            assert how["start_new_session"] and "shell" not in how
            commands.append(command)

        def poll(self) -> int:
            return 0

    # Of works alone: other parts of a test begin processes of their own.
    stands_in = SimpleNamespace(Popen=Begun, DEVNULL=-3, STDOUT=-2)
    monkeypatch.setattr(works, "subprocess", stands_in)
    return commands


@pytest.fixture
def client(place: Path) -> TestClient:
    """A browser that has opened the link to the runs of ``place``, which each file makes."""
    return opened(place)
