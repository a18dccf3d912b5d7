"""Exports and arenas are begun from the page as processes of their own, and lead nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from filelock import FileLock
from starlette.testclient import TestClient

from material.folders import bare, write, write_lines
from material.opened_page import HOST
from material.page import Page as Read
from tunesmith import api
from tunesmith.settings.family import FORMATS
from tunesmith.storage.process import named_in
from tunesmith.ui import work, works
from tunesmith.ui.works import Work

EXPORT = "/export/a/"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two finished runs, of which one's file names a hub, one not finished, and one outside."""
    bare(tmp_path / "runs" / "a", export={"format": "hf", "hub": "me/model"})
    for name in ("runs/b", "outside/secret", "runs/open"):
        bare(tmp_path / name)
    for name in ("runs/a", "runs/b", "outside/secret"):
        (tmp_path / name / "model").mkdir()
        write(tmp_path / name / "model" / "tunesmith.json", {"step": 3})
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "outside" / "secret")
    return tmp_path / "runs"


def asked_in(place: Path) -> dict[str, Any]:
    (one,) = (place / ".ui").iterdir()
    return Work(one).asked


def test_a_stranger_sees_and_does_nothing(client: TestClient, begun: list[list[str]]) -> None:
    stranger = TestClient(client.app, base_url=f"http://{HOST}")
    for path in (EXPORT, f"{EXPORT}now", "/arena/", "/arena/now"):
        assert stranger.get(path).status_code == 403
        assert client.get(path, headers={"host": "evil.example"}).status_code == 403
    acts = ("/arena/start", "/arena/x/open", "/arena/x/stop")
    for path in (f"{EXPORT}start", f"{EXPORT}stop", *acts):
        assert stranger.post(path).status_code == 403
        assert client.post(path, headers={"origin": "http://evil.example"}).status_code == 403
        assert client.get(path).status_code in (404, 405)
    assert begun == []


def test_each_format_of_the_family_has_its_own_fields(client: TestClient) -> None:
    for name in FORMATS.names():
        answer = client.get(EXPORT, params={"format": name})
        fields = {value for key, value in Read(answer.text).attributes if key == "name"}
        own = {f"format.{key}" for key in FORMATS.get(name).Config.model_fields if key != "name"}
        assert answer.status_code == 200 and own | {"items", "require", "as"} <= fields
        assert "hub" not in fields and "public" not in fields
    assert "q8_0" in client.get(EXPORT, params={"format": "gguf"}).text
    assert client.get(EXPORT, params={"format": "/etc/passwd"}).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        {"format": "gguf", "as": "../../outside"},
        {"format": "gguf", "as": "/tmp/x"},
        {"format": "gguf", "as": ".."},
        {"format": "gguf", "as": "taken"},
        {"format": "none", "as": "x"},
        {"format": "./my_format.py", "as": "x"},
        {"format": "gguf", "as": "x", "format.type": "q99"},
        {"format": "hf", "as": "x", "items": "-1"},
    ],
)
def test_what_cannot_be_exported_is_said(
    place: Path, client: TestClient, begun: list[list[str]], form: dict[str, str]
) -> None:
    (place / "a" / "exports" / "taken").mkdir(parents=True)
    assert client.post(f"{EXPORT}start", data=form).status_code == 400 and begun == []


def test_an_export_stays_in_the_runs_folder_and_goes_to_no_hub(
    place: Path, client: TestClient, begun: list[list[str]]
) -> None:
    for name in ("linked", "open", "none", "..%2fa"):
        assert client.post(f"/export/{name}/start", data={"as": "x"}).status_code == 404
    form = {"format": "gguf", "as": "small", "format.type": "q8_0", "hub": "evil/x", "items": "5"}
    client.post(f"{EXPORT}start", data=form)
    asked = asked_in(place)
    assert asked["out"] == str(place / "a" / "exports" / "small") and len(begun) == 1
    assert asked["settings"] == ["format=gguf", "format.type=q8_0", "items=5", "hub=null"]
    assert asked["run"] == str(place / "a")


