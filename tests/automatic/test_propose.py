"""What is proposed for rows of each kind, and how a budget is shared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.automatic.amounts import gib_of, seconds_of, told_time
from tunesmith.automatic.propose import candidates, propose
from tunesmith.automatic.share import FEWEST_STEPS, FOR_TRAINING, Pace, share
from tunesmith.errors import DataError, SpecError
from tunesmith.settings.open_values import default_rate
from tunesmith.settings.run import validate

ROWS: dict[str, dict[str, Any]] = {
    "sft": {"instruction": "Translate to French.", "input": "Good morning", "output": "Bonjour"},
    "dpo": {"prompt": "What is 2 + 2?", "chosen": "It is 4.", "rejected": "It is 5."},
    "kto": {"prompt": "What is 2 + 2?", "completion": "4", "label": True},
    "classify": {"text": "A fine film.", "label": "positive"},
    "classify_tokens": {
        "text": "Ada lives in Paris",
        "entities": [{"start": 13, "end": 18, "label": "city"}],
    },
    "pretrain": {"text": "A whole document to go on training with."},
}


def written(folder: Path, row: dict[str, Any]) -> str:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("objective", ROWS)
def test_the_objective_is_that_of_the_rows(objective: str, tmp_path: Path) -> None:
    found = propose({"data": written(tmp_path, ROWS[objective])})
    assert found.settings["objective"] == objective
    reads = objective.startswith("classify")
    assert found.settings["model"] == ("package:minilm" if reads else "starter")
    assert len(found.reasons) == 2 and found.reasons[0].startswith(f"objective {objective}:")


def test_chinese_texts_get_no_english_encoder_and_what_is_given_stays(tmp_path: Path) -> None:
    rows = written(tmp_path, {"text": "这部电影很好看", "label": "好评"})
    found = propose({"data": rows})
    assert found.settings["model"] == "starter" and "Chinese" in found.reasons[1]
    own = propose({"data": rows, "model": "m", "objective": "sft"})
    assert own.settings == {"data": rows, "model": "m", "objective": "sft"} and not own.reasons


def test_rows_of_no_kind_are_told_as_the_reading_tells_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl"):
        propose({"data": written(tmp_path, {"a": 1, "b": 2})})


def test_candidates_are_both_methods_at_rates_around_their_own() -> None:
    run = validate({"model": "m", "data": "d", "out": "o"})
    found = candidates(run)
    assert len(found) == 5 and found[0]["method"] == "full"
    full = validate({"model": "m", "data": "d", "out": "o", "method": "full"})
    assert found[0]["train.learning_rate"] == pytest.approx(default_rate(full)[0], rel=0.01)
    own = sorted(one["train.learning_rate"] for one in found if "method" not in one)
    rate = default_rate(run)[0]
    assert own == pytest.approx([rate / 3, rate * 3], rel=0.01)


def test_a_budget_buys_as_many_candidates_as_fit_and_never_more() -> None:
    pace = Pace(step=0.1, read=0.02, fits=False)  # 100 steps and 11 evaluations take 10.22 s
    assert share(1e9, pace, 100, 5).trials == 6  # type: ignore[union-attr]
    for budget in (1, 10, 20, 40, 80, 160):
        found = share(budget, pace, 100, 5)
        if found is None:
            assert FOR_TRAINING * budget < pace.whole(FEWEST_STEPS)
        elif found.steps is not None:
            assert FEWEST_STEPS <= found.steps < 100 and found.trials == 1
            assert pace.whole(found.steps) <= FOR_TRAINING * budget
        else:
            assert pace.search(100, found.trials) <= FOR_TRAINING * budget
    # By hand: tenths of all four and three tenths of the better two, each evaluated before its
    # first step and after its last, then two whole ones.
    assert pace.search(100, 4) == pytest.approx(2 * 10.22 + 4 * 1.04 + 2 * 3.04)
    # One alone is compared with nothing.
    assert pace.search(100, 1) == pytest.approx(10.22)


def test_a_training_evaluates_seldom_where_reading_the_rows_takes_long() -> None:
    # 200 validation rows of the starter, read twice each time, beside 79 steps of 16 rows.
    dear = Pace(step=4.0, read=23.0, fits=True)
    assert dear.looks(79) == 1 and dear.whole(79) == pytest.approx(4 * 79 + 3 * 23)
    assert Pace(step=4.0, read=1.0, fits=True).looks(79) == 10
    assert Pace(step=4.0, read=6.0, fits=True).looks(79) == 5
    afforded = share(600, dear, 79, 5)
    assert afforded is not None and (afforded.trials, afforded.looks) == (1, 1)


def test_amounts_are_read_as_they_are_typed() -> None:
    assert [seconds_of(one) for one in ("90s", "30m", "1.5h", "2d")] == [90, 1800, 5400, 172800]
    assert [gib_of(one) for one in ("16GiB", "16gb", "8")] == [16, 16, 8]
    assert [told_time(one) for one in (40, 700, 9000)] == ["40 s", "12 min", "2.5 h"]
    for wrong in ("30", "soon", "0m", "-5m"):
        with pytest.raises(SpecError, match="write 90s, 30m, 2h or 1d"):
            seconds_of(wrong)
    with pytest.raises(SpecError, match="write 16GiB"):
        gib_of("much")
