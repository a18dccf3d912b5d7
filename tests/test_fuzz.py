"""Whatever is drawn of rows, columns, lengths, models and verbs gives a right answer or one clear
error.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from material.fuzz import fuzz, models


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("draws", [20, pytest.param(400, marks=pytest.mark.slow)])
def test_each_draw_gives_a_right_answer_or_one_clear_error(draws: int, tmp_path: Path):
    faults, ends = fuzz(range(draws), models(tmp_path / "models"), tmp_path / "draws")
    assert not faults, "\n".join(faults)
    assert ends["done"] > draws / 4 and len(ends) > 2, ends
