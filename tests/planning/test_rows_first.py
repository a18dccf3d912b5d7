"""What is wrong with the rows is said before a model is merged, converted or downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from tunesmith import api
from tunesmith.errors import DataError, ModelError, TunesmithError
from tunesmith.models.finding import hub
from tunesmith.settings.run import Model

OBJECTIVES = ("sft", "dpo", "kto", "classify", "embed", "reward", "pretrain")


def adapter(folder: Path) -> Path:
    """An adapter that nobody has merged yet."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "x"}', "utf-8")
    return folder


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a model is looked for before the rows")

    for name in ("merged", "snapshot", "convert_gguf", "_checked"):
        monkeypatch.setattr(hub, name, refuse)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_absent_rows_are_told_before_an_adapter_is_merged(
    tmp_path: Path, never: None, objective: str
) -> None:
    given = {"data": str(tmp_path / "absent.jsonl"), "out": str(tmp_path / "out")}
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    for model in (adapter(tmp_path / "run"), tmp_path / "m.gguf", "owner/large-model"):
        plan = api.plan({"model": str(model), "objective": objective, **given})
        assert any("there is no such file" in problem.text for problem in plan.problems)
        with pytest.raises(TunesmithError, match="there is no such file"):
            api.check({"model": str(model), "objective": objective, **given})


def test_rows_of_another_kind_are_told_before_an_adapter_is_merged(
    tmp_path: Path, never: None
) -> None:
    rows, held = tmp_path / "rows.jsonl", tmp_path / "held.jsonl"
    rows.write_text(json.dumps({"question": "q", "answer": "a"}), "utf-8")
    given = {"model": str(adapter(tmp_path / "run")), "out": str(tmp_path / "out")}
    plan = api.plan({**given, "objective": "dpo", "data": str(rows)})
    assert any("objective=sft" in problem.text for problem in plan.problems)
    with pytest.raises(DataError, match="there is no such file"):
        api.check({**given, "data": {"path": str(rows), "held_out": str(held)}})


def test_what_lies_here_as_it_is_is_at_hand(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "config.json").write_text("{}", "utf-8")
    for path in (whole, "starter", "package:some", tmp_path / "absent"):
        assert hub.at_hand(Model(path=str(path)))
    assert not hub.at_hand(Model(path=str(adapter(tmp_path / "adapter"))))
    assert not hub.at_hand(Model(path="owner/name"))


def test_absent_rows_and_a_misspelt_model_are_told_at_once(
    tmp_path: Path, never: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "run.yaml").write_text("", "utf-8")
    for model, meant in (("startr", "starter"), ("runs/frist", "runs/first")):
        plan = api.plan({"model": model, "data": "absent.json", "out": "out"})
        told = {problem.where: problem.text for problem in plan.problems}
        assert set(told) == {"absent.json", model}
        assert f"did you mean '{meant}'" in told[model] and "no hub was asked" in told[model]


def test_a_model_of_a_hub_is_not_doubted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("owner/startr", "gpt2"):
        hub.refuse_absent(Model(path=name))
    with pytest.raises(ModelError, match="did you mean 'starter'"):
        hub.refuse_absent(Model(path="startr"))
    (tmp_path / "models--startr").mkdir()
    hub.refuse_absent(Model(path="startr"))


def test_an_absent_place_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=rf"\(searched in {tmp_path}\)$"):
        hub.find_model("./some/model")
    (tmp_path / "other").mkdir()
    with pytest.raises(ModelError, match=rf"only {tmp_path / 'other'} exists$"):
        hub.find_model(str(tmp_path / "other" / "some" / "model"))
