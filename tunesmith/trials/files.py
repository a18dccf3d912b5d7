"""Small files of JSON: what came of a piece of work, or was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunesmith.storage.atomic import write_whole


def put(path: Path, value: object) -> None:
    """Writes a JSON file, whole or not at all."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def got(path: Path) -> Any:
    """Reads a JSON file's value; None where there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
