"""What a run cost follows from its record; waiting times are those of the model that is asked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from material.folders import bare, full, proof, write, write_lines
from material.page import Page
from tunesmith import words
from tunesmith.models.calling import generate
from tunesmith.models.loading.load import Loaded
from tunesmith.proving.efficiency import efficiency_lines, training_cost
from tunesmith.proving.speed import ASKED, reading_speed, writing_speed
from tunesmith.report.build import build
from tunesmith.settings.run import Generate


def step(number: int, **more: Any) -> dict[str, Any]:
    return {"step": number, "loss": 1.0, "seconds": 2.0, "tokens_per_second": 100.0 * number} | more


def test_the_cost_is_that_of_the_steps(tmp_path: Path) -> None:
    folder = bare(tmp_path / "run")
    assert training_cost(folder) is None
    evaluation = {"step": 2, "evaluation": {"loss": 1.0}}
    lines = [step(1, memory_gib=1.5, joules=10.0), evaluation, step(2, memory_gib=2.5, joules=20.5)]
    write_lines(folder.record, lines)
    assert training_cost(folder) == {
        "seconds": 4.0,
        "tokens_per_second": 150.0,
        "memory_gib": 2.5,
        "joules": 30.5,
    }
    write_lines(folder.record, [step(1, memory_gib=None)])
    assert training_cost(folder) == {
        "seconds": 2.0,
        "tokens_per_second": 100.0,
        "memory_gib": None,
        "joules": None,
    }


def test_the_first_token_and_those_after_it_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that takes 20 ms to read and 5 ms for each token after the first."""

    def slow(model: Any, tokenizer: Any, prompts: Any, settings: Generate, **_: Any) -> list[Any]:
        time.sleep(0.02 + 0.005 * (settings.max_new_tokens - 1))
        return [generate.Answer("", tuple(range(settings.max_new_tokens)), False)]

    monkeypatch.setattr(generate, "generate", slow)
    loaded = Loaded(torch.nn.Linear(1, 1), None, "padded")  # type: ignore[arg-type]
    found = writing_speed(loaded, [np.arange(3)] * 9, Generate())
    assert found is not None
    assert 0.02 <= found["first_token"] < 0.06 and 0.004 <= found["next_token"] < 0.02


def test_a_row_is_read_alone_and_the_first_reading_is_not_counted() -> None:
    calls: list[int] = []

    def read(rows: Any) -> None:
        calls.append(len(rows))
        time.sleep(0.3 if len(calls) == 1 else 0.001)

    loaded = Loaded(torch.nn.Linear(1, 1), None, "padded")  # type: ignore[arg-type]
    found = reading_speed(loaded, [object()] * 40, read)  # type: ignore[list-item]
    assert found is not None and calls == [1] * (1 + ASKED) and 0.001 <= found["row"] < 0.2


COST = {
    "training": {
        "seconds": 90.0,
        "tokens_per_second": 1234.5,
        "memory_gib": 2.25,
        "joules": 7200.0,
    },
    "bytes": {"base": 3 * 2**20, "tuned": 2**20},
    "speed": {
        "base": {"first_token": 0.2, "next_token": 0.0123},
        "tuned": {"first_token": 0.3, "next_token": 0.02},
    },
}


def test_terminal_and_page_say_it_tuned_beside_base(tmp_path: Path) -> None:
    words.use("en")
    text = "\n".join(efficiency_lines(COST))
    assert "1,234 tokens a second, at most 2.2 GiB of memory, 2.00 Wh" in text
    assert "first token after 300 ms (base 200 ms), each further one 20 ms (base 12.3 ms)" in text
    folder = full(tmp_path / "run")
    write(folder.proof, proof() | {"efficiency": COST})
    page = Page(build(folder, lang="en").read_text(encoding="utf-8")).text
    assert (
        "weights 3.0 MiB 1.0 MiB first token 200 ms 300 ms each further token 12.3 ms 20 ms" in page
    )
    assert efficiency_lines(None) == []
