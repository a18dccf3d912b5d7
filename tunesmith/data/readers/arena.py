"""Battles of an arena: what two models said in one conversation, and which of them won (Zheng et
al. 2023: Chatbot Arena, MT-bench; LMSYS's competition).
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from typing import ClassVar

from tunesmith.data.columns.asking import known
from tunesmith.data.columns.better import BETTER, FLAGS, SIGNED, better_of, says_better
from tunesmith.data.columns.chats import conversation
from tunesmith.data.columns.finishing import common_turns
from tunesmith.data.columns.turns import as_text, field_problem, json_list, shown, system_turn
from tunesmith.data.readers import READERS, Reader
from tunesmith.examples import Chat, Preference, Turn
from tunesmith.plain import Row

_WHOLE = ("conversation_a", "conversation_b")
_ROUNDS = ("response_a", "response_b")


@READERS.register
class Battles(Reader):
    """Two conversations with the same questions, and the side that won; a tie teaches nothing and
    is left out. What both begin with is the prompt.
    """

    gives = Preference
    fields: ClassVar[dict[str, str]] = {
        "conversation_a": "what was said with the first model: [{role, content}, …]",
        "conversation_b": "what was said with the second",
        "prompt": "or, round by round, a list of what was asked",
        "response_a": "beside prompt: a list of what the first model answered",
        "response_b": "a list of what the second answered",
        "winner": (
            "which is better: model_a, model_b or tie; as flags also winner_model_a, "
            "winner_model_b and winner_tie"
        ),
        "system": "a system prompt",
    }
    answers: ClassVar[frozenset[str]] = frozenset({*_WHOLE, *_ROUNDS, "winner"})

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with two conversations, or two lists of answers to a list of questions, and
        a column that says which won.
        """
        lists = {name for name in columns if json_list(row.get(name)) is not None}
        return says_better(columns) and bool({*_WHOLE} <= lists or {"prompt", *_ROUNDS} <= lists)

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields and the columns that say which side won."""
        return frozenset({*self.fields, *BETTER, *FLAGS, *SIGNED})

    def read(self, row: Row) -> Preference:
        """Reads the pair; raises DataError for a winner that is no side."""
        if _WHOLE[0] in row:
            sides = [conversation(row, name) for name in _WHOLE]
        else:
            sides = [_rounds(row, name) for name in _ROUNDS]
        winner = better_of(row)
        chosen, rejected = sides if not winner else sides[::-1]
        common = common_turns(chosen, rejected)
        prompt = Chat((*system_turn(row), *chosen[:common]))
        sides = tuple(chosen[common:]), tuple(rejected[common:])
        columns = known(row, [*prompt.turns])
        return Preference(prompt, *sides, columns=columns, tied=winner is None)


def _rounds(row: Row, name: str) -> list[Turn]:
    """Returns the questions of a row, each with the answer of one side."""
    asked = json_list(row.get("prompt")) or []
    said = json_list(row.get(name)) or []
    if len(asked) != len(said):
        raise field_problem(name, "preference.rounds", asked=len(asked), seen=shown(said))
    turns = [
        (Turn("user", as_text(question, "prompt")), Turn("assistant", as_text(answer, name)))
        for question, answer in zip(asked, said, strict=True)
    ]
    return list(chain.from_iterable(turns))
