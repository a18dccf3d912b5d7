"""A run's export goes to a hub whole, with its card, or not at all: a loopback server speaks the
calls of an upload.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub.utils._http as hub_http
import pytest
import yaml
from huggingface_hub import constants

from material.exported import asked, tuned
from tunesmith.errors import HubError, SpecError
from tunesmith.export.card import languages
from tunesmith.export.make import export
from tunesmith.export.send import reached, send
from tunesmith.storage.sending import HuggingFace, ModelScope, hub_of

PROOF: dict[str, Any] = {
    "items": 40,
    "primary": "accuracy",
    "verdict": "improved",
    "contenders": {"base": {"accuracy": 0.25}, "tuned": {"accuracy": 0.75}},
    "differences": {
        "base": {
            "accuracy": {"difference": 0.5, "low": 0.3, "high": 0.7, "verdict": "improved",
                         "smallest_effect": 0.1, "items_needed": None, "p": 0.001}
        }
    },
    "shots": [],
}  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    """The calls of huggingface_hub: whose token, make the model, how is each file sent, where do
    large ones go, one commit.
    """

    server: Loopback

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the tests' output quiet."""

    def do_GET(self) -> None:
        self.answer()

    do_POST = do_PUT = do_GET

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, hub = self.path.partition("?")[0], self.server
        hub.asked.append(path)
        if path in hub.cut:
            self.close_connection = True
            return None
        if path in hub.refused:
            return self.say({"error": "no such right"}, hub.refused[path])
        if path == "/api/whoami-v2":
            return self.say({"name": "team", "auth": {"accessToken": {"role": "write"}}})
        if path == "/api/repos/create":
            hub.made = json.loads(body)
            return self.say({"url": f"{hub.url}/team/tiny", "name": "team/tiny"})
        if path == "/api/validate-yaml":
            return self.say({"errors": [], "warnings": []})
        if path.endswith("/preupload/main"):
            files = [
                {"path": one["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular"}
                for one in json.loads(body)["files"]
            ]  # fmt: skip
            return self.say({"files": files})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{hub.url}/large/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            return self.say({"transfer": "basic", "objects": objects})
        if path.startswith("/large/"):
            hub.large[path.split("/")[-1]] = body
            return self.say({})
        if path != "/api/models/team/tiny/commit/main":
            return self.say({"error": "no such call"}, 404)
        hub.commits.append([json.loads(line) for line in body.splitlines()])
        return self.say({"commitUrl": f"{hub.url}/team/tiny/commit/1", "commitOid": "1"})

    def say(self, value: object, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Loopback(ThreadingHTTPServer):
    """What the hub was asked, and what it holds."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        self.commits: list[list[Any]] = []
        self.large: dict[str, bytes] = {}
        self.made: dict[str, Any] = {}
        self.refused: dict[str, int] = {}
        self.cut: set[str] = set()

    def held(self) -> dict[str, bytes]:
        """The files of the only commit, as a reader of the hub would get them."""
        (commit,), found = self.commits, {}
        for line in commit:
            value = line["value"]
            if line["key"] == "file":
                found[value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "lfsFile":
                found[value["path"]] = self.large[value["oid"]]
        return found


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loopback]:
    server = Loopback()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(hub_http.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "made"
    place.mkdir()
    (place / "model.safetensors").write_bytes(b"weights")
    (place / "README.md").write_text("---\ntags:\n- tunesmith\n---\n# tiny\n")
    return place


def test_everything_is_sent_with_its_card_and_nothing_of_this_machine(
    tiny_llama: Path, tmp_path: Path, hub: Loopback
) -> None:
    run = tuned(tmp_path / "run", tiny_llama)
    run.proof.write_text(json.dumps(PROOF))
    row = {"prompt": "what is the secret", "reference": "苹果在山上的小房子里面"}
    run.items.write_text(json.dumps(row) + "\n" + json.dumps(row | {"reference": "yes"}))
    run.ledger.write_text(
        json.dumps({"files": [], "rows": 100, "trained": 60, "watch": 0, "proof": 40})
    )
    done = export(run, tmp_path / "out", asked("hub=team/tiny"))
    files = {path.name: path.read_bytes() for path in done.out.iterdir()}
    assert hub.held() == files
    assert (hub.made["name"], hub.made["visibility"]) == ("tiny", "private")
    assert done.lines()[-1].startswith(f"sent to {hub.url}/team/tiny (Hugging Face)")

    _, header, body = files["README.md"].decode().split("---\n", 2)
    told = yaml.safe_load(header)
    assert "base_model" not in told  # a folder of this machine is no id
    assert told["tags"] == ["tunesmith", "sft", "lora", "hf"]
    assert told["language"] == ["zh", "en"]
    (result,) = told["model-index"][0]["results"]
    (metric,) = result["metrics"]
    assert metric["type"] == "accuracy" and metric["value"] == 0.75
    assert metric["args"] == {"against": "base", "difference": 0.5, "low": 0.3, "high": 0.7}
    assert "75.0 %" in body and "| training | 60 |" in body and "hf download team/tiny" in body
    assert str(tmp_path) not in files["README.md"].decode()
    assert str(tiny_llama) not in files["README.md"].decode()
    assert "secret" not in body


@pytest.mark.slow  # 3 s
def test_an_adapter_names_its_base_by_its_id_and_no_folder_of_this_machine(
    tiny_llama: Path, tmp_path: Path, hub: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tuned(tmp_path / "run", tiny_llama)
    with pytest.raises(SpecError, match=r"^export\.hub: .*format=hf"):
        export(run, tmp_path / "out", asked("format=adapter", "hub=team/tiny"))
    assert not (tmp_path / "out").exists() and hub.commits == []
    # As where the run's model.path is an id.
    for where in ("tunesmith.export.make", "tunesmith.export.card"):
        monkeypatch.setattr(f"{where}.base_id", lambda source: "team/base")
    done = export(run, tmp_path / "out", asked("format=adapter", "hub=team/tiny"))
    held = hub.held()
    told = json.loads(held["adapter_config.json"])
    assert told["base_model_name_or_path"] == "team/base" and told["r"] == 4
    assert done.page.task is None, "the run's rows are gone, and that is told"
    assert any("could not be asked" in line and str(tmp_path) in line for line in done.lines())
    for place in (str(tmp_path), str(tiny_llama)):
        published = [name for name, data in held.items() if place.encode() in data]
        assert published == []


def test_without_a_token_it_says_what_would_be_sent_and_asks_nobody(
    folder: Path, hub: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    place = reached("team/tiny")
    assert place is not None
    head, *files = send(place, folder, met=True, public=False).lines()
    assert (
        "set HF_TOKEN" in head
        and f"hf upload team/tiny {folder} --private`" in head
        and "private" in head
    )
    assert [line.split()[0] for line in files] == ["README.md", "model.safetensors"]
    assert hub.asked == []


def test_a_token_that_is_refused_is_told_before_anything_is_made(
    tiny_llama: Path, tmp_path: Path, hub: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refused = {"/api/whoami-v2": 401}
    monkeypatch.setattr("tunesmith.export.make.load_trained", lambda source: pytest.fail("loaded"))
    run = tuned(tmp_path / "run", tiny_llama)
    with pytest.raises(HubError, match=r"^team/tiny: .* does not accept the token .*HF_TOKEN") as e:
        export(run, tmp_path / "out", asked("hub=team/tiny"))
    assert "\n" not in str(e.value) and "hf_of_the_test" not in str(e.value)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set and forbids sending"):
        export(run, tmp_path / "out", asked("hub=team/tiny"))


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/api/repos/create", 403, "does not let this token write for team"),
        ("/api/models/team/tiny/commit/main", 500, "failed or did not answer"),
        ("/api/models/team/tiny/preupload/main", None, "failed or did not answer"),
        ("/large/" + hashlib.sha256(b"weights").hexdigest(), None, "failed or did not answer"),
    ],
)
def test_a_hub_that_fails_leaves_the_folder_and_half_a_model_nowhere(
    folder: Path, hub: Loopback, path: str, status: int | None, told: str
) -> None:
    hub.refused, hub.cut = ({path: status}, set()) if status else ({}, {path})
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    with pytest.raises(HubError, match=rf"{told} .*Nothing is lost: .*hf upload team/tiny") as e:
        send(HuggingFace("team/tiny"), folder, met=True, public=False)
    assert "\n" not in str(e.value)
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before
    assert hub.commits == []


def test_what_the_run_forbids_is_not_sent(folder: Path, hub: Loopback) -> None:
    sent = send(HuggingFace("team/tiny"), folder, met=False, public=False)
    assert sent.lines() == [
        "nothing was sent to team/tiny: the model does not reach what export.require asks for"
    ]
    assert hub.asked == []


def test_an_id_is_owner_and_name() -> None:
    assert hub_of("ms:team/tiny") == ModelScope("team/tiny")
    for wrong in ("tiny", "team/tiny/more", "../tiny", "team/", "--x/y", "ms:tiny", "队/名"):
        with pytest.raises(SpecError, match=r"export\.hub: .*owner/name"):
            hub_of(wrong)


def test_modelscope_gets_the_folder_in_its_own_calls(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []

    class Refusal(Exception):
        """Stands for the base of ModelScope's errors."""

    class APIError(Refusal):
        status_code = 403

    class Api:
        def whoami(self) -> None:
            calls.append(("whoami",))

        def repo_exists(self, name: str, kind: str) -> bool:
            return name == "team/old"

        def create_repo(self, name: str, kind: str, *, visibility: str) -> None:
            if name == "other/tiny":
                raise APIError("no such right")
            calls.append(("create", name, kind, visibility))

        def upload_folder(
            self, name: str, kind: str, place: Path, *, commit_message: str, use_cache: bool
        ) -> None:
            calls.append(("upload", name, kind, place, use_cache))

    class Config:
        token, endpoint = "ms-of-the-test", "https://modelscope.test"

    for name, contents in {
        "modelscope_hub": {"HubApi": Api, "get_default_config": Config},
        "modelscope_hub.errors": {"HubError": Refusal, "APIError": APIError},
    }.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    place = reached("ms:team/new")
    assert place is not None
    sent = send(place, folder, met=True, public=True)
    assert sent.url == "https://modelscope.test/models/team/new"
    upload = ("model", folder, False)
    assert calls == [
        ("whoami",),
        ("create", "team/new", "model", "public"),
        ("upload", "team/new", *upload),
    ]
    send(ModelScope("team/old"), folder, met=True, public=True)
    assert calls[3:] == [("upload", "team/old", *upload)]
    with pytest.raises(HubError, match=r"write for other .*visibility private && .* upload other"):
        send(ModelScope("other/tiny"), folder, met=True, public=False)
    monkeypatch.setitem(sys.modules, "modelscope_hub", None)
    with pytest.raises(SpecError, match=r"pip install 'tunesmith\[hub\]'"):
        reached("ms:team/new")


def test_a_language_is_named_only_where_the_texts_tell_it() -> None:
    assert languages([]) == []
    assert languages(["what is the sea", "中国的首都是哪里"]) == ["zh", "en"]
    assert languages(["où est la gare", "il fait beau aujourd'hui"]) == []
    assert languages(["the sea"] * 19 + ["今日はいい天気です"]) == ["en"]
