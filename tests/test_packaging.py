"""What an install needs: declared imports, packed files, pins that fit, a Makefile and a CI script
that do as they say.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tunesmith import __version__
from tunesmith.cli import doctor

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tunesmith"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CORE = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
EXTRAS = {
    name: [Requirement(text) for text in texts]
    for name, texts in PROJECT["project"]["optional-dependencies"].items()
}
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
]

# The name that is imported, where it is not that of the package.
IMPORTED_AS = {"yaml": "pyyaml", "sklearn": "scikit-learn", "attr": "attrs", "docx": "python-docx"}
PAGES = "python -m mkdocs build --strict --quiet"
TESTS = "python -m pytest -n auto --maxprocesses 4 --dist loadfile -m not slow"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"tunesmith", "__future__"}


def test_every_import_is_declared() -> None:
    declared = {
        plain(wanted.name)
        for wanted in [*CORE, *(one for extra in EXTRAS.values() for one in extra)]
    }
    missing = {
        plain(name): str(file.relative_to(ROOT))
        for file in PACKAGE.rglob("*.py")
        for name in (IMPORTED_AS.get(name, name) for name in imports(file))
        if plain(name) not in declared
    }
    assert not missing, f"imported, and not named in pyproject.toml: {missing}"


BEHIND_A_LOOK = {
    PACKAGE / "serving" / f"{name}.py" for name in ("app", "counts", "guard", "protocol", "run")
}
"""Imported by ``serving/start.py`` alone, once it has seen that the extra ``serve`` is there."""
BEHIND_A_LOOK |= {PACKAGE / "data" / "documents" / f"{name}.py" for name in ("docx", "html", "pdf")}
"""Imported by ``data/documents/extract.py`` alone, in the same way."""


def test_extras_are_imported_only_inside_functions() -> None:
    """What an extra brings may be missing; a module that needs it at its top could not even be
    imported.
    """
    optional = {plain(one.name) for extra in EXTRAS.values() for one in extra} - {
        plain(wanted.name) for wanted in CORE
    }
    for file in PACKAGE.rglob("*.py"):
        if file in BEHIND_A_LOOK:
            continue
        names: set[str] = set()
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            names |= {str(node.module)} if isinstance(node, ast.ImportFrom) else set()
        assert not {plain(name.partition(".")[0]) for name in names} & optional, file


def test_every_file_is_packed() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["tunesmith"]
    for file in PACKAGE.rglob("*"):
        name = file.relative_to(PACKAGE).as_posix()
        if file.is_file() and file.suffix not in (".py", ".pyc"):
            assert any(fnmatch(name, pattern) for pattern in patterns), (
                f"{name} would not be in the wheel"
            )
    assert PROJECT["tool"]["setuptools"]["data-files"] == {
        "share/tunesmith/recipes": ["recipes/*.yaml"]
    }
    assert (ROOT / "recipes" / "demo_trec.yaml").is_file()


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_pins_fit_the_ranges(python: str) -> None:
    environment = {key: str(value) for key, value in default_environment().items()}
    environment |= {"python_version": python, "python_full_version": f"{python}.0"}
    pins = {
        plain(pin.name): pin
        for pin in PINS
        if pin.marker is None or pin.marker.evaluate(environment)
    }
    for wanted in [*CORE, *EXTRAS["dev"], *EXTRAS["lm-eval"]]:
        if wanted.marker is not None and not wanted.marker.evaluate(environment):
            continue
        pin = pins.get(plain(wanted.name))
        assert pin is not None, f"{wanted.name} is not pinned for Python {python}"
        version = str(pin.specifier).removeprefix("==")
        assert wanted.specifier.contains(version), f"{pin} is outside {wanted}"


def test_pins_are_exact_and_single() -> None:
    for pin in PINS:
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), pin
    keys = [(plain(pin.name), str(pin.marker)) for pin in PINS]
    assert len(keys) == len(set(keys))
    assert "torch==2.13.0" in {str(pin) for pin in PINS}  # without the suffix of one build


def test_doctor_knows_the_declared_ranges() -> None:
    declared = {plain(wanted.name): wanted.specifier for wanted in CORE}
    for name, (lowest, above) in doctor.RANGES.items():
        assert {str(part) for part in declared[plain(name)]} == {f">={lowest}", f"<{above}"}, name


def test_no_address_of_a_registry() -> None:
    for name in (
        "pyproject.toml",
        "constraints.txt",
        "Makefile",
        ".ci/run",
        ".pre-commit-config.yaml",
    ):
        assert not re.search(
            r"https?://|index-url|find-links", (ROOT / name).read_text(encoding="utf-8")
        ), name


def test_version_and_entry_point() -> None:
    assert PROJECT["project"]["version"] == __version__
    module, _, function = PROJECT["project"]["scripts"]["tunesmith"].partition(":")
    tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert (ROOT / "LICENSE").read_text().count("Apache License") >= 1
    assert f"[{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


FAKE = """#!/bin/sh
echo "$(basename "$0") $*" >> "{log}"
case "$*" in *"-m venv"*) mkdir -p .venv/bin; for n in python tunesmith ruff pyright; do cp "$0" .venv/bin/$n; done;; esac
case "$*" in *"{fails}"*) exit 3;; esac
"""


class Bench:
    """A folder with the Makefile in which every program only notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(ROOT / ".ci", folder / ".ci")
        self.failing("nothing does")

    def failing(self, words: str) -> None:
        """From now on a call with these words fails."""
        (self.folder / "bin").mkdir(exist_ok=True)
        for place in (
            "bin/python3",
            *(str(path.relative_to(self.folder)) for path in self.folder.glob(".venv/bin/*")),
        ):
            (self.folder / place).write_text(FAKE.format(log=self.log, fails=words))
            (self.folder / place).chmod(0o755)

    def run(self, *command: str) -> tuple[int, list[str]]:
        """Exit code, and the calls that were made."""
        self.log.write_text("")
        keep = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        environment = keep | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, self.log.read_text().splitlines()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_make_sets_up_once(bench: Bench) -> None:
    code, calls = bench.run("make", "demo")
    assert code == 0
    assert [call.split(" -c ")[0] for call in calls][1] == "python3 -m venv .venv"
    assert (
        "python -m pip install --disable-pip-version-check -q -c constraints.txt -e .[dev]" in calls
    )
    assert calls[-1] == "tunesmith demo"
    assert bench.run("make", "demo") == (0, ["tunesmith demo"])
    later = (
        bench.folder / ".venv/.made"
    ).stat().st_mtime + 1  # a clock of whole seconds would not tell them apart
    os.utime(bench.folder / "constraints.txt", (later, later))
    _, calls = bench.run("make", "test")
    assert sum("pip install" in call for call in calls) == 1
    assert not any("venv" in call for call in calls)
    assert calls[-1] == TESTS


def test_install_that_stopped_is_repeated(bench: Bench) -> None:
    bench.failing("pip install")
    code, calls = bench.run("make", "test")
    assert code != 0
    assert not any("pytest" in call for call in calls)
    bench.failing("nothing does")
    code, calls = bench.run("make", "test")
    assert code == 0
    assert any("pip install" in call for call in calls)


@pytest.mark.parametrize("step", ["format --check", "check .", "mkdocs", "pytest"])
def test_ci_fails_where_a_step_fails(bench: Bench, step: str) -> None:
    code, calls = bench.run("bash", ".ci/run")
    assert code == 0
    done = [
        call for call in calls if "pip" not in call and "venv" not in call and " -c " not in call
    ]
    assert done == ["ruff format --check .", "ruff check .", PAGES, "pyright ", TESTS]
    bench.failing(step)
    assert bench.run("bash", ".ci/run")[0] != 0
