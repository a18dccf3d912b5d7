"""What the README says there is, is there, and all that is there is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tunesmith.cli.main import OBJECTIVE_ALIASES, command
from tunesmith.settings.family import (
    FORMATS,
    METHODS,
    METRICS,
    OBJECTIVES,
    OPTIMIZERS,
    READERS,
    SCHEDULES,
    TRACKERS,
)

ROOT = Path(__file__).parent.parent
ROWS = {
    "verbs": ("verbs", "命令"),
    "optimizers": ("optimizers", "优化器"),
    "schedules": ("schedules", "学习率曲线"),
    "readers": ("readers", "数据格式"),
    "proof": ("proof", "证明"),
    "exports": ("exports", "导出"),
    "trackers": ("trackers", "记录"),
}


def names() -> dict[str, set[str]]:
    """Returns what there is, by the row of the table that names it."""
    verbs = {*command().commands} - {*OBJECTIVES.names(), *OBJECTIVE_ALIASES}
    return {
        "verbs": verbs,
        "optimizers": {*OPTIMIZERS.names()},
        "schedules": {*SCHEDULES.names()},
        "readers": {*READERS.names()},
        "proof": {*METRICS.names()},
        "exports": {*FORMATS.names()},
        "trackers": {*TRACKERS.names()},
    }


@pytest.mark.parametrize(("page", "place"), [("README.md", 0), ("README.zh-CN.md", 1)])
def test_all_that_there_is_is_named(page: str, place: int) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for kind, there in names().items():
        (row,) = re.findall(rf"^\| {ROWS[kind][place]} \|(.*)$", text, re.MULTILINE)
        assert there - {*re.findall(r"`([^`]+)`", row)} == set(), f"{page}: {kind}"


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_every_method_and_objective_is_named(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = {
        *re.findall(r"`([a-z_0-9]+)(?:[`:= ])", text),
        *re.findall(r"objective=([a-z_0-9]+)", text),
    }
    assert {*METHODS.names(), *OBJECTIVES.names()} - named == set()
