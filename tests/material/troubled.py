"""An endpoint in a process of its own, with the troubles that real ones have; each question says
which it meets.

``python troubled.py LOG KEY PAUSE`` prints its port, notes each request in LOG, wants KEY where one
is given, and rests PAUSE seconds in the middle of each answer. Answers to ``held`` questions wait
there until a file LOG.go exists.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOG, KEY, PAUSE = sys.argv[1], sys.argv[2], float(sys.argv[3])
SEPARATOR = "\u2028"
"""Which some take for the end of a line, and an event for none."""
MODELS = sys.argv[4:] or ["big"]
ASKED: Counter[str] = Counter()


def event(text: str, reason: str | None = None, name: str = "content") -> bytes:
    return (
        b"data: "
        + json.dumps(
            {"choices": [{"delta": {name: text}, "finish_reason": reason}]}, ensure_ascii=False
        ).encode()
        + b"\n\n"
    )


class Troubled(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        if self.allowed():
            self.whole(200, {"data": [{"id": name} for name in MODELS]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][-1]["content"]
        ASKED[question] += 1
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(
                json.dumps(
                    {"question": question, "at": time.time(), "path": self.path, "body": body}
                )
                + "\n"
            )
        if not self.allowed():
            return
        trouble, first = question.split()[0], ASKED[question] == 1
        if trouble == "busy" and first:
            self.whole(429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
        elif trouble == "spent":
            self.whole(429, {"error": {"message": "pay first", "code": "insufficient_quota"}})
        elif trouble in ("fails", "down") and (first or trouble == "down"):
            self.whole(500, {"error": {"message": "out of memory"}})
        elif trouble == "bad":
            self.whole(400, {"error": {"message": "context length exceeded"}})
        elif trouble == "newer" and "max_tokens" in body:
            said = (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead."
            )
            self.whole(400, {"error": {"message": said, "code": "unsupported_parameter"}})
        elif trouble == "page":
            self.whole(200, "<html>hello</html>", {"Content-Type": "text/html"})
        elif trouble == "plain":
            message = {"content": f"answer to {question}", "reasoning_content": "hm"}
            self.whole(
                200,
                {
                    "choices": [{"message": message, "finish_reason": "stop"}],
                    "usage": {"completion_tokens": 70},
                },
            )
        else:
            self.stream(
                question,
                trouble
                if first
                else "good"
                if trouble not in ("long", "filtered", "silent")
                else trouble,
            )

    def allowed(self) -> bool:
        given = self.headers.get("authorization", "")
        if KEY and given != f"Bearer {KEY}":
            self.whole(
                401,
                {
                    "error": {
                        "message": f"Incorrect API key provided: {given.removeprefix('Bearer ')}"
                    }
                },
            )
            return False
        return True

    def whole(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, question: str, trouble: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if trouble == "silent":
            self.chunk(event("", "stop") + b"data: [DONE]\n\n")
            return self.chunk(b"")
        self.chunk(event("th", name="reasoning_content") + event("ought", name="reasoning_content"))
        self.chunk(
            b": a comment\n\n" + event(f"answer{SEPARATOR}")[:20]
        )  # an event may arrive in two parts
        self.chunk(event(f"answer{SEPARATOR}")[20:])
        time.sleep(PAUSE + (8 if trouble == "slow" else 0))
        while trouble == "held" and not os.path.exists(f"{LOG}.go"):
            time.sleep(0.02)
        if trouble == "broken":  # the connection dies
            self.close_connection = True
            return self.connection.close()
        if trouble == "unended":  # the server ends well, but the answer does not
            return self.chunk(b"")
        if trouble == "error":
            self.chunk(b'data: {"error": {"message": "the engine died"}}\n\n')
            return self.chunk(b"")
        reason = {"long": "length", "filtered": "content_filter"}.get(trouble, "stop")
        self.chunk(event(f"to {question}") + event("", reason) + b"data: [DONE]\n\n")
        return self.chunk(b"")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Nothing is said of those who went away."""


if __name__ == "__main__":
    server = Quiet(("127.0.0.1", 0), Troubled)
    print(server.server_port, flush=True)
    server.serve_forever()
