"""A folder that is no run, and which one was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.errors import DataError, SpecError
from tunesmith.storage.run_folder import RunFolder, read_lines


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("support-bot-lora-v2", "reviews-full", "Demo_Zh"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.yaml").write_text("model: m\n")
    monkeypatch.chdir(tmp_path)
    return Path("runs")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("runs/suport-bott-lorra-v2", "support-bot-lora-v2"),
        ("lora-suport-bot", "support-bot-lora-v2"),
        ("rnus/full-reveiws", "reviews-full"),
        ("runs/DEMO-ZH", "Demo_Zh"),
    ],
)
def test_the_run_that_was_meant_is_named(runs: Path, asked: str, meant: str) -> None:
    with pytest.raises(SpecError, match=f"did you mean '{runs / meant}'\\?; runs nearby"):
        RunFolder(Path(asked)).resolved()


def test_another_name_is_not_taken_for_one_of_them(runs: Path) -> None:
    with pytest.raises(SpecError) as told:
        RunFolder(runs / "translation").resolved()
    assert "did you mean" not in str(told.value) and "runs nearby: runs/" in str(told.value)


def test_a_last_line_that_was_cut_short_is_left_out_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_text('{"step": 1}\n\n{"step": 2}\n{"st', encoding="utf-8")
    assert read_lines(path, whole=False) == [{"step": 1}, {"step": 2}]
    with pytest.raises(DataError, match=r"record\.jsonl:4"):
        read_lines(path)
