"""A teacher behind an endpoint: what is busy, fails or breaks off is asked again, and nothing cut
is taken for an answer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith import api
from tunesmith.errors import SpecError, Stopped, TunesmithError
from tunesmith.teaching.endpoint import LIMITS
from tunesmith.teaching.journal import Journal
from tunesmith.teaching.written import Written

SERVER = Path(__file__).parents[1] / "material" / "troubled.py"


class Server:
    """An endpoint that runs, and what it was asked."""

    def __init__(
        self, folder: Path, key: str = "", pause: float = 0, models: tuple[str, ...] = ()
    ) -> None:
        self.log = folder / "asked.jsonl"
        words = [sys.executable, str(SERVER), str(self.log), key, str(pause), *models]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/v1"

    @property
    def asked(self) -> list[dict[str, Any]]:
        if not self.log.is_file():
            return []
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    @property
    def counts(self) -> Counter[str]:
        return Counter(one["question"].split()[0] for one in self.asked)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    servers: list[Server] = []

    def start(**how: Any) -> Server:
        servers.append(Server(tmp_path, **how))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


def settings(folder: Path, server: Server, questions: list[str], **teacher: Any) -> dict[str, Any]:
    rows = [
        {"instruction": question, "output": f"own {n}", "id": n}
        for n, question in enumerate(questions)
    ]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    how = {"timeout": 60, "attempts": 3, **teacher}
    return {
        "model": server.url,
        "data": str(folder / "rows.json"),
        "out": str(folder / "answers.jsonl"),
        "teacher": how,
    }


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


TROUBLES = [
    "good",
    "busy",
    "fails",
    "broken",
    "unended",
    "error",
    "slow",
    "long",
    "filtered",
    "silent",
    "plain",
]
ASKED_TWICE = ("busy", "fails", "broken", "unended", "error", "slow")


def test_every_trouble_at_once(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    asked = settings(
        tmp_path, server, [f"{trouble} {n}" for n, trouble in enumerate(TROUBLES)], timeout=5
    )
    account = api.generate(
        asked, ["data.system=Be brief.", "generate.temperature=0.5", "generate.stop=END"]
    )
    assert server.counts == {trouble: 2 if trouble in ASKED_TWICE else 1 for trouble in TROUBLES}
    first, second = (one["at"] for one in server.asked if one["question"].startswith("busy"))
    assert second - first > 0.99, "Retry-After is kept"
    body = server.asked[0]["body"]
    assert (body["model"], body["temperature"], body["stop"], body["stream"]) == (
        "big",
        0.5,
        ["END"],
        True,
    )
    rows = read(tmp_path / "answers.jsonl")
    kept = [
        (n, trouble)
        for n, trouble in enumerate(TROUBLES)
        if trouble not in ("long", "filtered", "silent")
    ]
    assert [row["id"] for row in rows] == [n for n, _ in kept], "in the order of the file"
    for row, (n, trouble) in zip(rows, kept, strict=True):
        thought, between = ("hm", " ") if trouble == "plain" else ("thought", "\u2028")
        assert row == {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": f"{trouble} {n}"},
                {
                    "role": "assistant",
                    "reasoning_content": thought,
                    "content": f"answer{between}to {trouble} {n}",
                },
            ],
            "reference": f"own {n}",
            "id": n,
            "teacher": "big",
            "finish": "stop",
        }
    assert (account.rows, account.written, account.retried, account.tokens > 70) == (11, 8, 6, True)
    assert account.finishes == {"stop": 8, "length": 1, "refused": 1, "empty": 1}
    assert not (tmp_path / "answers.jsonl.partial").exists() and not list(tmp_path.glob(".*"))
    with pytest.raises(SpecError, match="already exists; choose another out"):
        api.generate(asked)


def test_what_was_cut_is_kept_where_it_is_asked_for(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    asked = settings(tmp_path, serve(), ["long 0"])
    with pytest.raises(
        TunesmithError, match=r"no answer could be kept \(length: 1\).*teacher.cut=keep"
    ):
        api.generate(asked)
    account = api.generate(asked, ["teacher.cut=keep"])
    assert account.earlier == 1, "it is not asked again"
    assert [row["finish"] for row in read(tmp_path / "answers.jsonl")] == ["length"]


def test_a_server_that_calls_the_limit_otherwise(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve()
    asked = settings(tmp_path, server, [f"newer {n}" for n in range(5)], requests=1, attempts=1)
    account = api.generate(asked, ["generate.max_new_tokens=7"])
    assert (account.written, account.retried) == (5, 0)
    limits = [
        {name: one["body"][name] for name in LIMITS if name in one["body"]} for one in server.asked
    ]
    assert limits == [{"max_tokens": 7}, *[{"max_completion_tokens": 7}] * 5], "it is learned once"


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("bad 0", "answered 400: context length exceeded. The request itself is refused (row "),
        ("spent 0", "answered 429: pay first. The account has no quota left"),
        ("page 0", "This is a web page, not an endpoint"),
    ],
)
def test_what_the_request_is_to_blame_for_ends_at_once(
    serve: Callable[..., Server], tmp_path: Path, question: str, told: str
) -> None:
    server = serve()
    with pytest.raises(SpecError) as caught:
        api.generate(
            settings(tmp_path, server, [question, *(f"good {n}" for n in range(1, 40))], requests=1)
        )
    assert told in str(caught.value) and str(caught.value).startswith("model: http://127.0.0.1")
    assert len(server.asked) == 1


def test_keys(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(key="sk-right")
    asked = settings(tmp_path, server, ["good 0"], name="big")
    with pytest.raises(
        SpecError, match=r"answered 401.*environment variable OPENAI_API_KEY is not set"
    ):
        api.generate(asked)
    monkeypatch.setenv("MY_KEY", "sk-wrong")
    with pytest.raises(SpecError, match="does not accept the key in MY_KEY") as caught:
        api.generate(asked, ["teacher.key_env=MY_KEY"])
    assert "sk-wrong" not in str(caught.value) and "***" in str(caught.value)
    assert len(server.asked) == 2
    monkeypatch.setenv("MY_KEY", "sk-right")
    api.generate(asked, ["teacher.key_env=MY_KEY"])
    assert "sk-right" not in "".join(
        path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path != server.log
    )


def test_settings_that_an_endpoint_cannot_follow(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(models=("one", "two"))
    asked = settings(tmp_path, server, ["good 0"])
    with pytest.raises(
        SpecError, match=r"serves 2 models; choose one with teacher.name=...: one, two"
    ):
        api.generate(asked)
    with pytest.raises(
        SpecError, match=r"generate.repetition_penalty: an endpoint has no such setting"
    ):
        api.generate(asked, ["generate.repetition_penalty=1.2"])
    with pytest.raises(SpecError, match=r"model.quantize: an endpoint has no such setting"):
        api.generate(asked, ["model.quantize=nf4"])
    with pytest.raises(SpecError, match="put the key into the environment variable"):
        api.generate(asked, [f"model={server.url}?api-key=1"])
    with pytest.raises(SpecError, match=r"is an endpoint.*tunesmith generate model=http"):
        api.plan({**asked, "teacher": None, "out": str(tmp_path / "run")}).require()


@pytest.mark.slow  # 2 s
def test_an_endpoint_that_stays_down_is_left_and_gone_on_with(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve()
    asked = settings(tmp_path, server, ["good 0", "good 1", "down 2", "good 3"], requests=1)
    with pytest.raises(
        Stopped,
        match=r"gave no answer in 3 tries \(status 500: out of memory\); the answers so far are kept",
    ):
        api.generate(asked)
    assert server.counts == {"good": 2, "down": 3}
    with pytest.raises(Stopped):
        api.generate(asked)
    assert server.counts == {"good": 2, "down": 6}
    with pytest.raises(
        SpecError,
        match=r"made with other settings \(generate.max_new_tokens\); use the earlier settings",
    ):
        api.generate(asked, ["generate.max_new_tokens=9"])
    rows = (tmp_path / "rows.json").read_text(encoding="utf-8")
    (tmp_path / "rows.json").write_text(rows.replace("good 0", "good 9"), encoding="utf-8")
    with pytest.raises(SpecError, match=r"made with other settings \(data\)"):
        api.generate(asked)


def test_no_more_answers_wait_to_be_kept_than_there_are_requests(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, add, lost = serve(), Journal.add, []

    def slowly(journal: Journal, number: int, answer: Written) -> None:
        time.sleep(0.1)
        lost.append(len(server.asked) - len(journal.places))
        add(journal, number, answer)

    monkeypatch.setattr(Journal, "add", slowly)
    api.generate(settings(tmp_path, server, [f"good {n}" for n in range(9)], requests=2))
    assert len(lost) == 9 and max(lost) == 2, "what a kill would lose"


def started(folder: Path, asked: dict[str, Any]) -> subprocess.Popen[str]:
    (folder / "asked.yaml").write_text(json.dumps(asked), encoding="utf-8")
    words = [sys.executable, "-m", "tunesmith", "generate", "asked.yaml", "--lang", "en"]
    return subprocess.Popen(
        words,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A suite that runs in the background of a shell hands on that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGKILL, -9),
        pytest.param(signal.SIGTERM, 75, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 75, marks=pytest.mark.slow),
    ],
)
def test_a_process_that_ends_in_the_middle_goes_on(
    serve: Callable[..., Server], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    server, requests = serve(), 2
    questions = [f"{'good' if n < 6 else 'held'} {n}" for n in range(12)]
    asked = settings(tmp_path, server, questions, requests=requests)
    process, partial = started(tmp_path, asked), tmp_path / "answers.jsonl.partial"
    until = time.monotonic() + 60
    while (
        not partial.is_file() or partial.read_bytes().count(b"\n") < 4
    ) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == code, error
    assert code != 75 or ("which are in" in error and "Traceback" not in error)
    had = len(read(partial)) - 1
    assert 3 <= had <= 6 and not (tmp_path / "answers.jsonl").exists()
    server.log.with_name("asked.jsonl.go").touch()
    with open(partial, "a", encoding="utf-8") as file:
        file.write('{"number": 11, "text": "answer to g')
    again = started(tmp_path, asked)
    told, error = again.communicate(timeout=60)
    assert again.returncode == 0, error
    assert (
        f"{had} answers were there from an earlier call" in told
        and "of 12 answers are there already" in error
    )
    rows = read(tmp_path / "answers.jsonl")
    assert [row["messages"][-1]["content"] for row in rows] == [
        f"answer\u2028to {question}" for question in questions
    ]
    assert 12 <= len(server.asked) <= 12 + requests, "only what was on its way is asked again"
