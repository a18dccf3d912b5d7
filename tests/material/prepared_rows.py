"""Rows as a run would train them, with a byte-level tokenizer of ChatML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from material.chat_templates import TEMPLATES, byte_level
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.settings.run import validate


def prepared(
    data: Path | str, objective: Any = "sft", more: Any = None, **settings: Any
) -> Prepared:
    """``settings`` are those of ``data``; ``more`` those beside it."""
    template, eos, *_ = TEMPLATES["chatml"]
    asked = {
        "model": "m",
        "out": "o",
        "objective": objective,
        "data": {"path": str(data), "held_out": 0, **settings},
        **(more or {}),
    }
    return prepare(validate(asked), byte_level(template, eos))


def written(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path
