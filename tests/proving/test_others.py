"""Contenders from outside a run: other runs, other models and endpoints, on the same items."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from conftest import byte_tokenizer, tiny_model
from material.proved import KINDS
from tunesmith import api
from tunesmith.errors import SpecError
from tunesmith.proving.answers import named
from tunesmith.proving.others import other_model
from tunesmith.storage.run_folder import RunFolder


def items_of(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.items.read_text(encoding="utf-8").splitlines()]


class Oracle(BaseHTTPRequestHandler):
    """An endpoint that knows which kind each word gives away, and says it in a sentence."""

    served: ClassVar[list[str]] = ["oracle"]
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:  # the names of what is served
        self.reply({"data": [{"id": name} for name in self.served]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][-1]["content"]
        type(self).asked.append(question)
        kind = next(kind for kind, given in KINDS.items() if {*question.split()} & {*given})
        message = {"role": "assistant", "content": f"The {kind}."}
        self.reply({"choices": [{"message": message, "finish_reason": "stop"}]})

    def reply(self, said: dict[str, Any]) -> None:
        text = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(Oracle, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Oracle)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def test_another_run_and_the_base_as_a_model_enter_the_contest(
    label_run: RunFolder, adapter_run: RunFolder, tiny_llama: Path, tmp_path: Path
) -> None:
    """The base by its folder gives what the base gives, to the bit; Holm counts both."""
    stranger = tiny_model(tmp_path / "stranger", vocab_size=500)
    own_tokens(stranger)
    run, base, other = str(adapter_run.path), str(tiny_llama), str(stranger)
    found = api.prove(label_run, items=24, shots=0, against=[run, base, other, run]).to_json()
    names = ["most_frequent", "tfidf", "base", run, base, other, "tuned"]
    assert list(found["contenders"]) == names and found["others"] == [run, base, other]
    assert "nll" not in found["contenders"][other] and "nll" in found["contenders"][run]
    for item in items_of(label_run):
        for field in ("predictions", "choices", "nll", "options", "stopped"):
            assert item[field][base] == item[field]["base"], field
        assert set(item["options"][other]) == {"color", "animal", "number"}
    raised = {name: found["differences"][name]["accuracy"].get("p_holm") for name in names[:-1]}
    assert raised["base"] is None
    by_p = sorted(
        found["differences"][name]["accuracy"]["p_zero"] for name in raised if name != "base"
    )
    assert min(value for value in raised.values() if value is not None) == min(1, 5 * by_p[0])
    lines = "\n".join(api.prove(label_run, items=24, shots=0, against=base).lines())
    assert base in lines and "cheaper way: " + base not in lines


def test_a_folder_that_is_called_as_a_contender_is_told_from_it(
    label_run: RunFolder, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers would stand in place of the base's."""
    monkeypatch.chdir(tmp_path)
    for name, place in (("tuned", label_run.path), ("base", tiny_llama)):
        (tmp_path / name).symlink_to(place)
        assert other_model(name, label_run.resolved().run).name == f"./{name}"


def own_tokens(folder: Path) -> None:
    """A tokenizer that gives other ids."""
    byte_tokenizer(folder)
    path = folder / "tokenizer.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    vocab = told["model"]["vocab"]
    vocab["x"], vocab["y"] = vocab["y"], vocab["x"]
    path.write_text(json.dumps(told), encoding="utf-8")


def test_an_endpoint_is_asked_once_and_what_it_names_counts(
    label_run: RunFolder, oracle: str
) -> None:
    found = api.prove(label_run, items=24, shots=0, against=[oracle])
    values = found.to_json()["contenders"][oracle]
    assert values["accuracy"] == 1 and values["exact_match"] == 0 and "nll" not in values
    assert len(Oracle.asked) == 24 and oracle + " is asked elsewhere" in "\n".join(found.lines())
    assert not (label_run.path / "scoring.jsonl").exists()


def test_what_is_wrong_with_contenders_is_told_at_once_before_weights_load(
    label_run: RunFolder, text_run: RunFolder, oracle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Oracle, "served", ["one", "two"])
    monkeypatch.setattr("tunesmith.models.saved.load_run", None)
    with pytest.raises(SpecError) as error:
        api.prove(label_run, against=[oracle, "no/such/model"])
    told = str(error.value)
    assert f"{oracle}#NAME: one, two" in told
    places = {one.where for one in error.value.problems}
    assert places == {"against", "against: no/such/model"}


def test_an_endpoint_that_wants_a_key_is_told_where_it_was_typed(
    label_run: RunFolder, oracle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(Oracle, "do_GET", lambda self: self.send_error(401, "no key"))
    with pytest.raises(SpecError, match="OPENAI_API_KEY is not set: export it") as error:
        api.prove(label_run, against=[oracle])
    assert [one.where for one in error.value.problems] == ["against"]
    assert "teacher." not in str(error.value), "a proof takes no such setting"


def test_a_judge_that_is_a_contender_is_refused(label_run: RunFolder, oracle: str) -> None:
    judge = {"name": "judge", "url": f"{oracle}/", "model": "oracle"}
    with pytest.raises(SpecError, match=r"prove\.metrics\.0: .* oracle is a contender"):
        api.prove(label_run, against=[oracle], metrics=[judge])
    assert Oracle.asked == []


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("Color", "color"),
        (" number.\n", "number"),
        ("It is an animal, I think", "animal"),
        ("color or number", "color or number"),
        ("nothing", "nothing"),
        ("", ""),
    ],
)
def test_the_option_that_a_written_answer_names(answer: str, option: str) -> None:
    assert named(answer, ["color", "animal", "number"]) == option


def test_an_option_within_another_is_told_from_it() -> None:
    assert named("The answer: not good.", ["good", "not good"]) == "The answer: not good."
    assert named("not good", ["good", "not good"]) == "not good"
    assert named("答案是肯定的", ["肯定", "否定"]) == "肯定"


@pytest.mark.parametrize(
    "options", [["1", "-1", "0"], ["C", "C++", "C#"], ["+", "-", "="], ["👍", "👎"]]
)
def test_options_that_differ_by_marks_alone_are_told_apart(options: list[str]) -> None:
    for option in options:
        assert named(f" {option}.\n", options) == named(option.lower(), options) == option
    assert named("nothing", options) == "nothing"
    assert named("", options) == ""
