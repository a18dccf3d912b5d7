"""A vote that was given outlives the process; a file that was edited is told line by line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from material.voted import NAMES, arena_of
from tunesmith.errors import DataError, SpecError
from tunesmith.voting.comparison import Comparison
from tunesmith.voting.votes import left_of

VOTE_AND_HANG = """
import sys, time
from tunesmith.voting.comparison import Comparison
found = Comparison(sys.argv[1])
for ballot in found.ballots[:3]:
    found.vote(ballot, "left", "me")
with open(found.folder.votes, "ab") as file:
    file.write(b'{"ballot": "7", "vo')
print("voted", flush=True)
time.sleep(60)
"""


def test_votes_survive_a_kill_and_a_line_that_was_not_finished_is_no_vote(tmp_path: Path):
    found = arena_of(tmp_path)
    words = [sys.executable, "-c", VOTE_AND_HANG, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "voted\n"
        os.kill(process.pid, signal.SIGKILL)
    votes = found.votes.read()
    assert [vote.ballot.id for vote in votes] == [one.id for one in found.ballots[:3]]
    found.vote(found.ballots[3], "tie", "me", 1.5)
    again = Comparison(tmp_path)
    assert [vote.choice for vote in again.votes.read()] == ["left"] * 3 + ["tie"]
    assert left_of(again.ballots, again.votes.read(), "me") == again.ballots[4:]
    assert left_of(again.ballots, again.votes.read(), "other") == again.ballots


def test_of_several_votes_on_one_ballot_the_last_one_counts(tmp_path: Path):
    found = arena_of(tmp_path)
    for choice, who in (("left", "me"), ("right", "me"), ("tie", "other")):
        found.vote(found.ballots[0], choice, who)  # type: ignore[arg-type]
    assert sorted((vote.who, vote.choice) for vote in found.votes.read()) == [
        ("me", "right"),
        ("other", "tie"),
    ]
    assert len(found.folder.votes.read_text(encoding="utf-8").splitlines()) == 3


def test_a_vote_that_could_not_be_read_again_is_not_written(tmp_path: Path):
    found = arena_of(tmp_path)
    found.vote(found.ballots[0], "left", "me")
    with pytest.raises(SpecError, match="vote 'a': allowed are left, right, tie, both_bad, skip"):
        found.vote(found.ballots[1], "a", "me")  # type: ignore[arg-type]
    assert [vote.choice for vote in found.votes.read()] == ["left"]


def test_every_line_that_was_changed_is_named_and_the_file_is_left_alone(tmp_path: Path):
    found = arena_of(tmp_path)
    for ballot in found.ballots[:5]:
        found.vote(ballot, "left", "me")
    lines = [json.loads(line) for line in found.folder.votes.read_text().splitlines()]
    lines[0]["vote"] = "A"
    lines[1]["ballot"] = "99"
    lines[2]["left"], lines[2]["right"] = lines[2]["right"], lines[2]["left"]
    text = "\n".join(["{", *map(json.dumps, lines)]) + "\n"
    found.folder.votes.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        found.votes.read()
    told = [(one.where.rpartition(":")[2], one.text) for one in error.value.problems]
    assert [place for place, _ in told] == ["1", "2", "3", "4"]
    for (_, line), wanted in zip(
        told,
        ("damaged", "allowed are left, right", "'99'", "does not fit what was shown"),
        strict=True,
    ):
        assert wanted in line
    assert found.folder.votes.read_text(encoding="utf-8") == text


def test_items_that_were_changed_are_voted_on_no_more(tmp_path: Path):
    found = arena_of(tmp_path)
    text = found.folder.items.read_text(encoding="utf-8")
    found.folder.items.write_text(text.replace("kind 1", "kind 9", 1), encoding="utf-8")
    with pytest.raises(DataError, match="not the one that was voted on"):
        Comparison(tmp_path)


def test_the_file_says_who_was_shown_where(tmp_path: Path):
    found = arena_of(tmp_path)
    found.vote(found.ballots[0], "both_bad", "Anna", 2.0)
    line = json.loads(found.folder.votes.read_text(encoding="utf-8"))
    assert {line["left"], line["right"]} == set(NAMES)
    assert (line["vote"], line["who"], line["judge"], line["seconds"]) == (
        "both_bad",
        "Anna",
        False,
        2.0,
    )
