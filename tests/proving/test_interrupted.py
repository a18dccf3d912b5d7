"""Scoring that was interrupted goes on, and ends with the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith import api
from tunesmith.proving import interrupted
from tunesmith.proving.interrupted import Kept, weights_in
from tunesmith.storage.run_folder import RunFolder


def test_an_interrupted_proof_ends_as_one_that_was_not(
    label_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupted, "AT_ONCE", 8)
    whole = api.prove(label_run, items=24, shots=2).to_json()
    text = label_run.items.read_text(encoding="utf-8")
    made: list[str] = []
    value = Kept.value

    def limited(self: Kept, name: str, make: Callable[[], Any], most: int = 10**9) -> Any:
        def counted() -> Any:
            if len(made) == 7:
                raise KeyboardInterrupt
            made.append(name)
            return make()

        return value(self, name, counted)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Kept, "value", limited)
        api.prove(label_run, items=24, shots=2)
    place = label_run.path / "scoring.jsonl"
    assert len(place.read_text(encoding="utf-8").splitlines()) == 7
    with place.open("a", encoding="utf-8") as file:
        file.write('["cut sh')  # what a killed process leaves
    again: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            Kept,
            "value",
            lambda self, name, make: value(self, name, lambda: (again.append(name), make())[1]),
        )
        found = api.prove(label_run, items=24, shots=2).to_json()
    # 3 contenders that are models, 3 pieces each, scored and written.
    assert len(again) == 3 * 3 * 2 - 7 and not set(again) & set(made)
    assert label_run.items.read_text(encoding="utf-8") == text and not place.exists()
    for one in (found, whole):
        del one["seconds"], one["efficiency"]
    assert found == whole


def test_a_piece_is_taken_for_what_it_was_made_from_alone(tmp_path: Path) -> None:
    place = tmp_path / "scoring.jsonl"
    first = Kept(place)
    assert first.value("model a, row 1", lambda: [0.1, 1e-300]) == [0.1, 1e-300]
    second = Kept(place)
    assert second.value("model a, row 1", lambda: "made anew") == [0.1, 1e-300]
    assert second.value("model b, row 1", lambda: "made anew") == "made anew"
    assert "model b, row 1" in second and "model c" not in second
    assert len(place.read_text(encoding="utf-8").splitlines()) == 2
    second.done()
    assert not place.exists()


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = weights_in(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"12")
    assert weights_in(tmp_path) != before


def test_values_are_kept_as_json_keeps_them(tmp_path: Path) -> None:
    """What is used at once is what would be read again: tuples are lists in both."""
    one = Kept(tmp_path / "scoring.jsonl")
    assert one.value("a", lambda: (1, "二")) == [1, "二"] == json.loads(json.dumps([1, "二"]))
