"""Runs ``on_strict_device.py`` in a process of its own: once torch has a private device, its
autograd keeps threads, and a process with these can have no forked children.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__)


@pytest.mark.parametrize(
    "marked", ["not slow", pytest.param("slow", marks=pytest.mark.slow)], ids=["fast", "slow"]
)
def test_cudas_rules_hold(marked: str, tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    where = [str(HERE.with_name("on_strict_device.py")), f"--basetemp={tmp_path / 'own'}"]
    command = [sys.executable, "-m", "pytest", "-q", "-m", marked, "-p", "no:cacheprovider", *where]
    done = subprocess.run(
        command, env=own, cwd=HERE.parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
