"""Scores: a number for an answer, proved by how often the better one of a held-out pair scores
higher, beside taking the longer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.batches.batch import Tokens
from tunesmith.data.columns.finishing import finish
from tunesmith.data.prepare import Item
from tunesmith.examples import Chat, Preference, question_of
from tunesmith.models.loading.load import Loaded
from tunesmith.objectives.reward import answered
from tunesmith.outputs import COLUMN, OUTPUTS, Output, Progress
from tunesmith.plain import JsonObject
from tunesmith.predicting.classes import outputs_of
from tunesmith.proving.contest import Contest, Outcome
from tunesmith.proving.judge import TUNED
from tunesmith.proving.preferences import refuse_others
from tunesmith.proving.record import Record
from tunesmith.settings.family import READERS
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.predicting.predictor import Predictor

METRIC, AGAINST = "pair_accuracy", "length"


@OUTPUTS.register
class Scores(Output):
    """How good an answer is."""

    judges = compares = True
    endpoints = frozenset({"score"})
    lacks = "reward.no_answer"

    def ask(self, predictor: Predictor, row: Any) -> dict[str, Tokens]:
        """Returns what is read of one row, by the name of the score: an answered conversation, or
        both sides of a pair.
        """
        named = predictor.rows.named(row)
        chats = {
            name: READERS.get(name) for name in READERS.names() if READERS.get(name).gives is Chat
        }
        matching = [name for name, cls in chats.items() if cls.matches(frozenset(named), named)]
        if len(matching) == 1 and not {"chosen", "rejected"} & {*named}:
            sides = [chats[matching[0]]().read(named)]
        else:
            example, _ = predictor.rows.example(row)
            assert isinstance(example, Preference), (
                "a reward model's rows are read by its own readers"
            )
            sides = [
                side for side in example.sides if side.turns[-1:] and side.turns[-1].content.strip()
            ]
        finished = [chat for chat, _ in map(finish, sides) if isinstance(chat, Chat)]
        if not finished:
            raise predictor.rows.lacking(row)
        tokens = [answered(chat, predictor.render, len(chat.turns) - 1) for chat in finished]
        tokens = [predictor.fitting.answered(sequence) for sequence in tokens]
        return dict(zip((COLUMN, f"{COLUMN}_rejected"), tokens, strict=False))

    def answer(
        self, predictor: Predictor, asked: list[Any], progress: Progress | None
    ) -> list[JsonObject]:
        """Returns for each row the score of its answer; for a pair those of both."""
        sequences = [tokens for sequences_of_row in asked for tokens in sequences_of_row.values()]
        outputs = outputs_of(predictor.loaded, sequences, progress=progress)
        scores = iter(outputs[:, 0].tolist())
        return [{name: next(scores) for name in sequences_of_row} for sequences_of_row in asked]

    def prove(self, contest: Contest) -> Outcome:
        """Compares the pairs' scores by tuned, and by the base where it was a reward model already:
        a randomly drawn head measures nothing.
        """
        refuse_others(contest.run, [METRIC])
        pairs = {AGAINST: [_lengths(item) for item in contest.items]}
        contest.parts(2 if contest.tuned.facts["outputs"]["kept"] else 1)
        if contest.tuned.facts["outputs"]["kept"]:
            with contest.base() as base:
                pairs["base"] = _scores(base, contest)
        pairs[TUNED] = _scores(contest.tuned, contest)
        records = [
            _record(item, {name: scores[n] for name, scores in pairs.items()})
            for n, item in enumerate(contest.items)
        ]
        return Outcome(records, [METRIC], METRIC, "scored", AGAINST)


def _scores(loaded: Loaded, contest: Contest) -> list[list[float]]:
    """Returns for each pair the score of its chosen answer and of its rejected one."""
    sequences = [tokens for item in contest.items for tokens in item.tokens]
    scores = outputs_of(loaded, sequences, progress=contest.teller(say("reward.phase")))
    return scores.reshape(-1, 2).tolist()


def _lengths(item: Item) -> list[float]:
    """Counts the characters of the two answers."""
    assert isinstance(item.example, Preference)
    return [
        float(sum(len(turn.content) for turn in side))
        for side in (item.example.chosen, item.example.rejected)
    ]


def _record(item: Item, pairs: dict[str, list[float]]) -> Record:
    example = item.example
    assert isinstance(example, Preference)
    record = Record(item.id, question_of(example.prompt), example.sides[0].answer)
    record.answers = [side.answer for side in example.sides]
    record.pairs = pairs
    return record
