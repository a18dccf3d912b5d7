"""A model that votes, marked as a judge: it is asked twice, with the sides swapped, because judges
prefer a side (Zheng et al. 2023, section 3.3); where its two verdicts differ it has said "equal".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.events.stream import Events
from tunesmith.examples import Chat, Turn
from tunesmith.machine.signals import StopSignal
from tunesmith.metrics._letters import letter_in
from tunesmith.settings.run import Run, validate
from tunesmith.teaching.questions import Question
from tunesmith.teaching.write import teacher_of
from tunesmith.voting.ballots import Ballot
from tunesmith.voting.comparison import Comparison
from tunesmith.voting.votes import Choice, Vote
from tunesmith.words import say

VERDICTS: dict[str, Choice] = {"A": "left", "B": "right", "C": "tie", "D": "both_bad"}
SWAPPED: dict[Choice, Choice] = {"left": "right", "right": "left"}
MOST_TOKENS = 512
"""Room for a judge that explains itself before it decides."""


def judge(comparison: Comparison, model: str, events: Events) -> int:
    """Lets a model vote on every ballot that it has no vote on, those that only swap the sides left
    out; returns how many of its replies decided nothing, of which no vote is kept.
    """
    path, _, served = model.partition("#")
    # Nothing is written at ``out``, which an error may name: the same command continues.
    run = validate(
        {
            "model": path,
            "data": str(comparison.folder.prompts),
            "out": str(comparison.folder.path),
            "generate": {"max_new_tokens": MOST_TOKENS},
            "teacher": {"name": served} if served else {},
        }
    )
    who = f"judge:{model}"
    done = {vote.ballot.id for vote in comparison.votes.read() if vote.who == who}
    asked = [ballot for ballot in _each_once(comparison.ballots) if ballot.id not in done]
    lost = 0
    with StopSignal() as signal:
        for ballot, verdict in _verdicts(run, asked, events, signal):
            if verdict is None:
                lost += 1
            else:
                comparison.votes.add(Vote(ballot, verdict, who, judge=True))
    return lost


def _each_once(ballots: Sequence[Ballot]) -> list[Ballot]:
    """Returns one ballot for each prompt."""
    return list({ballot.item.id: ballot for ballot in reversed(ballots)}.values())


def _verdicts(
    run: Run, ballots: Sequence[Ballot], events: Events, signal: StopSignal
) -> Iterator[tuple[Ballot, Choice | None]]:
    """Yields each ballot with what the judge decided, once both of its replies are there."""
    both = [side for ballot in ballots for side in (ballot, ballot.swapped())]
    questions = (
        Question(ballot.id, Chat((Turn("user", asked_of(ballot)),)), "", {}) for ballot in both
    )
    said: dict[int, str | None] = {}
    teacher = teacher_of(run, events)
    for number, answer in teacher.answers(questions, (), lambda: signal.received is not None):
        said[number] = letter_in(answer.text) if answer.finish == "stop" else None
        index = number // 2
        events.phase(say("arena.judging"), len(said), len(both))
        if {2 * index, 2 * index + 1} <= said.keys():
            yield ballots[index], _together(said[2 * index], said[2 * index + 1])


def _together(first: str | None, second: str | None) -> Choice | None:
    """Returns the verdict of two letters, the second about the swapped sides; None where one of
    them is none.
    """
    if first not in VERDICTS or second not in VERDICTS:
        return None
    said, back = VERDICTS[first], VERDICTS[second]
    return said if said == SWAPPED.get(back, back) else "tie"


def asked_of(ballot: Ballot) -> str:
    """Returns what the judge is asked of a ballot."""
    turns = [str(turn["content"]) for turn in ballot.item.messages]
    answers = ballot.item.answers
    fields = {"prompt": "\n\n".join(turns), "a": answers[ballot.left], "b": answers[ballot.right]}
    return say("arena.judge_asks", **fields)
