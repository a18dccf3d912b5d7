"""Wordings of models: there and back through two tiny Marian models, and of an endpoint that fails
in the middle; what was said is kept, and the guards hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from material.two_sided import tiny_pair
from tunesmith.api import change_rows
from tunesmith.data.augmenting.translating import Translator
from tunesmith.errors import SpecError, Stopped

ENGLISH = ["a quick answer to it", "the long road home", "we saw 12 red boats"]
GERMAN = ["eine schnelle Antwort", "der weite Weg heim", "wir sahen 12 rote Boote"]
BACK = ["a fast answer to it", "the wide way home", "we saw 13 red boats"]
ROWS = [{"question": text, "answer": f"{n}"} for n, text in enumerate(ENGLISH)]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def marian(folder: Path, source: str, target: str, texts: list[str], said: list[str]) -> Path:
    """Writes a model that has learned the few translations by heart."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tiny_pair(folder, "marian", d_model=48)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    asked = tokenizer(texts, return_tensors="pt", padding=True)
    labels = tokenizer(said, return_tensors="pt", padding=True)["input_ids"]
    labels[labels == tokenizer.pad_token_id] = -100
    step = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(150):
        loss = model(
            input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], labels=labels
        ).loss
        step.zero_grad()
        loss.backward()
        step.step()
        if loss.item() < 0.01:
            break
    model.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    told = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**told, "source_lang": source, "target_lang": target}), "utf-8")
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    there = marian(folder / "there", "en", "de", ENGLISH, GERMAN)
    return there, marian(folder / "back", "de", "en", GERMAN, BACK)


def test_texts_go_there_and_back_and_a_changed_number_is_refused(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    source, out = write(tmp_path / "in.jsonl", ROWS), tmp_path / "out.csv"
    how = ["how=back_translation", f"model={pair[0]}", f"back={pair[1]}", "temperature=0"]
    account = change_rows("augment", source, tmp_path / "out.jsonl", how)
    made = read(tmp_path / "out.jsonl")
    assert [row["question"] for row in made] == [
        ENGLISH[0],
        BACK[0],
        ENGLISH[1],
        BACK[1],
        ENGLISH[2],
    ]
    assert [row["answer"] for row in made] == ["0", "0", "1", "1", "2"]
    assert made[1]["tunesmith_from"]["augmented"] == "back_translation"
    assert any("a number" in note for note in account.notes)
    change_rows("augment", source, out, how)  # a table is written as well, and nothing is left over
    assert {path.name for path in tmp_path.iterdir()} == {
        *("in.jsonl", "out.jsonl", "out.jsonl.account.jsonl", "out.csv", "out.csv.account.jsonl")
    }


def test_what_was_drawn_before_a_kill_is_drawn_again_alike(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.jsonl", ROWS)
    held = write(tmp_path / "held.jsonl", [{"question": BACK[1]}])
    how = ["how=back_translation", f"model={pair[0]}", f"back={pair[1]}", "times=2"]
    how += ["temperature=0.2", f"against={held}"]
    account = change_rows("augment", source, tmp_path / "whole.jsonl", how)
    assert any("nearly a row that is held out" in note for note in account.notes)
    plain = Translator.answers

    def broken(self: Translator, *given: Any) -> Iterator[Any]:
        for number, answer in plain(self, *given):
            yield number, answer
            if self.source == "de" and number == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(Translator, "answers", broken)
        with pytest.raises(KeyboardInterrupt):
            change_rows("augment", source, tmp_path / "again.jsonl", how)
    kept = read(tmp_path / "again.jsonl.partial")
    assert [line["number"] for line in kept[1:]] == [0, 1, 2, 3, 4, 5]
    assert not (tmp_path / "again.jsonl").exists()
    change_rows("augment", source, tmp_path / "again.jsonl", how)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_what_cannot_be_there_and_back_is_told_before_weights_are_loaded(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Translator, "_loaded", lambda self: pytest.fail("was loaded"))
    source, out = write(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    chinese = write(tmp_path / "zh.jsonl", [{"question": "今天的天气怎么样", "answer": "好"}])
    there, back = (f"{name}={path}" for name, path in zip(("model", "back"), pair, strict=True))
    cases = [
        (source, [there], r"back: there \(en-de\) and back \(en-de\) are not one pair"),
        (chinese, [there, back], r"it translates en-de, and most texts are in another script \(zh"),
        (source, [there, back, "through=fr"], r"language: .*translates en-de, and \?-fr was"),
        (source, [], "model: how=back_translation needs"),
        (source, [there, "words=x.txt"], "words: goes with how=synonyms only"),
    ]
    for given, how, told in cases:
        with pytest.raises(SpecError, match=told):
            change_rows("augment", given, out, ["how=back_translation", *how])
    with pytest.raises(SpecError, match="is a translation model"):
        change_rows("augment", source, out, ["how=paraphrase", there])
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


class Said(BaseHTTPRequestHandler):
    """Says its lines otherwise; down at the text that ``down`` names."""

    asked: ClassVar[list[str]] = []
    down = ""

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][-1]["content"]
        self.asked.append(question)
        text = question.rpartition("\n\n")[2]
        if text == self.down:
            self.answer(500, {"error": {"message": "out of memory"}})
            return
        said = {**dict(zip(ENGLISH, GERMAN, strict=True)), **dict(zip(GERMAN, BACK, strict=True))}
        if "other words" in question:
            said = {ENGLISH[0]: f'"{BACK[0]}"', ENGLISH[1]: "Sure!\nthe wide way home"}
        message = {"content": said.get(text, text)}
        self.answer(200, {"choices": [{"message": message, "finish_reason": "stop"}]})

    def answer(self, status: int, told: Any) -> None:
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(Said, "asked", [])
    monkeypatch.setattr(Said, "down", "")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Said)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"model=http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_an_endpoint_puts_it_in_other_words(tmp_path: Path, endpoint: str) -> None:
    source = write(tmp_path / "in.jsonl", ROWS)
    how = ["how=paraphrase", endpoint, "teacher.name=big"]
    account = change_rows("augment", source, tmp_path / "out.jsonl", how)
    made = read(tmp_path / "out.jsonl")
    assert [row["question"] for row in made] == [ENGLISH[0], BACK[0], *ENGLISH[1:]]
    assert any("more than one line" in note for note in account.notes)
    assert any("nothing in the text" in note for note in account.notes)


def test_an_endpoint_that_is_down_in_the_middle_goes_on_from_there(
    tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = write(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    how = ["how=back_translation", endpoint, "language=English", "through=German"]
    how += ["teacher.name=big", "teacher.attempts=1", "teacher.requests=1"]
    monkeypatch.setattr(Said, "down", GERMAN[1])
    with pytest.raises(Stopped, match=r"gave no answer in 1 try .*out of memory.* continues"):
        change_rows("augment", source, out, how)
    assert not out.exists() and len(read(tmp_path / "out.jsonl.partial")) == 1 + 3 + 1
    monkeypatch.setattr(Said, "down", "")
    Said.asked.clear()
    change_rows("augment", source, out, how)
    assert [text.rpartition("\n\n")[2] for text in Said.asked] == GERMAN[1:]
    assert [row["question"] for row in read(out)][:4] == [ENGLISH[0], BACK[0], ENGLISH[1], BACK[1]]
    with pytest.raises(SpecError, match="must be told both languages"):
        change_rows("augment", source, tmp_path / "b.jsonl", ["how=back_translation", endpoint])
