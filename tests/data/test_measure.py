"""What is planted is what is looked for, and an interval tells how sure a share is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sklearn.utils import check_random_state

from tunesmith.api import measure_anonymising
from tunesmith.data.measure import wilson
from tunesmith.errors import SpecError

pytest.importorskip("faker")


def source(tmp_path: Path) -> str:
    draw = check_random_state(0)
    words = ["今天", "天气", "很好", "我们", "去", "公园", "散步", "看见", "许多", "花"]
    rows = [{"text": "".join(draw.choice(words, 12)) + "。"} for _ in range(90)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def test_each_kind_is_planted_and_found(tmp_path: Path) -> None:
    found = measure_anonymising("anonymise", source(tmp_path))
    assert sum(found.planted.values()) == found.rows == 90
    for kind in ("phone", "mail", "identity_card", "bank_card", "ip", "address"):
        assert found.found[kind] == found.planted[kind] == 10, kind
    assert found.others == {}


def test_what_is_not_looked_for_is_not_found(tmp_path: Path) -> None:
    found = measure_anonymising("anonymise", source(tmp_path), ["kinds=[mail]"])
    assert found.planted == found.found == {"mail": 90}
    with pytest.raises(SpecError, match="kinds: of these kinds none is measured"):
        measure_anonymising("anonymise", source(tmp_path), ["kinds=[record]"])
    with pytest.raises(SpecError, match="--measure goes with anonymise, not with clean"):
        measure_anonymising("clean", source(tmp_path))


def test_wilsons_interval() -> None:
    # Brown, Cai & DasGupta 2001: for all hits the lower end is n / (n + z²).
    assert wilson(150, 150) == pytest.approx((150 / (150 + 1.959964**2), 1.0))
    low, high = wilson(50, 100)
    assert low + high == pytest.approx(1.0) and low == pytest.approx(0.40383, abs=1e-5)
