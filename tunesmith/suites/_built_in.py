"""The suites that come with the package: JSON lines beside this file."""

from __future__ import annotations

import json
from pathlib import Path

from tunesmith.examples import Chat, Turn
from tunesmith.suites import Question


def built_in(name: str) -> list[Question]:
    """Reads the questions of ``name``.jsonl, each of a kind in one language."""
    file = Path(__file__).with_name(f"{name}.jsonl")
    questions = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        turns = (Turn("user", row["question"]), Turn("assistant", row["answer"]))
        chat = Chat(turns, columns={"question": row["question"], "answer": row["answer"]})
        kind = f"{row['kind']} ({row['language']})"
        questions.append(Question(f"{name}:{number}", kind, chat, row["rule"]))
    return questions
