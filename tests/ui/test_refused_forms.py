"""A form that is refused is shown again as it was filled, with each error at its field in the words of
the command line.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from starlette.testclient import TestClient

from material.folders import bare, write
from material.page import Page as Read
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.serving.served import asked_runs
from tunesmith.settings.export import Export, export_settings
from tunesmith.settings.prove import prove_settings
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui import start_pages, work
from tunesmith.ui.works import Work


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two finished runs."""
    for name in ("a", "b"):
        bare(tmp_path / "runs" / name)
        (tmp_path / "runs" / name / "model").mkdir()
        write(tmp_path / "runs" / name / "model" / "tunesmith.json", {"step": 3})
    return tmp_path / "runs"


def wrong_at(page: Read, name: str) -> str:
    """What the page says at a field, by what describes the field or its group."""
    marked = [one for _, one in page.elements if one.get("name") == name and "aria-invalid" in one]
    assert marked, f"nothing is wrong at {name}"
    for _, one in page.elements:
        described = one.get("aria-describedby", "").split()
        if one in marked or one.get("aria-describedby") == f"w-{name}":
            for id_ in described:
                if id_.startswith("w-"):
                    return page.told[id_]
    raise AssertionError(f"nothing describes {name}")


def words(read: Any, *given: Any) -> str:
    """What the command line says."""
    with pytest.raises(SpecError) as error:
        read(*given)
    (problem,) = error.value.problems
    return problem.text


