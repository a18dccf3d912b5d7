"""What is wrong with what a proof is given is one clear line on the command line; what can still be
said is said.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.storage.run_folder import RunFolder

Prove = Callable[..., tuple[int, str, str]]


@pytest.fixture
def prove(adapter_run: RunFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Prove:
    """Proves a copy of a tiny run as it is typed; gives the exit code, what was printed, and the
    lines of what is wrong.
    """

    def typed(*words: str, before: Callable[[Path], None] | None = None) -> tuple[int, str, str]:
        copy = tmp_path / "run"
        shutil.copytree(adapter_run.path, copy, dirs_exist_ok=True)
        if before is not None:
            before(copy)
        capsys.readouterr()
        code = main(["prove", str(copy), "--lang", "en", "--items", "5", "--shots", "0", *words])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return typed


def in_all(files: list[str], old: str, new: str) -> Callable[[Path], None]:
    """Makes a change of a run's files that puts ``new`` in the place of ``old``."""

    def change(run: Path) -> None:
        for name in files:
            text = (run / name).read_text(encoding="utf-8")
            assert old in text, f"{name} has {old}"
            (run / name).write_text(text.replace(old, new), encoding="utf-8")

    return change


def test_a_base_that_is_gone_is_named(prove: Prove, tiny_llama: Path) -> None:
    names = ["run.yaml", "model/tunesmith.json", "model/adapter_config.json"]
    code, _, told = prove(before=in_all(names, str(tiny_llama), "/nowhere/base"))
    assert code == 2 and "/nowhere/base: there is no such folder" in told


def test_a_changed_template_is_told_before_anything_is_scored(prove: Prove) -> None:
    change = in_all(["model/chat_template.jinja"], "assistant", "helper")
    code, out, told = prove(before=change)
    assert code == 2 and "the tokenizer or its chat template was changed after the run" in told
    assert out == ""


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("rows", '{"a": 1}\n', "say which column is which"),
        ("rows", '{"question": "x", "answer"\n', "suite.jsonl:1: this is not valid JSON"),
        ("text", '{"a": 1}\n', "say which column is which"),
        ("rows", None, "there is no such file"),
        ("nosuch", "x", "unknown suite 'nosuch'; known: lm_eval, probe, rows, safety, text"),
    ],
)
def test_a_suite_in_the_wrong_layout_is_told(
    kind: str, text: str | None, line: str, prove: Prove, tmp_path: Path
) -> None:
    file = tmp_path / "suite.jsonl"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    code, out, told = prove("--suite", kind if kind == "nosuch" else f"{kind}={file}")
    assert code == 2 and line in told and out == ""


@contextmanager
def judge_that_says(text: str) -> Iterator[str]:
    """An endpoint with the same answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            message = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1}
            body = json.dumps({"choices": [message], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_judge_that_answers_nonsense_grades_nothing_and_the_rest_is_said(prove: Prove) -> None:
    with judge_that_says("banana") as url:
        code, out, _ = prove("--metric", f"{{name: judge, url: {url}, model: x}}")
    assert code == 0, "it decides nothing"
    assert "gave no grade for 5 of 5 items" in out and "banana" in out
    # Five rows give no verdict, and that is said too.
    assert "5 rows are too few for a verdict" in out


def test_a_judge_whose_address_is_none_is_told_before_anything_is_scored(prove: Prove) -> None:
    code, out, told = prove("--metric", "{name: judge, url: banana, model: x}")
    assert code == 2 and out == "" and "prove.metrics" in told and "banana" in told
