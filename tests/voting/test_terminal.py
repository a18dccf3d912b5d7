"""Votes that are typed: the same ballots and file as on the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from material.voted import NAMES, arena_of
from tunesmith.voting.terminal import vote_here


def typed(*keys: str):
    left = iter(keys)

    def ask(told: str) -> str:
        key = next(left, None)
        if key is None:
            raise EOFError
        return key

    return ask


@pytest.mark.slow  # 3 s
def test_keys_vote_go_back_and_stop(tmp_path: Path):
    found = arena_of(tmp_path, prompts=5, twice=0)
    told: list[str] = []
    vote_here(found, "me", typed("x", "1", "2", "b", "3", "4", "S", "q"), told.append)
    votes = {vote.ballot.id: vote.choice for vote in found.votes.read()}
    assert [votes.get(one.id) for one in found.ballots] == ["left", "tie", "both_bad", "skip", None]
    text = "\n".join(told)
    assert "Decisive votes" in told[0] and "0 of 5 done" in text and "reply" in text
    assert not any(name in text for name in NAMES)
    told.clear()
    vote_here(found, "me", typed("2"), told.append)
    assert "4 of 5 done" in told[0] and "All 5 are done" in told[-1]
    vote_here(found, "other", typed(), told.append)
    assert len(found.votes.read()) == 5
