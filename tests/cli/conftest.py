"""A terminal, and one in whose folder a run was trained by the verb."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from material.terminal import Done, Terminal, rows, warm


@pytest.fixture(scope="session")
def server() -> Iterator[subprocess.Popen[str]]:
    process = warm()
    yield process
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=30)


@pytest.fixture
def terminal(server: subprocess.Popen[str], tmp_path: Path) -> Terminal:
    return Terminal(server, tmp_path)


@pytest.fixture(scope="session")
def trained(
    server: subprocess.Popen[str], tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Terminal, Done]:
    """A folder with rows.json and a run in ``run``, trained by the verb."""
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "rows.json").write_text(json.dumps(rows()), encoding="utf-8")
    (folder / "settings.yaml").write_text(
        f"model: {tiny_llama}\ndata: rows.json\nout: run\ntrain: {{steps: 60, learning_rate: "
        f"1e-2}}\n"
        "generate: {max_new_tokens: 8}\nprove: {shots: 1}\n",
        encoding="utf-8",
    )
    terminal = Terminal(server, folder)
    return terminal, terminal("train", "settings.yaml", "train.steps=8", "train.batch=8", "lang=en")
