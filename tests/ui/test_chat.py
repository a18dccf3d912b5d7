"""Runs served from the page and talked with side by side: one truth for every tab, kept line by
line, with nothing that a form could lead astray.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from filelock import FileLock
from starlette.testclient import TestClient

from material.folders import SCRIPT, bare, write
from material.opened_page import HOST
from material.page import Page as Read
from tunesmith.storage.process import named_in
from tunesmith.ui import work, works
from tunesmith.ui.chats import Chat
from tunesmith.ui.serve_pages import called_by
from tunesmith.ui.works import Work

PATIENCE = 10


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two finished runs that write, one that is not finished, one that sorts, and one outside."""
    for name in ("runs/a", "runs/b & c", "runs/open", "outside/secret"):
        bare(tmp_path / name)
    bare(tmp_path / "runs" / "sorts", objective="classify")
    for name in ("runs/a", "runs/b & c", "runs/sorts", "outside/secret"):
        (tmp_path / name / "model").mkdir()
        write(tmp_path / name / "model" / "tunesmith.json", {"step": 3})
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "outside" / "secret")
    return tmp_path / "runs"


class Models(ThreadingHTTPServer):
    """Stands in for a server of runs: says the pieces, the last of them once it is let go on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.go_on = threading.Event()
        self.refuses = ""


class Handler(BaseHTTPRequestHandler):
    server: Models

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(asked)
        self.server.keys.add(self.headers["authorization"])
        if self.server.refuses == asked["model"]:
            self.send_response(400)
            self.end_headers()
            self.wfile.write(json.dumps({"error": {"message": "too long"}}).encode())
            return
        self.send_response(200)
        self.end_headers()
        for piece in ("Hel", "lo " + SCRIPT):
            told = {"choices": [{"delta": {"content": piece}, "finish_reason": None}]}
            self.wfile.write(f"data: {json.dumps(told)}\n\n".encode())
            self.wfile.flush()
            self.server.go_on.wait(PATIENCE)
        end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
        self.wfile.write(f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def models() -> Iterator[Models]:
    with Models() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()


@pytest.fixture
def served(place: Path, models: Models) -> Iterator[Work]:
    """A work that lives, and says that run a is served with its base."""
    one = Work(place / ".ui" / "20260101-000000-abcdef")
    one.path.mkdir(parents=True)
    names = {"a": "a"}
    one.write("asked", {"kind": "serve", "names": names, "runs": {}, "typed": ["a=runs/a"]})
    url = f"http://127.0.0.1:{models.server_port}/v1"
    routes = {"a": ["chat/completions"], "base": ["chat/completions"]}
    one.write("ready", {"models": routes, "url": url, "key": "ts-secret"})
    with FileLock(one.lock), named_in(one.path):
        yield one


def talk(client: TestClient) -> str:
    """Begins a conversation with run a; returns its address."""
    answer = client.post("/chat/begin", data={"run": "a"}, follow_redirects=False)
    assert answer.status_code == 303
    return f"/chat/{answer.headers['location']}"


def until(client: TestClient, address: str, wanted: str) -> str:
    """The live part of a page once it shows a text."""
    end = time.monotonic() + PATIENCE
    while wanted not in (text := client.get(f"{address}now").text):
        assert time.monotonic() < end, text
        time.sleep(0.02)
    return text


def lines_of(place: Path) -> list[dict[str, Any]]:
    (file,) = (place / "chats").glob("*.jsonl")
    return Chat(file).lines()


def test_a_stranger_sees_and_does_nothing(
    place: Path, client: TestClient, served: Work, begun: list[list[str]]
) -> None:
    address = talk(client)
    stranger = TestClient(client.app, base_url=f"http://{HOST}")
    for path in ("/chat/", address, f"{address}now", f"{address}file", "/serve/", "/serve/now"):
        assert stranger.get(path).status_code == 403
        assert client.get(path, headers={"host": "evil.example"}).status_code == 403
    acts = [f"{address}{act}" for act in ("ask", "stop", "load")]
    for path in (*acts, "/chat/begin", "/serve/start", f"/serve/{served.id}/stop"):
        assert stranger.post(path).status_code == 403
        assert client.post(path, headers={"origin": "http://evil.example"}).status_code == 403
        assert client.get(path).status_code in (404, 405)
    assert begun == [] and len(lines_of(place)) == 1 and not served.stopping


@pytest.mark.parametrize("name", ["linked", "../outside/secret", "open", "none", "sorts"])
def test_only_finished_runs_of_this_folder_that_write_are_talked_with(
    place: Path, client: TestClient, begun: list[list[str]], name: str
) -> None:
    assert client.post("/chat/begin", data={"run": ["a", name]}).status_code == 400
    if name != "sorts":
        assert client.post("/serve/start", data={"run": [name]}).status_code == 400
    assert client.post("/serve/start").status_code == 400
    assert begun == [] and not (place / "chats").exists()


@pytest.mark.parametrize("name", ["../../outside", "%2e%2e%2frun", "none", "..%2f"])
def test_no_name_of_a_conversation_or_server_leads_elsewhere(client: TestClient, name: str) -> None:
    for path in (f"/chat/{name}/", f"/chat/{name}/file", f"/chat/{name}/now"):
        assert client.get(path).status_code == 404
    assert client.post(f"/serve/{name}/stop").status_code in (404, 405)


def test_runs_are_served_by_names_that_requests_can_give(
    place: Path, client: TestClient, begun: list[list[str]]
) -> None:
    assert called_by(["a b", "a/b", "a-b"]) == {"a-b": "a b", "a-b-2": "a/b", "a-b-3": "a-b"}
    client.post("/serve/start", data={"run": ["b & c", "sorts"]})
    (one,) = (place / ".ui").iterdir()
    assert begun == [[works.sys.executable, "-m", "tunesmith.ui.work", str(one)]]
    assert one.stat().st_mode & 0o077 == 0
    asked = Work(one).asked
    assert asked["runs"] == {"b-c": str(place / "b & c"), "sorts": str(place / "sorts")}


def test_answers_are_streamed_to_every_tab_and_kept(
    place: Path, client: TestClient, served: Work, models: Models, begun: list[list[str]]
) -> None:
    address = talk(client)
    other = TestClient(client.app, base_url=f"http://{HOST}", cookies=client.cookies)
    assert client.post(f"{address}ask", data={"question": "Hi <b>?"}).status_code == 200
    for tab in (client, other):
        text = until(tab, address, "Hel")
        assert 'aria-busy="true"' in text and 'data-every="100"' in text
    assert other.post(f"{address}ask", data={"question": "me too"}).status_code == 400
    models.go_on.set()
    text = until(other, address, 'aria-busy="false"')
    page = Read(text)
    assert page.texts.count("Hello " + SCRIPT) == 2 and SCRIPT not in text and "<b>?" not in text
    assert "base: base" in page.texts
    assert models.keys == {"Bearer ts-secret"} and begun == []
    given = {"question": "And?", "temperature": "0.5", "max_tokens": "7", "system": "Be brief."}
    client.post(f"{address}ask", data=given)
    until(client, address, "Be brief.")
    until(client, address, 'aria-busy="false"')
    first, second = models.asked[0], models.asked[-1]
    assert set(first) == {"model", "stream", "messages"}  # all else is the run's own
    assert (second["temperature"], second["max_tokens"]) == (0.5, 7)
    said = [(one["role"], one["content"]) for one in second["messages"]]
    assert said == [
        ("system", "Be brief."),
        ("user", "Hi <b>?"),
        ("assistant", "Hello " + SCRIPT),
        ("user", "And?"),
    ]
    kept = client.get(f"{address}file")
    assert "attachment" in kept.headers["content-disposition"]
    assert [json.loads(line) for line in kept.text.splitlines()] == lines_of(place)
    assert [one.get("model") for one in lines_of(place)].count("a") == 2


def test_what_was_written_before_it_was_stopped_is_kept(
    place: Path, client: TestClient, served: Work, models: Models
) -> None:
    address = talk(client)
    client.post(f"{address}ask", data={"question": "Hi"})
    until(client, address, "Hel")
    client.post(f"{address}stop")
    models.go_on.set()
    until(client, address, "stopped")
    assert {one["finish"] for one in lines_of(place) if "model" in one} == {"stopped"}


def test_a_model_that_refuses_says_why_and_the_others_answer(
    place: Path, client: TestClient, served: Work, models: Models
) -> None:
    models.refuses = "base"
    models.go_on.set()
    address = talk(client)
    client.post(f"{address}ask", data={"question": "Hi"})
    text = until(client, address, 'aria-busy="false"')
    assert "too long" in text and "Hello" in text
    models.refuses = ""
    models.shutdown()
    models.server_close()
    client.post(f"{address}ask", data={"question": "Still there?"})
    text = until(client, address, "Still there?")
    until(client, address, 'aria-busy="false"')
    assert [bool(one["problem"]) for one in lines_of(place) if one.get("turn") == 1] == [True] * 2


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"question": "  "}, "Write a question"),
        ({"question": "Hi", "temperature": "hot"}, "must be a number"),
        ({"question": "Hi", "temperature": "9"}, "must be 2.0 or less"),
    ],
)
def test_what_cannot_be_asked_is_said(
    place: Path, client: TestClient, served: Work, form: dict[str, str], told: str
) -> None:
    answer = client.post(f"{talk(client)}ask", data=form)
    assert answer.status_code == 400 and told in answer.text and len(lines_of(place)) == 1


def test_a_question_to_models_that_are_still_loaded_stays_as_it_was_written(
    place: Path, client: TestClient, served: Work
) -> None:
    (served.path / "ready.json").unlink()
    answer = client.post(f"{talk(client)}ask", data={"question": "Where to?"})
    assert answer.status_code == 400 and "still being loaded" in answer.text
    assert ">Where to?</textarea>" in answer.text and len(lines_of(place)) == 1


def test_a_conversation_outlives_its_models(
    place: Path, client: TestClient, begun: list[list[str]]
) -> None:
    address = talk(client)
    assert len(begun) == 1  # no server had these runs
    assert client.post(f"{address}ask", data={"question": "Hi"}).status_code == 400
    text = client.get(address).text
    assert f'action="{address}load"' in text
    client.post(f"{address}load")
    assert len(begun) == 2
    file = place / "chats" / f"{address.split('/')[2]}.jsonl"
    with file.open("a") as lines:
        lines.write('{"turn": 0, "mod')  # a crash cut it short
    assert client.get(address).status_code == 200
    Chat(file).add({"asked": "And now?", "how": {}})
    Chat(file).add({"turn": 0, "model": "a", "text": "Now."})
    Chat(file).add({"turn": 7, "model": "a", "text": "to a question that is lost"})
    assert [(one.asked, len(one.answers)) for one in Chat(file).turns()] == [("And now?", 1)]
    for number, text in enumerate(("[1]\n", "no JSON", '{"asked": "Hi"}\n')):
        (place / "chats" / f"2026-{number}.jsonl").write_text(text)  # nobody's conversation
        assert client.get(f"/chat/2026-{number}/").status_code == 404
    assert client.get("/chat/").text.count('<li><a href="/chat/') == 1


def test_the_serve_page_shows_address_and_key_while_it_lives(
    place: Path, client: TestClient, served: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Read(client.get("/serve/").text)
    assert "ts-secret" in page.texts and any("/v1" in one for one in page.texts)
    asked: list[Path] = []
    monkeypatch.setattr(works, "ask_to_stop", asked.append)
    client.post(f"/serve/{served.id}/stop")
    assert asked == [served.path]


def test_a_server_that_died_or_was_refused_says_so_and_no_key(
    place: Path, client: TestClient
) -> None:
    for number, ended in enumerate((None, {"problem": "port taken"}, {"problem": ""})):
        one = Work(place / ".ui" / f"2026010{number}")
        one.path.mkdir(parents=True)
        one.write("asked", {"kind": "serve", "names": {"a": "a"}, "typed": ["a=runs/a"]})
        one.write("ready", {"models": {}, "url": "http://gone", "key": "ts-secret"})
        one.said.write_text("Traceback: it broke")
        if ended is not None:
            one.write("ended", ended)
    text = client.get("/serve/").text
    assert "port taken" in text and "it broke" in text and text.count('class="card"') == 2
    assert "ts-secret" not in text


def test_what_is_wrong_with_a_work_is_written_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work.words, "use", lambda language, asked: None)
    one = Work(tmp_path / "one")
    one.path.mkdir()
    one.write("asked", {"kind": "serve", "lang": "en", "runs": {"a": str(tmp_path / "none")}})
    assert work.main(one.path) == 2
    assert str(tmp_path / "none") in (one.read("ended") or {})["problem"] and not one.living
