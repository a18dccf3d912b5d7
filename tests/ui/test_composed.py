"""What several fields of the start page say together becomes one setting, and is shown again."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from starlette.testclient import TestClient

from material.page import Page as Read
from tunesmith.settings.run import Run, read_run
from tunesmith.ui.composed_fields import composed_fields
from tunesmith.ui.draft import Draft, draft_from_yaml, draft_of
from tunesmith.ui.places import Places

FORM = {
    "model": "starter",
    "goal": "rewards",
    "name": "tried",
    "learn": "ppo",
    "times.0": "2",
    "reward.exact": "on",
    "reward.length": "on",
    "reward.length.target": "40",
    "reward.json": "on",
    "reward.json.keys": "name, age",
    "reward.format.pattern": "it is not chosen",
    "weight.length": "0.1",
    "source.samples": "4",
    "asked": "[why]?\r\n\r\nyes: no",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of runs with two files of rows."""
    (tmp_path / "runs" / "data").mkdir(parents=True)
    for name in ("one.csv", "two.csv"):
        (tmp_path / "runs" / "data" / name).write_text("question,answer\na,b\n", "utf-8")
    return tmp_path / "runs"


def filled(place: Path, **more: str) -> dict[str, str]:
    one, two = (str(place / "data" / name) for name in ("one.csv", "two.csv"))
    return {**FORM, "data": one, "file.2": two, **more}


def read(draft: Draft, place: Path) -> Run:
    assert draft.problems == ()
    return read_run(None, draft.words(Places(place)))


def test_a_form_becomes_the_settings_of_the_run(place: Path) -> None:
    run = read(draft_of(filled(place).items(), Places(place)), place)
    assert run.objective.name == "ppo" and run.questions == ("[why]?", "yes: no")
    assert [one.name for one in run.source.rewards] == ["exact", "json", "length"]
    assert run.source.rewards[2].target == 40 and run.source.rewards[1].keys == ("name", "age")
    assert run.source.weights == (1, 1, 0.1) and run.source.samples == 4
    assert not isinstance(run.data.path, str)
    assert [(Path(one.path).name, one.weight) for one in run.data.path] == [
        ("one.csv", 2),
        ("two.csv", 1),
    ]


def test_what_was_chosen_is_shown_again_and_says_the_same(place: Path, client: TestClient) -> None:
    places = Places(place)
    first = draft_of(filled(place).items(), places)
    page = client.get(f"/new/?{first.query()}")
    shown = composed_fields(first, [])
    assert shown["asked"] == "[why]?\nyes: no" and shown["learn"] == "ppo"
    assert [one.weight for one in shown["rewards"] if one.chosen] == ["1", "1", "0.1"]
    values = [value for name, value in Read(page.text).attributes if name == "value"]
    assert {"40", "name, age", str(place / "data" / "two.csv")} <= set(values)
    assert page.status_code == 200 and "it is not chosen" not in values
    # A file of the same settings is loaded into the same form.
    loaded = draft_from_yaml(first.yaml(places), places)
    assert read(loaded, place) == read(first, place) and loaded.goal == "rewards"


def test_one_file_stays_one_and_what_else_is_set_of_a_file_is_kept(place: Path) -> None:
    places = Places(place)
    alone = {"data": "", "file.1": filled(place)["file.2"], "model": "starter"}
    assert draft_of(alone.items(), places).values["data.path"] == alone["file.1"]
    rest = {"rest.2": "{columns: {question: q}}"}
    (one, two) = read(draft_of(filled(place, **rest).items(), places), place).data.path
    assert one.columns is None and two.columns == {"question": "q"}


def test_another_goal_learns_from_no_rewards(place: Path) -> None:
    run = read(draft_of(filled(place, goal="answer").items(), Places(place)), place)
    assert run.objective.name == "sft" and run.source.name == "rows"


def test_what_is_wrong_stands_at_its_field(place: Path, client: TestClient) -> None:
    wrong = client.get("/new/plan", params=filled(place, **{"reward.length.target": "far"}))
    field = wrong.text.split('id="f-reward.length.target"')[1].split('class="field')[0]
    assert wrong.status_code == 400 and "must be a whole number; got 'far'" in unescape(field)
    none = {key: value for key, value in filled(place).items() if not key.startswith("reward.")}
    page = client.get("/new/plan", params=none)
    field = page.text.split('id="rewards"')[1].split('class="worth')[0]
    assert page.status_code == 400 and "nothing is given, and it is required" in unescape(field)
    twice = client.get("/new/", params=filled(place, questions=str(place / "data" / "one.csv")))
    assert twice.status_code == 400 and "given twice" in Read(twice.text).text


@pytest.mark.parametrize(
    ("rewards", "at"),
    [
        ("[{name: length, target: short}]", "reward.length.target"),
        ("[{name: json, json_schema: /etc/passwd}]", "reward.json.json_schema"),
        # No field is of these: a reward without a name, the first of two that share one, and one
        # that the page does not offer.
        ("[{column: answer}]", "source"),
        ("[{name: length, target: short}, {name: length, target: 3}]", "source"),
        ("[exact, code]", "source"),
    ],
)
def test_what_is_wrong_with_a_reward_is_told_once_wherever_it_stands(
    place: Path, client: TestClient, rewards: str, at: str
) -> None:
    form = {"model": "starter", "goal": "rewards", "source.rewards": rewards}
    answer = client.get("/new/data", params={**form, "data": str(place / "data" / "one.csv")})
    page = Read(answer.text)
    assert answer.status_code == 400 and page.told[f"w-{at}"]
    assert [name for name in page.told if name.startswith("w-")] == [f"w-{at}"]
