"""``data.template``: the user's own format over columns instead of the tokenizer's chat template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Chat
from tunesmith.words import say

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}\n]+)\}")
ANSWERS = ("reasoning", "answer")
# What files call their answers, for a row that is only asked and so has no answer to compare with.
USUAL = frozenset({"answer", "reasoning", "output", "response", "completion", "target", "complex_cot", "reasoning_content"})


class Template:
    """A format with ``{column}`` in it; ``{{`` and ``}}`` are braces, a written ``\\n`` is a new line."""

    def __init__(self, text: str, columns: Mapping[str, str] | None = None) -> None:
        self.columns = columns or {}
        self.parts = _parse(text.replace("\\n", "\n").replace("\\t", "\t"))
        self.names = [name for _, name in self.parts if name is not None]
        if not self.names:
            raise SpecError(Problem("data.template", say("render.no_placeholder")))

    def fill(self, chat: Chat, *, system: str | None = None, asking: bool = False) -> tuple[str, str]:
        """What is given and what is answered; ``asking`` allows a row without the columns of the answer."""
        values = _values(chat, system)
        missing = [name for name in self.names if name not in values]
        if missing and not asking:
            raise DataError(_unknown(missing, values))
        first = self._first_answer(values, asking)
        if any(name not in values for name in self.names[:first]):
            raise DataError(_unknown(missing, values))
        cut = [index for index, (_, name) in enumerate(self.parts) if name is not None][first]
        filled = [literal if name is None else _plain(values.get(name)) for literal, name in self.parts]
        return "".join(filled[:cut]), "".join(filled[cut:])

    def _first_answer(self, values: Mapping[str, Any], asking: bool) -> int:
        """Index of the first placeholder that belongs to the answer; the last one where none does."""
        sure = {*ANSWERS, *(self.columns[name] for name in ANSWERS if name in self.columns)}
        asked = [values.get(name) for name in ("question", "input", "instruction", "system")]
        for name in self.names:
            value = values.get(name)
            same = value not in (None, "") and any(value == values.get(ours) for ours in ANSWERS)
            if same and value not in asked:
                sure.add(name)
        if asking:
            sure |= {name for name in self.names if name not in values}
        for chosen in (sure, {name for name in self.names if name.casefold() in USUAL}):
            found = [index for index, name in enumerate(self.names) if name in chosen]
            if found:
                return found[0]
        return len(self.names) - 1


def _parse(text: str) -> list[tuple[str, str | None]]:
    parts: list[tuple[str, str | None]] = []
    literal, end = "", 0
    for match in PLACEHOLDER.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        if match[1] is None:
            literal += match[0][0]
            continue
        parts += [(literal, None), ("", match[1].strip())]
        literal = ""
    return [*parts, (literal + text[end:], None)]


def _values(chat: Chat, system: str | None) -> dict[str, Any]:
    """The row's columns, and our names for its parts where a reader gave none."""
    users = [turn.content for turn in chat.turns if turn.role == "user"]
    systems = [turn.content for turn in chat.turns if turn.role == "system"]
    last = chat.turns[-1] if chat.turns else None
    ours: dict[str, Any] = {"system": systems[0] if systems else system or ""}
    if users:
        ours["question"] = users[-1]
    if last is not None and last.role == "assistant":
        ours |= {"answer": last.content, "reasoning": last.reasoning or ""}
    return {"input": "", **ours, **chat.columns}


def _plain(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _unknown(missing: list[str], values: Mapping[str, Any]) -> Problem:
    return Problem("data.template", say("render.unknown_column", names=", ".join(missing), columns=", ".join(sorted(values))))
