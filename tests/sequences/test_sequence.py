"""Two tasks from one file: what is forgotten is in the matrix, the page and the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from material.page import Page
from material.proved import labelled
from tunesmith import api, words
from tunesmith.cli.main import main
from tunesmith.errors import SpecError
from tunesmith.events.stream import Event, Events, Phase
from tunesmith.proving.contest import Wanted, contest


def file_of(place: Path, model: Path, **more: Any) -> dict[str, Any]:
    """The kind of a row, then the same rows under the next kind: what was learned is unlearned."""
    said = {"color": "animal", "animal": "number", "number": "color"}
    first = labelled(400)
    second = [{**row, "output": said[row["output"]]} for row in first]
    for name, rows in (("first", first), ("second", second)):
        (place / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    stages = [
        {"name": name, "data": {"path": str(place / f"{name}.json"), "held_out": 0.3}}
        for name in ("first", "second")
    ]
    train = {"epochs": 4, "learning_rate": 5e-3, "keep": {"evaluate": 0, "save": 0}}
    shared = {"model": str(model), "out": str(place / "out"), "method": "full", "train": train}
    return shared | {"stages": stages, "generate": {"max_new_tokens": 8}} | more


@pytest.fixture(scope="module")
def learned(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    words.use("en")
    place = tmp_path_factory.mktemp("sequence")
    settings = file_of(place, tiny_llama)
    return place, settings, api.sequence(settings, items=40)


def test_the_first_task_is_forgotten_and_every_number_is_told(learned: Any) -> None:
    place, _, found = learned
    told = found.to_json()
    before, first, last = told["scores"]
    assert told["tasks"] == ["first", "second"] and told["models"] == ["before", "first", "second"]
    assert first[0] > before[0] + 0.1 and last[0] < before[0] < last[1]
    assert told["kept"][0]["verdict"] == "worse" and told["kept"][0]["high"] < 0
    assert told["backward_transfer"] == pytest.approx(last[0] - first[0])
    assert told["forgetting"] == pytest.approx(-told["backward_transfer"])
    text = "\n".join(found.lines())
    assert "first: forgotten" in text and f"{100 * first[0]:.1f} %*" in text
    written = json.loads((place / "out" / "sequence.json").read_text(encoding="utf-8"))
    assert {**told, "folders": None} == {**written, "folders": None}
    page = Page((place / "out" / "sequence.html").read_text(encoding="utf-8"))
    assert "first: forgotten" in page.text


@pytest.mark.slow  # 2 s
def test_a_stage_scores_as_in_its_own_proof(learned: Any) -> None:
    _, _, found = learned
    folder = found.folders[0]
    proof = contest(folder, Wanted(items=40, shots=0), Events())
    told = found.to_json()
    primary = told["metrics"][0]
    assert proof.to_json()["contenders"]["tuned"][primary] == pytest.approx(told["scores"][1][0])


def test_called_again_it_trains_nothing_and_asks_what_is_left(learned: Any) -> None:
    place, settings, found = learned
    (place / "out" / "sequence.json").unlink()
    heard: list[str] = []

    def hear(event: Event) -> None:
        heard.append(event.phase if isinstance(event, Phase) else type(event).__name__)

    again = api.sequence(settings, items=40, listen=[hear])
    assert again.to_json() == found.to_json()
    assert heard.count("StageKept") == 2 and "StageBegun" not in heard


def test_stages_that_are_no_sequence_are_refused(tiny_llama: Path, tmp_path: Path) -> None:
    settings = file_of(tmp_path, tiny_llama)
    settings["stages"][1] |= {"objective": "dpo", "model": str(tiny_llama)}
    with pytest.raises(SpecError) as caught:
        api.sequence(settings)
    assert {one.where for one in caught.value.problems} == {
        "stages[1].objective",
        "stages[1].model",
    }
    one = file_of(tmp_path, tiny_llama)
    one["stages"] = one["stages"][:1]
    with pytest.raises(SpecError, match="at least two stages"):
        api.sequence(one)
    twice = file_of(tmp_path, tiny_llama)
    twice["stages"][1]["name"] = "first"
    with pytest.raises(SpecError, match=r"stages\[1\]\.name: first cannot"):
        api.sequence(twice)


@pytest.mark.slow  # 3 s
def test_a_file_from_the_command_line(
    learned: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, settings, found = learned
    (tmp_path / "tasks.yaml").write_text(json.dumps(settings), encoding="utf-8")
    assert main(["sequence", str(tmp_path / "tasks.yaml"), "--items", "40", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"] == found.to_json()["scores"]