@pytest.mark.parametrize(
    ("address", "field", "filled"),
    [
        ("proof/a", "items", {"items": "0", "shots": "3", "suites": "probe"}),
        ("proof/a", "shots", {"items": "40", "shots": "few", "against": "b"}),
        ("proof/a", "data", {"data": "/etc/passwd", "items": "40"}),
        ("proof/a", "against", {"against": ["a", "b"], "items": "40"}),
        ("export/a", "format.type", {"format": "gguf", "as": "x y", "format.type": "q99"}),
        ("export/a", "items", {"format": "hf", "as": "small", "items": "-1"}),
        ("export/a", "as", {"format": "hf", "as": ".hidden", "items": "5"}),
        ("arena", "run", {"run": "a", "prompts": "one\ntwo"}),
        ("arena", "prompts", {"run": ["a", "b"], "prompts": "one"}),
        ("serve", "run", {}),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_the_rest_as_it_was_filled(
    client: TestClient, begun: list[list[str]], address: str, field: str, filled: dict[str, Any]
) -> None:
    told = {
        ("proof/a", "items"): lambda: words(prove_settings, ["items=0"]),
        ("proof/a", "shots"): lambda: words(prove_settings, ["shots=few"]),
        ("export/a", "format.type"): lambda: words(
            export_settings, Export(), ["format=gguf", "format.type=q99"]
        ),
        ("export/a", "items"): lambda: words(export_settings, Export(), ["items=-1"]),
    }
    answer = client.post(f"/{address}/start", data=filled)
    page = Read(answer.text)
    assert answer.status_code == 400 and begun == []
    said = wrong_at(page, field)
    assert said == told.get((address, field), lambda: said)() and said.strip()
    for name, values in filled.items():
        for value in [values] if isinstance(values, str) else values:
            held = [one for _, one in page.elements if one.get("name") == name]
            ticked = [one for one in held if one.get("value") == value and "checked" in one]
            typed = [one for one in held if one.get("value") == value and "type" not in one]
            if name == "prompts":
                assert page.told["prompts"] == value
            elif name == "format.type":
                assert value == "q99"  # a list of choices has no other
            elif (name, value) != ("against", "a") and name != "format":
                assert ticked or typed, (name, value)


def test_two_errors_of_a_form_stand_each_at_its_field(client: TestClient) -> None:
    page = Read(client.post("/proof/a/start", data={"items": "0", "shots": "-1"}).text)
    assert wrong_at(page, "items") == words(prove_settings, ["items=0"])
    assert wrong_at(page, "shots") == words(prove_settings, ["shots=-1"])


def test_a_conversation_without_runs_and_a_comparison_of_one_say_what_to_choose(
    client: TestClient,
) -> None:
    begun = client.post("/chat/begin")
    assert begun.status_code == 400 and "one or more" in wrong_at(Read(begun.text), "run")
    one = client.get("/compare", params={"run": "a"})
    page = Read(one.text)
    assert one.status_code == 400 and "two or more" in page.told["w-run"]
    ticked = [one["value"] for _, one in page.elements if "checked" in one]
    assert ticked == ["a"]


def test_what_a_work_found_wrong_stands_in_the_form_with_which_it_was_begun(
    place: Path, client: TestClient, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(place / "data" / "exam.csv")
    client.post("/proof/a/start", data={"data": data, "items": "7"})
    (one,) = map(Work, (place / ".ui").iterdir())

    def prove(_: Work, asked: dict[str, Any]) -> None:
        problems = [Problem(asked["data"], "has no rows"), Problem("prove.suites", "too many")]
        raise DataError([*problems, Problem("model", "is gone")])

    monkeypatch.setitem(work.KINDS, "prove", prove)
    monkeypatch.setattr(work.words, "use", lambda language, asked: None)
    assert work.main(one.path) == 2
    page = Read(client.get("/proof/a/").text)
    assert wrong_at(page, "data") == "has no rows" and "model: is gone" in page.told["wrong"]
    assert wrong_at(page, "suites") == "too many"
    values = {element.get("name"): element.get("value") for _, element in page.elements}
    assert values["data"] == data and values["items"] == "7"
    assert page.text.count("has no rows") == 1 and len(begun) == 1


def test_what_a_server_found_wrong_stands_at_the_runs_that_were_chosen(
    place: Path, client: TestClient, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/serve/start", data={"run": ["a", "b"]})
    (one,) = map(Work, (place / ".ui").iterdir())
    shutil.rmtree(place / "b" / "model")
    monkeypatch.setattr(work.words, "use", lambda language, asked: None)
    assert work.main(one.path) == 2
    (typed,) = (f"{name}={run}" for name, run in one.asked["runs"].items() if name == "b")
    with pytest.raises(SpecError) as said:
        asked_runs([typed], RunFolder)
    page = Read(client.get("/serve/").text)
    assert wrong_at(page, "run") == str(said.value) and typed in str(said.value)
    assert page.text.count(str(said.value)) == 1 and "It did not start" in page.text
    ticked = [one["value"] for _, one in page.elements if "checked" in one]
    assert ticked == ["a"]  # a run without a model is no choice any more
    chosen = Read(client.get("/serve/?run=b").text)
    assert "w-run" not in chosen.told


@pytest.mark.parametrize(
    ("problem", "where", "told"),
    [
        (Problem("a, b, base", "needs 9 GiB"), "run", "a, b, base: needs 9 GiB"),
        (Problem("{a}/run.yaml:3", "is no setting"), "run", "{a}/run.yaml:3: is no setting"),
        (Problem("", "needs packages"), "", "needs packages"),
        (Problem("model", "is gone"), "", "model: is gone"),
    ],
)
def test_each_problem_of_a_server_has_its_place(
    place: Path, client: TestClient, begun: list[list[str]], problem: Problem, where: str, told: str
) -> None:
    client.post("/serve/start", data={"run": ["a", "b"]})
    (one,) = map(Work, (place / ".ui").iterdir())
    here = str(place / "a")
    found = [(problem.where.format(a=here), problem.text)]
    one.write("ended", {"problem": "it did not work", "problems": found})
    page = Read(client.get("/serve/").text)
    said = wrong_at(page, "run") if where else page.told["wrong"]
    assert said.strip() == told.format(a=here) and "it did not work" not in page.text


def test_a_contender_that_an_arena_cannot_ask_is_named_at_the_models_that_were_chosen(
    place: Path, client: TestClient, begun: list[list[str]]
) -> None:
    filled = {"run": ["a", "b"], "prompts": "\n".join(f"what is {n}?" for n in range(20))}
    assert client.post("/arena/start", data=filled).history[0].status_code == 303
    (one,) = map(Work, (place / ".ui").iterdir())
    found = [(f"{place / 'b'}: model", "is gone"), ("data", "has no rows")]
    one.write("ended", {"problem": "it did not work", "problems": found})
    page = Read(client.get("/arena/").text)
    assert wrong_at(page, "run") == f"{place / 'b'}: model: is gone"
    assert wrong_at(page, "prompts") == "has no rows"
    assert "it did not work" not in page.text and len(begun) == 1


def test_what_may_not_be_set_stands_in_its_field_still_and_is_not_called_missing(
    client: TestClient,
) -> None:
    typed = {
        "data": "/etc/passwd",
        "model": "../x",
        "name": "a/b",
        "data.held_out": "/etc/rows.csv",
    }
    page = Read(client.get("/new/data", params=typed).text)
    fields = {one.get("name"): one for _, one in page.elements if "name" in one}
    for name, value in typed.items():
        assert fields[name]["value"] == value, name
        assert "required" not in wrong_at(page, name)
    links = [value for name, value in page.attributes if name == "href"]
    assert not any("etc" in link or "a%2Fb" in link for link in links)


def test_an_unknown_page_and_a_form_that_is_too_long_are_told(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_pages, "LONGEST_ADDRESS", 20_000)
    for path in ("/none", "/proof/a/start"):
        answer = client.get(path)
        assert answer.status_code in (404, 405) and "no such page" in Read(answer.text).text
    answer = client.post("/arena/start", data={"prompts": "x" * 1_000_001})
    assert answer.status_code == 413 and "longer than any form" in Read(answer.text).text
    answer = client.get("/new/data", params={"asked": "why? " * 5_000})
    assert answer.status_code == 414 and "longer than any form" in Read(answer.text).text
    answer = client.post("/arena/start", data={f"n{n}": "x" for n in range(1001)})
    assert answer.status_code == 413 and "longer than any form" in Read(answer.text).text
