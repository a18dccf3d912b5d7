"""A program called vllm is started with the flags that a run needs, waited for and ended."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest

from material.exported import beside, run_folder, tuned
from tunesmith.cli.main import main

STAND_IN = '''#!{python}
"""Speaks the protocol of a server for as long as it is let, and notes how it was started."""
import http.server, json, os, pathlib, sys

words = sys.argv[1:]
given = {{one: words[at + 1] for at, one in enumerate(words) if one.startswith("--")
          and at + 1 < len(words)}}
place = pathlib.Path(given["--tokenizer"])
note = {{"words": words, "key": os.environ["VLLM_API_KEY"], "files": sorted(os.listdir(place)),
         "place": str(place), "scale": json.loads((place / "adapter_config.json").read_text())}}
pathlib.Path({note!r}).write_text(json.dumps(note))
if {dies}:
    sys.exit(3)


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.headers["Authorization"] == "Bearer " + note["key"]
        self.send_response(200 if right else 401)
        self.end_headers()
        turn = {{"role": "assistant", "content": body["model"]}}
        self.wfile.write(json.dumps({{"choices": [{{"message": turn}}]}}).encode())


http.server.HTTPServer((given["--host"], int(given["--port"])), Answers).serve_forever()
'''


def stand_in(folder: Path, *, dies: bool = False) -> Path:
    folder.mkdir()
    note, program = folder / "note.json", folder / "vllm"
    program.write_text(STAND_IN.format(python=sys.executable, note=str(note), dies=dies))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return note


@pytest.mark.slow  # 13 s
def test_it_is_started_asked_and_ended(tiny_llama: Path, tmp_path: Path) -> None:
    note = stand_in(tmp_path / "bin")
    run = tuned(tmp_path / "run", tiny_llama)
    env = {
        **os.environ,
        "PATH": f"{note.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TUNESMITH_LANG": "en",
    }
    command = [sys.executable, "-m", "tunesmith", "serve", f"tuned={run.path}"]
    process = subprocess.Popen(
        [*command, "--engine", "vllm", "--port", "0", "--at-once", "5"],
        stdout=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        url = next(line.split()[-1] for line in lines if line.startswith("Ready"))
        key = next(line.split()[-1] for line in lines if line.startswith("Key"))
        body = json.dumps({"model": "tuned", "messages": []}).encode()
        request = urllib.request.Request(
            f"{url}/chat/completions", body, {"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["choices"][0]["message"]["content"] == "tuned"
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    told = json.loads(note.read_text())
    words = told["words"]
    assert words[:2] == ["serve", str(tiny_llama)] and key not in words
    pairs = dict(pairwise(words))
    assert pairs["--served-model-name"] == tiny_llama.name and pairs["--max-num-seqs"] == "5"
    assert pairs["--max-lora-rank"] == "8" and pairs["--lora-modules"] == f"tuned={told['place']}"
    assert told["scale"]["lora_alpha"] == told["scale"]["r"] == 4
    assert {"chat_template.jinja", "generation_config.json", "tokenizer.json"} < set(told["files"])
    assert not Path(told["place"]).exists()


def test_one_that_ends_by_itself_is_told(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    note = stand_in(tmp_path / "bin", dies=True)
    monkeypatch.setenv("PATH", str(note.parent), prepend=os.pathsep)
    run = tuned(tmp_path / "run", tiny_llama)
    line = ["serve", str(run.path), "--engine", "vllm", "--port", "0", "--lang", "en"]
    assert main(line) == 1
    assert "vLLM ended by itself with exit code 3" in capfd.readouterr().err


def test_what_it_cannot_serve_is_told_before(
    tiny_llama: Path, label_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    run = tuned(tmp_path / "run", tiny_llama)
    monkeypatch.setenv("PATH", str(tmp_path))
    line = ["serve", "--engine", "vllm", "--lang", "en"]
    assert main([*line, str(run.path)]) == 2
    assert "vllm is not installed here" in capsys.readouterr().err
    stand_in(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert main([*line, str(run.path), "--queue", "3", "--allow-host", "a"]) == 2
    told = capsys.readouterr().err
    assert "--queue: only tunesmith's own server has it" in told and "--allow-host" in told
    assert main([*line, str(run.path), "--engine", "tgi"]) == 2
    assert "must be one of: tunesmith, vllm" in capsys.readouterr().err
    judge = run_folder(tmp_path / "judge", tiny_llama, objective="reward")
    judge.model.mkdir()
    beside(judge, tiny_llama)
    assert main([*line, str(judge.path)]) == 2
    assert "a model of objective reward writes no text" in capsys.readouterr().err
    assert main([*line, f"a={label_run.path}", f"b={run.path}"]) == 2
    assert "a, b: vLLM serves one model" in capsys.readouterr().err
    config = run.model / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "use_dora": True}))
    assert main([*line, str(run.path)]) == 2
    assert f"tunesmith export {run.path} OUT format=vllm" in capsys.readouterr().err
