"""A real server process, asked by real clients: OpenAI's, curl, and bare sockets."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from material import classified
from material.headed import WORDS, encoder
from material.proved import labelled
from material.served import Server, serving
from tunesmith import api
from tunesmith.predicting.predictor import Predictor

QUESTIONS = [row["instruction"] for row in labelled(12)]
LIMIT = 300.0
"""Seconds that a client waits: as long as an answer may take the server."""


@pytest.fixture(scope="module")
def runs(adapter_run, label_run, tmp_path_factory) -> dict[str, Any]:
    """Two runs that write, one that tells classes, one that gives vectors."""
    folder = tmp_path_factory.mktemp("served")
    kinds = classified.trained(folder, encoder(folder / "bert"), train={"epochs": 1})
    pairs = [{"anchor": f"{a} {b}", "positive": f"{b} {a}"} for a in WORDS[:6] for b in WORDS[:6]]
    (folder / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
    vectors = api.train(
        {
            "model": str(folder / "bert"),
            "data": {"path": str(folder / "pairs.json"), "held_out": 0},
            "objective": "embed",
            "out": str(folder / "vectors"),
            "train": {"epochs": 1, "keep": {"evaluate": 0, "save": 0}},
        }
    )
    return {"adapter": adapter_run, "whole": label_run, "kinds": kinds, "vectors": vectors}


@pytest.fixture(scope="module")
def server(runs, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "log.txt"
    with serving([f"{name}={run.path}" for name, run in runs.items()], log) as one:
        yield one


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url, api_key=server.key, max_retries=0, timeout=LIMIT)


def asked(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def post(server: Server, route: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = server.headers | headers
    return httpx.post(f"{server.url}/{route}", content=content, headers=headers, timeout=LIMIT)


@pytest.mark.parametrize("name", ["adapter", "whole"])
def test_many_clients_at_once_get_the_answers_of_predict(client, runs, name):
    rows = [{"instruction": question} for question in QUESTIONS]
    wanted = [row["prediction"] for row in api.predict(runs[name], rows)]

    def ask(question: str) -> str:
        answer = client.chat.completions.create(model=name, messages=asked(question))
        return answer.choices[0].message.content

    with ThreadPoolExecutor(6) as pool:
        assert [*pool.map(ask, QUESTIONS)] == wanted


def test_a_stream_is_the_answer_in_pieces(client):
    how: Any = {"model": "whole", "messages": asked(QUESTIONS[0])}
    whole = client.chat.completions.create(**how)
    options = {"include_usage": True}
    pieces = [*client.chat.completions.create(**how, stream=True, stream_options=options)]
    assert pieces[0].choices[0].delta.role == "assistant"
    text = "".join(one.choices[0].delta.content or "" for one in pieces if one.choices)
    assert text == whole.choices[0].message.content
    assert [one.choices[0].finish_reason for one in pieces[:-1]].count(None) == len(pieces) - 2
    assert pieces[-1].choices == [] and pieces[-1].usage.total_tokens == whole.usage.total_tokens


def test_several_answers_with_likelihoods_and_a_seed(client):
    how: Any = {"model": "adapter", "messages": asked("red"), "temperature": 1.0, "seed": 4}
    found = [
        client.chat.completions.create(**how, n=3, logprobs=True, top_logprobs=2) for _ in range(2)
    ]
    texts = [[choice.message.content for choice in one.choices] for one in found]
    assert texts[0] == texts[1] and len({*texts[0]}) > 1
    first = found[0].choices[0]
    tokens = first.logprobs.content
    assert found[0].usage.completion_tokens <= sum(
        len(c.logprobs.content) for c in found[0].choices
    )
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in tokens)


def test_an_answer_keeps_to_a_schema(client):
    schema = {"type": "object", "properties": {"kind": {"enum": ["color", "animal"]}}}
    schema |= {"required": ["kind"], "additionalProperties": False}
    form: Any = {"type": "json_schema", "json_schema": {"name": "kind", "schema": schema}}
    answer = client.chat.completions.create(
        model="whole", messages=asked("red"), response_format=form, max_completion_tokens=64
    )
    assert json.loads(answer.choices[0].message.content)["kind"] in ("color", "animal")


def test_texts_are_continued(client):
    found = client.completions.create(
        model="whole", prompt=["the name", "what is"], max_tokens=3, logprobs=1, temperature=0
    )
    assert [choice.index for choice in found.choices] == [0, 1]
    assert all(len(choice.logprobs.tokens) <= 3 for choice in found.choices)


def test_vectors_are_those_of_predict(client, runs):
    texts = [f"{WORDS[0]} {WORDS[1]}", WORDS[2]]
    wanted = [
        row["prediction"]
        for row in Predictor(runs["vectors"]).predict([{"text": t} for t in texts])
    ]
    for form in ("float", "base64"):
        found = client.embeddings.create(model="vectors", input=texts, encoding_format=form)
        for one, vector in zip(found.data, wanted, strict=True):
            value = one.embedding
            if isinstance(value, str):
                import base64
                import struct

                raw = base64.b64decode(value)
                value = struct.unpack(f"<{len(raw) // 4}f", raw)
            assert value == pytest.approx(vector, abs=1e-5)


def test_classes_are_those_of_predict(server, runs):
    texts = ["red xyz uvw", "xyz cow uvw"]
    wanted = Predictor(runs["kinds"]).predict([{"text": text} for text in texts])
    found = post(server, "classify", {"model": "kinds", "input": texts}).json()["data"]
    for one, row in zip(found, wanted, strict=True):
        assert one["prediction"] == row["prediction"]
        assert one["probabilities"] == pytest.approx(row["probabilities"], abs=1e-5)


def test_the_line_that_is_printed_works_in_a_shell(server):
    line = next(line for line in server.told.splitlines() if line.startswith("  curl "))
    done = subprocess.run(shlex.split(line), capture_output=True, timeout=LIMIT, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["role"] == "assistant"


def test_models_health_and_numbers(server, client):
    assert [one.id for one in client.models.list()][:4] == ["adapter", "whole", "kinds", "vectors"]
    root = server.url.removesuffix("/v1")
    assert httpx.get(f"{root}/health", headers=server.headers).json() == {"status": "ok"}
    page = httpx.get(f"{root}/metrics", headers=server.headers).text
    assert 'tunesmith_requests_total{route="/v1/chat/completions",status="200"}' in page
    assert str(server.process.pid) not in page


@pytest.mark.parametrize("route", ["/v1/models", "/health", "/metrics", "/none", "/v1/completions"])
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ts-wrong", "Basic eDp5"])
def test_no_route_answers_without_the_key(server, route, given):
    method = "POST" if route.endswith("completions") else "GET"
    headers = {"authorization": given} if given else {}
    root = server.url.removesuffix("/v1")
    found = httpx.request(method, root + route, headers=headers, content=b"{", timeout=LIMIT)
    assert found.status_code == 401 and "ts-" not in found.text.replace("ts-wrong", "")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "localhost:1"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:3000"}, 200),
    ],
)
def test_pages_of_other_sites_may_not_ask(server, headers, status):
    found = httpx.get(f"{server.url}/models", headers=server.headers | headers, timeout=LIMIT)
    assert found.status_code == status
    assert "access-control-allow-origin" not in found.headers


CHAT = {"model": "whole", "messages": [{"role": "user", "content": "red"}]}


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"model": "other"}, 404, "adapter, whole"),
        ({"model": "kinds"}, 400, "/v1/classify"),
        ({"model": ""}, 400, "adapter"),
        ({"n": 5}, 400, "n: 5"),
        ({"n": 0}, 400, "n:"),
        ({"temperature": -1}, 400, "temperature"),
        ({"stop": ["a"] * 9}, 400, "stop: 9"),
        ({"stop": "x" * 300}, 400, "stop: "),
        ({"messages": [{"role": "user", "content": "x"}] * 300}, 400, "messages: 300"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "x " * 4000}]}, 400, "512"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, 400, "surrogate"),
        ({"presence_penalty": 1}, 400, "presence_penalty"),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"top_logprobs": 99, "logprobs": True}, 400, "top_logprobs"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_field(server, change, status, told):
    found = post(server, "chat/completions", CHAT | change)
    assert found.status_code == status, found.text
    error = found.json()["error"]
    assert told in error["message"] and {*error} == {"message", "type", "param", "code"}


def test_what_open_webui_sends_is_answered(server):
    """As its routers/openai.py and routers/tasks.py ask: a list of models, a title, and a stream in
    which a turn has parts, an earlier one is the answer to a call, and defaults are spelled out.
    """
    listed = httpx.get(
        f"{server.url}/models",
        headers=server.headers
        | {"x-openwebui-user-name": "Ann", "content-type": "application/json"},
        timeout=LIMIT,
    ).json()
    assert {"id", "object", "created", "owned_by"} <= {*listed["data"][1]}
    title = {"model": "whole", "messages": asked("### Task: a title"), "stream": False}
    told = post(server, "chat/completions", title | {"max_completion_tokens": 8}).json()
    assert told["choices"][0]["message"]["role"] == "assistant"
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "red"}]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "blue"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "cow"}, {"type": "text", "text": "!"}],
        },
    ]
    params = {"temperature": 0.0, "top_p": 1.0, "frequency_penalty": 0.0, "seed": None, "stop": []}
    usage = {"stream_options": {"include_usage": True}}
    body = {"model": "whole", "messages": messages, "stream": True, "max_tokens": 8}
    found = post(server, "chat/completions", body | params | usage | {"logit_bias": {}})
    assert found.status_code == 200 and found.headers["content-type"].startswith(
        "text/event-stream"
    )
    events = [line[6:] for line in found.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]" and json.loads(events[-2])["usage"]["total_tokens"] > 0
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    seen = post(server, "chat/completions", {"model": "whole", "messages": [
        {"role": "user", "content": [{"type": "text", "text": "red"}, picture]}]})  # fmt: skip
    assert seen.status_code == 400 and "messages.0.content" in seen.json()["error"]["message"]


def test_fields_that_are_not_known_are_told(server):
    found = post(server, "chat/completions", CHAT | {"user": "me", "new_thing": 1})
    assert found.status_code == 200
    assert found.headers["x-tunesmith-ignored"] == "user, new_thing"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"model": 1}'])
def test_a_body_that_is_no_request_is_refused(server, body):
    assert post(server, "chat/completions", body).status_code == 400


def test_long_bodies_are_not_read(server):
    found = post(server, "chat/completions", b" " * (2**20 + 1))
    assert found.status_code == 413
    with socket.create_connection(server.address, LIMIT) as line:  # the same without a length
        line.sendall(head(server, "transfer-encoding: chunked"))
        try:
            for _ in range(40):
                line.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        except OSError:
            pass  # it closed before all was sent
        else:
            assert b"413" in line.recv(100)


def head(server: Server, *lines: str, route: str = "chat/completions") -> bytes:
    told = [f"POST /v1/{route} HTTP/1.1", "host: localhost", f"authorization: Bearer {server.key}"]
    return "\r\n".join([*told, *lines, "", ""]).encode()


def test_a_client_that_goes_away_ends_its_answer(server):
    body = json.dumps(CHAT | {"stream": True, "max_tokens": 400, "temperature": 2.0}).encode()
    root = server.url.removesuffix("/v1")

    def busy() -> float:
        page = httpx.get(f"{root}/metrics", headers=server.headers).text
        return float(
            next(x for x in page.splitlines() if x.startswith("tunesmith_rows ")).split()[1]
        )

    for _ in range(3):
        with socket.create_connection(server.address, LIMIT) as line:
            line.sendall(head(server, f"content-length: {len(body)}") + body)
            assert line.recv(4096)
    until = time.monotonic() + LIMIT
    while busy() and time.monotonic() < until:
        time.sleep(0.05)
    assert busy() == 0


def test_no_text_of_a_request_is_in_the_log(server):
    secret = "unmistakable-words"
    post(server, "chat/completions", CHAT | {"messages": asked(secret)})
    post(server, f"chat/{secret}", {})
    post(server, "chat/completions", {"model": secret, "messages": secret})
    log = server.log.read_text()
    assert "POST /v1/chat/completions 200" in log and "POST other 404" in log
    assert secret not in log and server.key not in log and "Traceback" not in log


def test_predict_asks_a_server_and_gets_the_same(server, runs, tmp_path, monkeypatch):
    from tunesmith.cli.main import main

    file, out = tmp_path / "rows.json", tmp_path / "out.jsonl"
    rows = [{"instruction": question} for question in QUESTIONS]
    file.write_text(json.dumps(rows))
    monkeypatch.setenv("OPENAI_API_KEY", server.key)
    monkeypatch.setattr("tunesmith.models.saved.load_run", None)  # no weights are loaded here
    command = ["predict", str(runs["whole"].path), str(file), "--out", str(out)]
    assert main([*command, "--engine", f"{server.url}#whole"]) == 0
    monkeypatch.undo()
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert found == api.predict(runs["whole"], rows)


@pytest.mark.slow  # 4 s
def test_a_small_load(server):
    """The whole is ``make load``."""
    import asyncio
    import runpy

    load = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "load.py"))
    found, _ = asyncio.run(load["many"](server, 8, 40))
    assert {*found} <= {200, 429}
    assert asyncio.run(load["going_away"](server, 10)) < LIMIT
    assert {*asyncio.run(load["fuzz"](server, 200))} <= {200, 400, 404, 429}


def test_a_signal_ends_it_when_answers_are_written(server, client):
    pieces = client.chat.completions.create(
        model="adapter", messages=asked("red"), stream=True, temperature=1.5, max_tokens=300, seed=1
    )
    next(pieces)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(server.end)
        rest = [one.choices[0].finish_reason for one in pieces]
        assert rest[-1] in ("stop", "length")
        assert ended.result(LIMIT) == 0
    with pytest.raises(OSError):
        socket.create_connection(server.address, 1)
