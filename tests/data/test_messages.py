"""What is said of rows that do not load: once, with the column or the objective that is meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import prepared
from tunesmith.errors import TunesmithError


def test_a_column_that_the_template_misspells_is_told_once(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(30)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(TunesmithError) as caught:
        prepared(path, template="{quesion} {answer}")
    told = str(caught.value)
    assert len(told.splitlines()) == 1
    assert "no column quesion" in told and "did you mean 'question'" in told


@pytest.mark.parametrize("labels", [(0, 1), ("0", "1"), (False, True)])
def test_answers_judged_by_0_and_1_are_told_to_be_ktos(tmp_path: Path, labels: Any) -> None:
    rows = [{"prompt": f"q{n}", "completion": f"a{n}", "label": labels[n % 2]} for n in range(20)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(TunesmithError, match="kto"):
        prepared(path)
    found = prepared(path, "kto")
    assert found.ledger.trained == 20 and found.ledger.files[0]["reader"] == "feedback"
