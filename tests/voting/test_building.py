"""From names and a file to what is voted on: the same prompts to all, whole answers only, and
nothing that says whose they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from material.voted import models
from tunesmith import api
from tunesmith.errors import DataError, SpecError
from tunesmith.voting.building import betrays


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with models() as address:
        yield address


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    rows = [{"question": f"question {n}", "answer": "known", "id": n} for n in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]), encoding="utf-8")
    return str(path)


def test_each_contender_answers_the_same_prompts_and_the_second_call_asks_nobody(
    url: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    names = [f"{url}#brief", f"{url}#wordy"]
    settings = {"data": data, "out": str(tmp_path / "arena"), "prompts": 10}
    found = api.arena(names, settings)
    shown = {ballot.item.messages[-1]["content"]: ballot.item.answers for ballot in found.ballots}
    assert len(shown) == 10 and all(
        answers == {0: f"Yes. {question}", 1: f"Yes, and for these three reasons. {question}"}
        for question, answers in shown.items()
    )
    # The row's own answer is shown to nobody, neither to the models nor to the voter.
    assert "known" not in found.folder.items.read_text(encoding="utf-8")
    monkeypatch.setattr("tunesmith.voting.building.write", None)
    assert [one.id for one in api.arena(names, settings).ballots] == [
        one.id for one in found.ballots
    ]
    assert [one.id for one in api.arena(tmp_path / "arena").ballots] == [
        one.id for one in found.ballots
    ]
    with pytest.raises(SpecError, match=r"other settings \(prompts, contenders\)"):
        api.arena([*names, f"{url}#vain"], {**settings, "prompts": 5})


def test_answers_that_are_cut_or_name_their_model_are_left_out(url: str, data: str, tmp_path: Path):
    names = [f"{url}#{name}" for name in ("brief", "wordy", "cut", "vain")]
    found = api.arena(names, {"data": data, "out": str(tmp_path / "arena")})
    assert found.left == {"prompts": 12, "cut": 12, "betrays": 12}
    assert {number for one in found.ballots for number in (one.left, one.right)} == {0, 1}
    told = "\n".join(found.before())
    assert "12 answers were cut or empty" in told and "12 answers say who wrote them" in told
    with pytest.raises(DataError, match="only 0 prompts are left to vote on"):
        api.arena([names[0], names[2]], {"data": data, "out": str(tmp_path / "none")})


def test_all_that_is_wrong_is_told_before_a_model_answers(url: str, data: str, tmp_path: Path):
    with pytest.raises(SpecError) as error:
        api.arena(
            [f"{url}#brief", str(tmp_path / "no"), "nor"], {"data": data, "out": f"{tmp_path}/a"}
        )
    told = str(error.value)
    assert "no:" in told and "nor:" in told and "nor: nor:" not in told
    assert not (tmp_path / "a").exists()
    with pytest.raises(SpecError, match="at least two different models"):
        api.arena([f"{url}#brief", f"{url}#brief"], {"data": data})
    with pytest.raises(SpecError, match="no arena in this folder"):
        api.arena(tmp_path)
    with pytest.raises(SpecError, match=r"promts: .* did you mean 'prompts'"):
        api.arena([f"{url}#brief", f"{url}#wordy"], {"data": data, "promts": 3})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("I am Qwen, made by Alibaba.", True),
        ("我是通义千问，由阿里云开发。", True),
        ("As tuned-v2 I would say so.", True),
        ("Qwen and Llama are model families.", False),
        ("I am glad to help. Llamas live in Peru.", False),
        ("我是医生。", False),
    ],
)
def test_what_says_whose_an_answer_is(text: str, told: bool):
    assert betrays(text, ["runs/tuned-v2", "starter"]) == told
