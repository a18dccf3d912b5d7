"""A model votes in the same file: asked twice with the sides swapped, and marked."""

from __future__ import annotations

import json
from pathlib import Path

from material.voted import arena_of, models
from tunesmith import api
from tunesmith.voting.folder import ArenaFolder


def test_a_judge_votes_once_on_each_prompt_and_its_side_does_not_count(tmp_path: Path):
    found = arena_of(tmp_path, prompts=6, twice=0.3)
    ArenaFolder(tmp_path).prompts.write_text('{"messages": []}\n', encoding="utf-8")
    assert len(found.ballots) > 6
    with models() as url:
        assert api.judge(found, f"{url}#judge") == 0
        votes = found.votes.read()
        assert len(votes) == 6 and all(vote.judge and vote.who.endswith("#judge") for vote in votes)
        assert {vote.winner for vote in votes} == {1}  # which always writes more
        assert api.judge(found, f"{url}#judge") == 0
        assert len(found.votes.read()) == 6, "what was judged is not judged again"
        assert api.judge(found, f"{url}#lefty") == 0
        lefty = [vote for vote in found.votes.read() if vote.who.endswith("lefty")]
        assert {vote.choice for vote in lefty} == {"tie"}
        assert api.judge(found, f"{url}#brief") == 6, "a reply without a letter is no vote"
    assert (
        json.loads(found.folder.votes.read_text(encoding="utf-8").splitlines()[0])["judge"] is True
    )
