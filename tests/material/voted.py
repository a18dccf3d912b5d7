"""An arena as its folder holds it, and an endpoint with models that answer and one that judges."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tunesmith.voting.comparison import Comparison
from tunesmith.voting.folder import ArenaFolder, Item

NAMES = ("secret-alpha", "secret-beta")


def arena_of(
    folder: Path, prompts: int = 30, names: Sequence[str] = NAMES, twice: float = 0.1
) -> Comparison:
    """An arena in which contender N answers prompt P with ``reply P of kind N``, N times longer."""
    items = [
        Item(
            str(place),
            [{"role": "user", "content": f"question {place}"}],
            {n: f"reply {place} of kind {n}" + " more" * n for n in range(len(names))},
        )
        for place in range(1, prompts + 1)
    ]
    settings = {"data": "prompts.jsonl", "twice": twice, "seed": 0}
    facts = {"contenders": list(names), "settings": settings, "left": {"prompts": prompts}}
    ArenaFolder(folder).write_items(items, facts)
    return Comparison(folder)


class Models(BaseHTTPRequestHandler):
    """``brief`` says yes; ``wordy`` says more; ``cut`` never ends; ``vain`` names itself; ``judge``
    prefers the longer answer, ``lefty`` whatever comes first; ``grader`` likes the word good.
    """

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        names = ("brief", "wordy", "cut", "vain", "judge", "lefty", "grader")
        self._send({"data": [{"id": name} for name in names]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = {"brief": "Yes.", "wordy": "Yes, and for these three reasons.", "cut": "Yes and"}
        said |= {"vain": "I am Qwen, trained by Alibaba Cloud. Yes.", "lefty": "Answer: A"}
        text, question = said.get(body["model"], ""), body["messages"][-1]["content"]
        if body["model"] == "judge":
            parts = re.split(r"\[Answer \d\]\n|\n\nWhich is right", question)
            text = "Answer: " + ("A" if len(parts[1]) > len(parts[2]) else "B")
        if body["model"] == "grader":  # a grade for each "good", in the ways that judges write it
            good = question.rpartition("[Answer]")[2].count("good")
            text = ("Grade: 0", "It helps. Grade: 3/10", "**9 out of 10**", "none")[min(good, 3)]
        finish = "length" if body["model"] == "cut" else "stop"
        plain = body["model"] in ("judge", "lefty", "grader")
        message = {"content": text if plain else f"{text} {question}"}
        used = {"prompt_tokens": 7, "completion_tokens": 3}
        self._send({"choices": [{"message": message, "finish_reason": finish}], "usage": used})

    def _send(self, told: Any) -> None:
        data = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def models() -> Iterator[str]:
    """The address of the endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Models)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
