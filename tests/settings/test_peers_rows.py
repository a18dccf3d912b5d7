"""A peer's file says which rows are checked: ``check`` looks at these as a run of ours would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tunesmith import api, words
from tunesmith.errors import SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.given import look_settings

ROWS = [{"frage": f"What is {n}?", "antwort": f"Number {n}."} for n in range(30)]
PREFERRED = [{"frage": f"Why {n}?", "good": f"So {n}.", "bad": f"No {n}."} for n in range(30)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words.use("en")
    (tmp_path / "data").mkdir()
    for name, rows in (("rows", ROWS), ("pairs", PREFERRED)):
        (tmp_path / "data" / f"{name}.json").write_text(json.dumps(rows), "utf-8")
    entries = {
        "mine": {
            "file_name": "rows.json",
            "columns": {"prompt": "frage", "response": "antwort"},
            "num_samples": 20,
        },
        "preferred": {
            "file_name": "pairs.json",
            "ranking": True,
            "columns": {"prompt": "frage", "chosen": "good", "rejected": "bad"},
        },
    }
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(entries), "utf-8")


def saved(settings: JsonObject) -> str:
    Path("theirs.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    return "theirs.yaml"


LLAMA_FACTORY: JsonObject = {
    "stage": "sft",
    "finetuning_type": "lora",
    "dataset": "mine",
    "template": "qwen",
    "cutoff_len": 512,
}
MODEL = "model_name_or_path"


@pytest.mark.parametrize(
    ("settings", "rows", "told"),
    [
        (
            LLAMA_FACTORY,
            20,
            "Settings of LLaMA-Factory; its data is checked with 'data.path=data/rows.json#20' ",
        ),
        ({**LLAMA_FACTORY, "stage": "dpo", "dataset": "preferred"}, 30, "objective=dpo"),
        (
            {
                "base_model": "m",
                "datasets": [{"path": "data/rows.json", "type": "alpaca"}],
                "adapter": "lora",
                "sequence_len": 400,
            },
            30,
            "Settings of axolotl; its data is checked with data.path=data/rows.json data.max_length=400 ",
        ),
        ({"model": "m", "tuner_type": "lora", "dataset": ["data/rows.json#9"]}, 9, "of ms-swift;"),
    ],
)
def test_the_rows_that_a_peers_file_names_are_checked(
    settings: JsonObject, rows: int, told: str, tiny_llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = saved(settings if "model" in settings else {MODEL: "m", **settings})
    named = ["data.columns={question: frage, answer: antwort}"] if "stage" not in settings else []
    found = api.check(theirs, [f"model={tiny_llama}", *named])
    assert found.ledger.rows == rows
    assert told in capsys.readouterr().err
    assert not Path("runs").exists(), "nothing is written"


def test_a_name_that_is_not_registered_is_told_unless_the_line_names_a_file() -> None:
    theirs = saved({MODEL: "m", **LLAMA_FACTORY, "dataset": "other"})
    with pytest.raises(SpecError, match=r"dataset other: other is a name registered with LLaMA-F"):
        look_settings(theirs)
    run = look_settings(theirs, ["data.path=data/rows.json", "model=starter"])
    assert (run.data.path, run.model.path, run.data.max_length) == (
        "data/rows.json",
        "starter",
        512,
    )


def test_what_would_train_something_else_is_not_checked() -> None:
    with pytest.raises(SpecError, match="These settings of axolotl cannot be translated"):
        look_settings(saved({"base_model": "m", "datasets": [], "rl": "simpo_of_mine"}))


def test_our_own_settings_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    run = look_settings(saved({"data": "data/rows.json", "method": "lora"}))
    assert run.data.path == "data/rows.json" and capsys.readouterr().err == ""
