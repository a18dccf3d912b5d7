"""Alpaca's rows (Taori et al. 2023): instruction, input, output; also with a system prompt and a
history of earlier rounds.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import ClassVar

from tunesmith.data.columns.asking import judged, with_more
from tunesmith.data.columns.messages import pairs
from tunesmith.data.columns.names import ABOUT, THOUGHTS, plain, ranked
from tunesmith.data.columns.transcripts import written_out
from tunesmith.data.columns.turns import ANOTHER_TASK, inside, system_turn, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat, Turn

_NO_INPUT = re.compile(r"\s*<?\s*no\s?input\s*>?\.?\s*", re.IGNORECASE)
"""What models that wrote such rows put where there is no input (Wang et al. 2023)."""
_USUAL = frozenset({"instruction", "input", "output", "system", "history", "id"})


@READERS.register
class Alpaca(Reader):
    """Alpaca: an instruction, perhaps an input, and the output; both together, with an empty line
    between, are the question.
    """

    gives = Chat
    fields: ClassVar[dict[str, str]] = {
        "instruction": "what is asked",
        "input": "what it is asked about; may be empty",
        "output": "the answer",
        "system": "a system prompt",
        "history": "earlier rounds: [[question, answer], …]",
        "tools": "the functions that may be called",
    }

    learned: ClassVar[str | None] = "output"

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with instruction and output."""
        return (
            {"instruction", "output"} <= columns
            and ("input" in columns or not ranked(ABOUT, columns))
            and not columns & ANOTHER_TASK
            and not judged(columns, row)
        )

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields, and the column of what was thought before the answer."""
        return frozenset({*self.fields, *(name for name in columns if plain(name) in THOUGHTS)})

    def read(self, row: Row) -> Chat:
        """Reads a row with a history; the question is its last turn."""
        instruction = text_of(row, "instruction")
        about = text_of(row, "input", required=False)
        about = "" if _NO_INPUT.fullmatch(about) else about
        history = pairs(row) if row.get("history") else []
        # Published dialogues stand inside the instruction as "<user>: … <bot>: … <user>: …".
        dialogue = [] if history or about.strip() else inside(instruction) or _begun(instruction)
        question = (
            dialogue[-1].content
            if dialogue
            else "\n\n".join(part for part in (instruction, about) if part.strip())
        )
        answer = text_of(row, "output")
        system = system_turn(row)
        said = Turn("assistant", answer)
        tools = ()
        if row.keys() - _USUAL:
            said, tools = with_more(said, row)
        turns = (*system, *history, *dialogue[:-1], Turn("user", question), said)
        names = {
            "question": question,
            "answer": answer,
            **({"system": system[0].content} if system else {}),
        }
        return Chat(turns, tools, {**row, **names})


def _begun(instruction: str) -> list[Turn]:
    """Returns the turns of a dialogue that ends with the mark of the answer, as Belle writes it;
    none where the instruction is no such dialogue.
    """
    if not instruction.rstrip().endswith(("Assistant:", "Assistant：", "助手：")):
        return []
    turns = written_out(instruction)
    return turns if turns and turns[-1].role == "user" else []
