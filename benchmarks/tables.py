"""What every benchmark says of itself, and where its table goes."""

from __future__ import annotations

import platform
import subprocess
from datetime import date
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent


def measured_with(*packages: str) -> str:
    """Date, commit and versions, as every table begins."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE
    ).stdout.strip()
    versions = [f"{name} {version(name)}" for name in packages]
    return ", ".join(
        [str(date.today()), f"commit {commit}", *versions, f"Python {platform.python_version()}"]
    )


def write(section: str, lines: list[str], page: str = "README.md") -> None:
    """Replaces the part of a page between the section's markers."""
    file = HERE / page
    text = file.read_text(encoding="utf-8")
    before, rest = text.split(f"<!-- {section} -->\n")
    after = rest.split(f"<!-- /{section} -->\n")[1]
    body = "\n".join(lines).rstrip("\n")
    file.write_text(
        f"{before}<!-- {section} -->\n{body}\n<!-- /{section} -->\n{after}", encoding="utf-8"
    )
