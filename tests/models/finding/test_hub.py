"""Models and data are found here, or on a hub: a loopback server that answers as a hub does, in all
the ways it can go wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tunesmith.data.find import find_data
from tunesmith.errors import DataError, ModelError
from tunesmith.models.finding.hub import find_model
from tunesmith.models.loading.tokenizer import load_tokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """The three calls that a download makes: what is the revision, which files are there, give me
    this one.
    """

    repos: dict[str, dict[str, bytes]]
    asked: list[str]
    cutting = True

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the tests' output quiet."""

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        for repo, files in self.repos.items():
            api = f"/api/{'' if repo.startswith('datasets/') else 'models/'}{repo}"
            if path == f"{api}/revision/main":
                return self.say(
                    {"id": repo.removeprefix("datasets/"), "sha": COMMIT, "siblings": []}
                )
            if path.startswith(f"{api}/revision/"):
                return self.refuse(404, "RevisionNotFound")
            if path.startswith(f"{api}/tree/"):
                return self.say(
                    [
                        {"type": "file", "path": name, "size": len(data), "oid": oid(data)}
                        for name, data in files.items()
                    ]
                )
            if path.startswith(f"/{repo}/resolve/"):
                if "gated" in repo:
                    return self.refuse(403, "GatedRepo")
                name = path.split("/resolve/")[1].partition("/")[2]
                return self.file(
                    files[name],
                    cut=self.cutting and "cut" in repo and name.endswith(".safetensors"),
                )
        return self.refuse(404, "RepoNotFound")

    def say(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.start(200, len(data), {"Content-Type": "application/json"})
        self.wfile.write(data)

    def refuse(self, status: int, code: str) -> None:
        self.start(status, 0, {"X-Error-Code": code, "X-Error-Message": "no"})

    def file(self, data: bytes, cut: bool) -> None:
        self.start(200, len(data), {"ETag": f'"{oid(data)}"', "X-Repo-Commit": COMMIT})
        if self.command == "GET":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = True

    def start(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture(scope="module")
def hub(tiny_llama: Path) -> Iterator[SimpleNamespace]:
    """A hub on this machine with a good model, one that is cut off, a gated one, one with pickles
    only, and a data set.
    """
    model = {path.name: path.read_bytes() for path in tiny_llama.iterdir()}
    rows = b'{"question": "a", "answer": "b"}\n'
    Hub.asked = []
    Hub.repos = {
        "team/tiny": {
            **model,
            "pytorch_model.bin": b"pickle",
            "onnx/model.safetensors": b"other",
            "custom.py": b"x = 1",
        },
        "team/cut": model,
        "team/gated": model,
        "team/pickles": {"config.json": model["config.json"], "pytorch_model.bin": b"pickle"},
        "datasets/team/rows": {
            "data/train-00000.jsonl": rows * 3,
            "data/test-00000.jsonl": rows,
            "README.md": b"hello",
            "dataset_infos.json": b"{}",
        },
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", asked=Hub.asked)
    server.shutdown()
    server.server_close()


CALL = """
import sys, time
import huggingface_hub.utils._http as http
http.time.sleep = lambda seconds: None  # the waits between tries are not what is tested
import huggingface_hub.file_download as files
files.time.sleep = lambda seconds: None
from tunesmith.errors import TunesmithError
from tunesmith.models.finding.hub import find_data, find_model
find, name, revision = sys.argv[1:]
try:
    found = find_model(name, revision=revision or None) if find == "model" else find_data(name)
    print("FOUND", found if find == "model" else "|".join(map(str, found)))
except TunesmithError as error:
    print(type(error).__name__, error.exit_code, error)
assert not {"torch", "transformers"} & set(sys.modules)
"""


def ask(
    url: str, home: Path, name: str, *, find: str = "model", revision: str = "", **variables: str
) -> str:
    """What a process with these variables prints."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "LC_ALL": "C.UTF-8",
    } | variables
    environment |= {
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    call = [sys.executable, "-c", CALL, find, name, revision]
    done = subprocess.run(
        call,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_found_takes_only_safe_files_and_works_offline_afterwards(
    hub: SimpleNamespace, tmp_path: Path
) -> None:
    said = ask(hub.url, tmp_path, "team/tiny")
    folder = Path(said.removeprefix("FOUND "))
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= names
    assert not {"pytorch_model.bin", "onnx", "custom.py"} & names
    before = len(hub.asked)
    assert ask(hub.url, tmp_path, "team/tiny", HF_HUB_OFFLINE="1") == said
    assert len(hub.asked) == before


def test_missing(hub: SimpleNamespace, tmp_path: Path) -> None:
    said = ask(hub.url, tmp_path, "team/nothing")
    assert said.startswith("ModelError 2 team/nothing: there is no such folder in")
    assert f"{hub.url} has no such id" in said
    assert all(
        way in said for way in ("HF_ENDPOINT=<mirror's address>", "model=ms:<id>", "model=starter")
    )


@pytest.mark.slow  # 1 s
def test_no_such_revision(hub: SimpleNamespace, tmp_path: Path) -> None:
    assert "no revision 'v9'" in ask(hub.url, tmp_path, "team/tiny", revision="v9")


@pytest.mark.slow  # 1 s
def test_gated(hub: SimpleNamespace, tmp_path: Path) -> None:
    said = ask(hub.url, tmp_path, "team/gated")
    assert said.startswith("ModelError 2 team/gated: is gated")
    assert "HF_TOKEN" in said


def test_cut_off_then_whole(
    hub: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ask(hub.url, tmp_path, "team/cut")
    assert said.startswith("ModelError 2 team/cut: the download from"), said
    assert "the same command continues where it stopped" in said
    assert not list(tmp_path.rglob("snapshots/*/model.safetensors"))
    offline = ask(hub.url, tmp_path, "team/cut", HF_HUB_OFFLINE="1")  # half a model is no model
    assert offline.startswith("ModelError"), offline
    monkeypatch.setattr(Hub, "cutting", False)
    folder = Path(ask(hub.url, tmp_path, "team/cut").removeprefix("FOUND "))
    assert (folder / "model.safetensors").read_bytes() == Hub.repos["team/cut"]["model.safetensors"]


def test_unreachable(tmp_path: Path) -> None:
    said = ask("http://127.0.0.1:9", tmp_path, "team/tiny")  # the discard port: nobody listens
    assert said.startswith(
        "ModelError 2 team/tiny: could not be fetched: http://127.0.0.1:9 does not answer"
    )
    assert all(
        way in said
        for way in ("a folder on this machine", "HF_ENDPOINT=", "ms:<id>", "model=starter")
    )


@pytest.mark.slow  # 3 s
def test_offline_and_not_here(hub: SimpleNamespace, tmp_path: Path) -> None:
    before = len(hub.asked)
    for variable, other in (
        ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
        ("TRANSFORMERS_OFFLINE", "HF_HUB_OFFLINE"),
    ):
        said = ask(hub.url, tmp_path, "team/tiny", **{variable: "1", other: ""})
        assert f"start tunesmith without {variable}." in said and other not in said
    assert len(hub.asked) == before


def test_pickles_of_a_hub_are_not_even_fetched(hub: SimpleNamespace, tmp_path: Path) -> None:
    said = ask(hub.url, tmp_path, "team/pickles")
    assert "has no .safetensors weights; found: config.json" in said
    assert not any(path.endswith("pytorch_model.bin") for path in hub.asked)


@pytest.mark.slow  # 3 s
def test_data_of_a_hub_takes_the_training_part(hub: SimpleNamespace, tmp_path: Path) -> None:
    said = ask(hub.url, tmp_path, "team/rows", find="data")
    assert said.endswith("data/train-00000.jsonl")
    assert "|" not in said
    refused = ask(hub.url, tmp_path, "team/rows:french", find="data")
    assert refused.startswith(
        "DataError 2 team/rows:french: has no subset 'french'; its files: data/"
    )


def test_local_folder_comes_first(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model(str(tiny_llama)) == tiny_llama
    monkeypatch.chdir(tiny_llama.parent)
    assert find_model(tiny_llama.name) == Path(tiny_llama.name)


def test_folder_of_a_run_gives_its_model(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("model: x\n")
    with pytest.raises(
        ModelError,
        match=r"is a run that has no model yet; finish it with `tunesmith train .* --resume`",
    ):
        find_model(str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    assert find_model(str(tmp_path)) == tmp_path / "model"


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (["config.json", "pytorch_model.bin"], "only in pickle form (pytorch_model.bin)"),
        (["config.json", "model.pt", "a.ckpt"], "only in pickle form (a.ckpt, model.pt)"),
        (["config.json"], "has no .safetensors weights; found: config.json"),
        (["model.safetensors"], "has weights but neither config.json nor adapter_config.json"),
        ([], "has no .safetensors weights; found: -"),
    ],
)
def test_folders_that_are_not_models(tmp_path: Path, files: list[str], text: str) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ModelError) as caught:
        find_model(str(tmp_path))
    assert text in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("weight_map", "text"),
    [
        (
            {"a": "model-1.safetensors", "b": "model-2.safetensors"},
            "1 of 2 weight files are missing (model-2.safetensors)",
        ),
        (
            {"a": "../elsewhere.safetensors"},
            "'../elsewhere.safetensors', which is not a file of this folder",
        ),
        (["model-1.safetensors"], "is not a valid index of weights"),
    ],
)
def test_index_of_weights(tmp_path: Path, weight_map: object, text: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model-1.safetensors").write_bytes(b"")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ModelError) as caught:
        find_model(str(tmp_path))
    assert text in str(caught.value)


@pytest.mark.parametrize("text", ["[]", '"x"', "null", "3", "{ not json", "", "\xff"])
def test_settings_of_generation_that_are_no_object_are_refused(
    text: str, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    (folder / "generation_config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=r"generation_config\.json: holds no JSON object"):
        find_model(str(folder))


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["[]", '"x"', "null", "3", "{ not json", ""])
def test_a_tokenizer_that_cannot_be_read_is_told(
    text: str, name: str, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="has no tokenizer that can be read"):
        load_tokenizer(folder)


@pytest.mark.parametrize("path", ["./nothing", "/nothing/here", "a/b/c", "nothing.gguf"])
def test_paths_that_lead_nowhere_ask_no_hub(path: str) -> None:
    with pytest.raises(ModelError, match="there is no such folder or file"):
        find_model(path)


@pytest.mark.parametrize(
    "path", ["./rows.json", "rows.json", "/nothing/rows.csv", "team/rows.jsonl.gz"]
)
def test_data_files_that_are_not_there_ask_no_hub(
    path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="there is no such file"):
        find_data(path)


def test_data_here_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "team" / "rows").mkdir(parents=True)
    for name in ("b.jsonl", "a.csv"):
        (tmp_path / "team" / "rows" / name).write_text("x\n")
    monkeypatch.chdir(tmp_path)
    assert find_data("team/rows") == [Path("team/rows/a.csv"), Path("team/rows/b.jsonl")]
    assert find_data("team/rows/a.csv") == [Path("team/rows/a.csv")]


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"x")
    with pytest.raises(ModelError, match=r"a model is a folder with config\.json"):
        find_model(str(file))


def test_modelscope_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelscope", None)
    with pytest.raises(ModelError, match=r"ms:qwen/tiny: .*`pip install 'tunesmith\[hub\]'`"):
        find_model("ms:qwen/tiny")
    with pytest.raises(DataError, match=r"pip install"):
        find_data("ms:someone/rows")


def test_modelscope_gets_the_same_request(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    class HubError(Exception):
        """Stands for the base of ModelScope's errors."""

    def download(
        name: str,
        revision: str | None,
        *,
        repo_type: str,
        allow_patterns: list[str],
        ignore_patterns: list[str],
    ) -> str:
        asked.append((name, revision, repo_type))
        assert "*.safetensors" in allow_patterns
        assert not {"*.bin", "*.pt"} & set(allow_patterns)
        if name == "no/thing":
            raise HubError("no such model")
        return str(tiny_llama)

    for name, contents in {
        "modelscope": {"snapshot_download": download},
        "modelscope.hub": {},
        "modelscope.hub.errors": {"HubError": HubError},
    }.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    assert find_model("ms:qwen/tiny", revision="v1") == tiny_llama
    assert asked == [("qwen/tiny", "v1", "model")]
    with pytest.raises(ModelError, match=r"ModelScope \(HubError: no such model\)\. Options"):
        find_model("ms:no/thing")
