"""What proofs, tournaments and teachers say on the stream, to whoever listens."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from material.proved import labelled
from tunesmith import api
from tunesmith.display.progress import Shown
from tunesmith.errors import SpecError
from tunesmith.events import verbs
from tunesmith.events.stream import Event, Phase
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say


def named(events: list[Event], *without: str) -> list[str]:
    names = [type(event).__name__ for event in events]
    return [name for name in names if name not in without]


def test_a_proof_is_heard_from_its_beginning_to_its_verdict(label_run: RunFolder) -> None:
    heard: list[Event] = []
    proof = api.prove(label_run, items=12, listen=[heard.append])
    assert named(heard, "Phase") == ["ProofBegun", "Parts", "Proved"]
    assert heard[0] == verbs.ProofBegun(label_run.path)
    assert heard[-1] == verbs.Proved(label_run.path, proof.verdict, proof.found["primary"])
    last = {event.phase: event for event in heard if isinstance(event, Phase)}
    assert len(last) > 4 and all(event.done == event.total for event in last.values())


@pytest.mark.slow  # 2 s
def test_the_display_shows_what_a_listener_hears(label_run: RunFolder) -> None:
    heard: list[Event] = []
    console = Console(file=io.StringIO(), width=200)
    with Shown(console) as shown:
        api.prove(label_run, items=12, progress=shown, listen=[heard.append])
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == say("prove.begin", folder=label_run.path)
    phases = list(dict.fromkeys(event.phase for event in heard if isinstance(event, Phase)))
    starts = [line for line in lines[1:] if any(line.startswith(phase) for phase in phases)]
    assert len(starts) == len(lines) - 1 and len(starts) >= len(phases)


def test_what_cannot_be_proved_is_begun_and_has_no_verdict(label_run: RunFolder) -> None:
    heard: list[Event] = []
    with pytest.raises(SpecError):
        api.prove(label_run, prompt="absent.txt", listen=[heard.append])
    assert named(heard) == ["ProofBegun"]


def test_a_teacher_says_each_answer_and_what_was_there(tiny_llama: Path, tmp_path: Path) -> None:
    rows = [{"instruction": f"name {n}", "output": ""} for n in range(6)]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    settings: dict[str, Any] = {
        "model": str(tiny_llama),
        "data": str(tmp_path / "rows.json"),
        "out": str(tmp_path / "answers.jsonl"),
        "generate": {"max_new_tokens": 4},
        "teacher": {"cut": "keep"},
    }
    heard: list[Event] = []
    account = api.generate(settings, listen=[heard.append])
    answers = [event for event in heard if isinstance(event, verbs.Answered)]
    assert [one.number for one in answers] == list(range(6))
    assert sum(one.tokens for one in answers) == account.tokens
    stands = [event.done for event in heard if isinstance(event, Phase)]
    assert stands == list(range(7))


@pytest.mark.slow  # 3 s
def test_a_tournament_says_what_it_compares_and_what_came_of_it(
    tiny_llama: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(labelled(120)), encoding="utf-8")
    tournament = {
        "methods": ["ia3", {"name": "oft", "block": 48}],
        "rates": 1,
        "places": 1,
        "seeds": 1,
        "general": None,
    }
    settings: dict[str, Any] = {
        "model": str(tiny_llama),
        "data": {"path": str(tmp_path / "rows.json"), "held_out": 40},
        "out": str(tmp_path / "out"),
        "train": {"steps": 2, "batch": 4, "machine": {"threads": 1}},
        "tournament": tournament,
    }
    heard: list[Event] = []
    api.tournament(settings, quiet=True, listen=[heard.append])
    pieces = ["PieceBegun", "PieceBegun", "PieceBegun", "PieceScored"]
    assert named(heard, "Phase", "Notice") == ["TournamentBegun", "LeftOut", *pieces]
    begun = [event for event in heard if isinstance(event, verbs.PieceBegun)]
    assert [(one.number, one.total) for one in begun] == [(1, 3), (2, 3), (3, 3)]
    (scored,) = (event for event in heard if isinstance(event, verbs.PieceScored))
    assert scored.watch is not None and f"{scored.watch['loss']:.4f}" in scored.text()
    heard.clear()
    api.tournament(settings, quiet=True, listen=[heard.append])
    assert "PieceBegun" not in named(heard), "what is done is not done again"
