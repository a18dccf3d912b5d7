"""Whatever is drawn of rows, columns, lengths, models and verbs gives a right answer or one clear
error.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from material.fuzz import fuzz, models


@pytest.mark.filterwarnings("ignore")
def test_two_hundred_draws_give_a_right_answer_or_one_clear_error(tmp_path: Path):
    faults, ends = fuzz(range(200), models(tmp_path / "models"), tmp_path / "draws")
    assert not faults, "\n".join(faults)
    assert ends["done"] > 50 and len(ends) > 2, ends
