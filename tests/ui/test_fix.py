"""What makes a run fit that does not: the cheapest setting, or two where one is not enough, found
with the plan's own count of memory.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from material.folders import write
from tunesmith.planning.make import make
from tunesmith.settings.run import read_run
from tunesmith.ui.look import Asked, look

ROWS = "question,answer\n" + "".join(f"what is {n}?,{'very ' * 350}{n}\n" for n in range(40))
LARGE = ("train.machine.device=cpu", "train.micro_tokens=8192", "data.max_length=4096")
CHECKPOINTING, SMALLER = "train.machine.checkpointing=true", "train.micro_tokens=512"
SHORTER = ("data.max_length=512", "data.too_long=truncate")


@pytest.fixture
def typed(tmp_path: Path, tiny_llama: Path) -> list[str]:
    """A run whose passes hold many tokens, in rows of about 1,800 each."""
    model = shutil.copytree(tiny_llama, tmp_path / "tiny")
    config = json.loads((model / "config.json").read_text("utf-8"))
    write(model / "config.json", {**config, "max_position_embeddings": 4096})
    (tmp_path / "faq.csv").write_text(ROWS, "utf-8")
    return [f"model={model}", f"data={tmp_path / 'faq.csv'}", f"out={tmp_path / 'x'}", *LARGE]


def needs(*typed: str) -> float:
    return make(read_run(None, typed)).facts["memory_gib"]["low"]


def found(*typed: str, memory: float) -> list[str]:
    return look(Asked((*typed, f"train.machine.memory={memory}"), "answer", "en"))["fix"]


def test_one_setting_where_it_is_enough_and_two_where_it_is_not(typed: list[str]) -> None:
    plain = [*typed, "train.machine.checkpointing=false"]
    every, again = needs(*plain), needs(*plain, CHECKPOINTING)
    small, both = needs(*plain, SMALLER), needs(*plain, CHECKPOINTING, SMALLER)
    assert both < small < again < every
    assert found(*plain, memory=every) == []
    assert found(*plain, memory=again) == [CHECKPOINTING]  # that which costs least
    assert found(*plain, memory=small) == [SMALLER]
    assert found(*plain, memory=(both + small) / 2) == [CHECKPOINTING, SMALLER]
    assert found(*plain, memory=0.1) == []


@pytest.mark.slow  # 4 s
def test_rows_are_made_shorter_where_nothing_cheaper_is_enough(typed: list[str]) -> None:
    again = [*typed, CHECKPOINTING]
    both = needs(*again, SMALLER, *SHORTER)
    assert both < needs(*again, SMALLER) and both < needs(*again, *SHORTER)
    assert found(*again, memory=both) == [SMALLER, *SHORTER]
