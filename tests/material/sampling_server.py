"""A server that speaks vLLM's protocol for sampling: completions by token ids from an adapter that
is loaded by name, in this process.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

LOCK = threading.Lock()


class Sampler(ThreadingHTTPServer):
    """Serves ``base`` and the adapters that it is told to load. ``without`` names what it leaves
    out of an answer, ``down`` counts the requests that it still answers with 503.
    """

    daemon_threads = True

    def __init__(self, base: Path, without: str = "") -> None:
        from transformers import AutoModelForCausalLM

        super().__init__(("127.0.0.1", 0), _Handler)
        self.base = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        self.without, self.down = without, 0
        self.adapters: dict[str, Any] = {}
        self.loaded: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def load(self, name: str, path: str) -> None:
        import copy

        from peft import PeftModel

        assert name not in self.loaded, "a name is used once"
        self.loaded.append(name)
        self.adapters[name] = PeftModel.from_pretrained(copy.deepcopy(self.base), path).eval()

    @torch.no_grad()
    def answers(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        model = self.adapters.get(body["model"], self.base)
        stops, heat = body.get("stop_token_ids", []), body.get("temperature", 1.0)
        generator = torch.Generator().manual_seed(body.get("seed", 0))
        ids_BT = torch.tensor([body["prompt"]] * body["n"])
        told_BT = torch.zeros(body["n"], 0)
        for _ in range(body["max_tokens"]):
            logprobs_BV = (model(input_ids=ids_BT).logits[:, -1] / heat).log_softmax(-1)
            drawn_B1 = torch.multinomial(logprobs_BV.exp(), 1, generator=generator)
            told_BT = torch.cat([told_BT, logprobs_BV.gather(1, drawn_B1)], 1)
            ids_BT = torch.cat([ids_BT, drawn_B1], 1)
        found = []
        for number, row in enumerate(ids_BT[:, len(body["prompt"]) :].tolist()):
            ends = [place for place, token in enumerate(row) if token in stops]
            length = ends[0] + 1 if ends else len(row)
            told, ended = told_BT[number, :length].tolist(), bool(ends)
            found.append(
                {
                    "index": number,
                    "text": "…",
                    "prompt_token_ids": body["prompt"],
                    "token_ids": row[:length],
                    "logprobs": {"token_logprobs": told},
                    "finish_reason": "stop" if ended else "length",
                }
            )
            if self.without == "stop" and ended:
                found[-1]["token_ids"].pop()
                told.pop()
            found[-1].pop(self.without, None)
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Sampler

    def _tell(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        known = [{"id": "base", "parent": None}]
        self._tell(
            200, {"data": known + [{"id": n, "parent": "base"} for n in self.server.adapters]}
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.down:
            self.server.down -= 1
            self._tell(503, "down")
        elif self.path == "/v1/load_lora_adapter" and self.server.without == "adapters":
            self._tell(404, "Not Found")
        elif self.path == "/v1/load_lora_adapter":
            self.server.load(body["lora_name"], body["lora_path"])
            self._tell(200, "loaded")
        elif self.path == "/v1/unload_lora_adapter":
            del self.server.adapters[body["lora_name"]]
            self._tell(200, "unloaded")
        else:
            with LOCK:
                self._tell(200, {"choices": self.server.answers(body)})

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def serving(base: Path, without: str = "") -> Iterator[Sampler]:
    """Serves until the end of the block."""
    server = Sampler(base, without)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