def test_an_export_that_is_not_what_is_required_ends_with_an_error(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost:
        met = False

        def lines(self) -> list[str]:
            return []

        def required(self) -> dict[str, str]:
            return {"verdict": "lost", "required": "same"}

    monkeypatch.setattr(api, "export_run", lambda *given, **named: Lost())
    monkeypatch.setattr(work.words, "use", lambda language, asked: None)
    one = Work(place / ".ui" / "20260101-000000-abcdef")
    one.path.mkdir(parents=True)
    asked = {"kind": "export", "lang": "en", "run": str(place / "a"), "settings": []}
    one.write("asked", {**asked, "out": str(place / "x")})
    assert work.main(one.path) == 1 and "same" in (one.read("ended") or {})["problem"]


def test_what_was_measured_of_an_export_is_shown(place: Path, client: TestClient) -> None:
    made = place / "a" / "exports" / "small"
    made.mkdir(parents=True)
    (made / "parity.md").write_text("# same <b>answers</b>", "utf-8")
    text = client.get(EXPORT).text
    assert "# same &lt;b&gt;answers" in text and str(made) in text


def test_an_arena_is_begun_of_offered_models_over_written_prompts(
    place: Path, client: TestClient, begun: list[list[str]]
) -> None:
    base = "starter"
    for form in (
        {"run": ["a"], "prompts": "one\ntwo"},
        {"run": ["a", "b"], "prompts": "one\none\n \n"},
        {"run": ["a", "linked"], "prompts": "one\ntwo"},
        {"run": ["a"], "base": ["https://evil.example/v1"], "prompts": "one\ntwo"},
        {"run": ["a"], "base": ["/etc"], "prompts": "one\ntwo"},
    ):
        assert client.post("/arena/start", data=form).status_code == 400, form
    assert begun == []
    form = {"run": ["b"], "base": [base], "prompts": "one\r\ntwo <b>\r\n\r\none"}
    assert client.post("/arena/start", data=form).status_code == 200
    asked = asked_in(place)
    assert asked["contenders"] == [str(place / "b"), base] and len(begun) == 1
    rows = [json.loads(line) for line in Path(asked["settings"]["data"]).read_text().splitlines()]
    assert [row["messages"][0]["content"] for row in rows] == ["one", "two <b>"]
    assert Path(asked["settings"]["out"]).parent == place / "arenas"


def test_a_living_arena_has_its_link_and_an_answered_one_is_opened_again(
    place: Path, client: TestClient, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arena = place / "arenas" / "20260101-000000-abcdef"
    arena.mkdir(parents=True)
    write(arena / "arena.json", {"contenders": ["a", "b"], "settings": {}})
    write_lines(arena / "items.jsonl", [])
    stopped: list[Path] = []
    monkeypatch.setattr(works, "ask_to_stop", stopped.append)
    one = Work(place / ".ui" / "20260101-000000-aaaaaa")
    one.path.mkdir(parents=True)
    one.write("asked", {"kind": "arena", "name": arena.name, "typed": "tunesmith arena x"})
    link = "http://127.0.0.1:5555/?token=secret"
    one.write("ready", {"link": link})
    with FileLock(one.lock), named_in(one.path):
        page = Read(client.get("/arena/").text)
        assert ("href", link) in page.attributes
        client.post(f"/arena/{arena.name}/open")
        assert begun == []  # it is open
        client.post(f"/arena/{one.id}/stop")
    assert stopped == [one.path]
    assert link not in client.get("/arena/").text
    for name in ("none", "..%2fa", "%2e%2e"):
        assert client.post(f"/arena/{name}/open").status_code in (404, 405)
    client.post(f"/arena/{arena.name}/open")
    newest = max((place / ".ui").iterdir())
    assert Work(newest).asked["contenders"] == [str(arena)] and len(begun) == 1


def test_an_export_without_a_name_is_called_after_its_format(
    place: Path, client: TestClient, begun: list[list[str]]
) -> None:
    (place / "a" / "exports" / "gguf").mkdir(parents=True)
    page = Read(client.get(EXPORT, params={"format": "gguf"}).text)
    (field,) = [one for _, one in page.elements if one.get("name") == "as"]
    assert field["placeholder"] == "gguf-2" and "Modelfile for Ollama" in page.text
    assert client.post(f"{EXPORT}start", data={"format": "gguf", "as": ""}).status_code == 200
    assert asked_in(place)["out"] == str(place / "a" / "exports" / "gguf-2")
