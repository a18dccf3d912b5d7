"""An endpoint on this machine that answers the last part of a question by heart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest


class Teacher(BaseHTTPRequestHandler):
    """Says what ``said`` holds for the text behind the last empty line, ``otherwise`` for any other;
    down at the text that ``down`` names.
    """

    asked: ClassVar[list[str]] = []
    said: ClassVar[Mapping[str, str]] = {}
    otherwise = ""
    down = ""

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = body["messages"][-1]["content"].rpartition("\n\n")[2]
        self.asked.append(text)
        told: Any = {"error": {"message": "out of memory"}}
        if text != self.down:
            message = {"content": self.said.get(text, self.otherwise)}
            told = {"choices": [{"message": message, "finish_reason": "stop"}]}
        data = json.dumps(told).encode()
        self.send_response(500 if text == self.down else 200)
        self.send_header("content-length", str(len(data)))
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def teaching(
    monkeypatch: pytest.MonkeyPatch, said: Mapping[str, str], otherwise: str
) -> Iterator[list[str]]:
    """Gives the settings that name such an endpoint, which ends with the block."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    facts = {"asked": [], "said": said, "otherwise": otherwise, "down": ""}
    for name, value in facts.items():
        monkeypatch.setattr(Teacher, name, value)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    Thread(target=server.serve_forever, daemon=True).start()
    yield [f"model=http://127.0.0.1:{server.server_port}/v1", "teacher.name=big"]
    server.shutdown()
    server.server_close()
