"""``data.template``: the user's own format over columns instead of the tokenizer's chat
template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from tunesmith.data.columns.turns import no_number
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Chat
from tunesmith.settings.run import SLOT
from tunesmith.settings.spec import closest
from tunesmith.words import say

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}\n]+)\}")
ANSWERS = ("reasoning", "answer")
# What files call their answers, for a row that is only asked and so has no answer to compare with.
USUAL = frozenset(
    {
        "answer",
        "reasoning",
        "output",
        "response",
        "completion",
        "target",
        "complex_cot",
        "reasoning_content",
    }
)

ASKED = frozenset({"question", "instruction", "input", "prompt", "query", "system"})
"""Our names for what is asked."""


class Template:
    """A format with ``{column}`` in it; ``{{`` and ``}}`` are braces, a written ``\\n`` is a new
    line.
    """

    def __init__(self, text: str, columns: Mapping[str, str] | None = None) -> None:
        self.columns = columns or {}
        self.parts = _parse(text.replace("\\n", "\n").replace("\\t", "\t"))
        self.names = [name for _, name in self.parts if name is not None]
        if not self.names:
            raise SpecError(Problem("data.template", say("render.no_placeholder")))
        answers = {theirs for ours, theirs in self.columns.items() if ours in USUAL}
        asked = {theirs for ours, theirs in self.columns.items() if ours in ASKED}
        self.answers = {*ANSWERS, *answers}
        """Names that are surely of the answer, whatever a row holds."""
        self.asked = {
            name for name in self.names if name in asked or name.casefold() in ASKED
        } - self.answers
        of_answer = [
            name in self.answers or (name.casefold() in USUAL and name not in asked)
            for name in self.names
        ]
        theirs = self.columns.get("reasoning", "reasoning")
        self.reasons = bool({"reasoning", theirs} & set(self.names))
        """Whether the reasoning has a place in it."""
        self.last_asked = max(
            (n for n, name in enumerate(self.names) if name in self.asked), default=-1
        )
        if any(of_answer[: max(self.last_asked, 0)]):
            wrong = {
                "answer": self.names[of_answer.index(True)],
                "question": self.names[self.last_asked],
            }
            raise SpecError(Problem("data.template", say("render.answer_first", **wrong)))

    def fill(
        self, chat: Chat, *, system: str | None = None, asking: bool = False
    ) -> tuple[str, str]:
        """Fills the template and returns the prompt and the answer; ``asking`` allows a row without
        the columns of the answer.
        """
        values = self._named(chat, system, asking)
        missing = [name for name in self.names if name not in values]
        if missing and not asking:
            raise DataError(_unknown(missing, values))
        first = self._first_answer(values, asking)
        if first is None:
            if values.get("answer") and not asking:
                raise SpecError(
                    Problem(
                        "data.template",
                        say("render.no_answer", names=", ".join(_answering(values))),
                    )
                )
            first = len(self.names) - 1
        if any(name not in values for name in self.names[:first]):
            raise DataError(_unknown(missing, values))
        cut = [index for index, (_, name) in enumerate(self.parts) if name is not None][first]
        filled = [
            literal if name is None else _plain(values.get(name)) for literal, name in self.parts
        ]
        return "".join(filled[:cut]), "".join(filled[cut:])

    def asking(self, chat: Chat) -> list[str]:
        """Returns the texts of a row that stand before its answer, without the system prompt."""
        values = self._named(chat, None, asking=True)
        first = self._first_answer(values, not values.get("answer"))
        names = [name for name in self.names[:first] if name != "system"]
        contents = [values.get(name) for name in names]
        return [value for value in contents if isinstance(value, str)]

    def _named(self, chat: Chat, system: str | None, asking: bool) -> dict[str, object]:
        """Returns the values of the row by all their names. A question that is ``asking`` freely
        has our names only; where the format has others for it, it stands in the first of these.
        """
        values = _values(chat, system)
        values = {
            theirs: values[ours] for ours, theirs in self.columns.items() if ours in values
        } | values
        places = [name for name in self.names if name in self.asked and name != "system"]
        if asking and places and not any(values.get(name) for name in places):
            values[places[0]] = values.get("question", "")
        return values

    def _first_answer(self, values: Mapping[str, object], asking: bool) -> int | None:
        """Returns the index of the first placeholder that belongs to the answer; None where none
        does.
        """
        sure = set(self.answers)
        asked = [values.get(name) for name in ("question", "input", "instruction", "system")]
        for name in self.names[
            self.last_asked + 1 :
        ]:  # a question may hold the very word of the answer
            value = values.get(name)
            same = value not in (None, "") and any(value == values.get(ours) for ours in ANSWERS)
            if same and value not in asked:
                sure.add(name)
        if asking:
            sure |= {name for name in self.names if name not in values}
        for chosen in (sure, {name for name in self.names if name.casefold() in USUAL}):
            places = [index for index, name in enumerate(self.names) if name in chosen]
            if places:
                return places[0]
        return None


def numbered(text: str) -> tuple[str, list[str]]:
    """Gives each slot in ``text`` a name, and returns the text and these names."""
    names: list[str] = []

    def name(_: re.Match[str]) -> str:
        names.append(f"<|P{len(names)}|>")
        return names[-1]

    return re.sub(re.escape(SLOT), name, text), names


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


def _values(chat: Chat, system: str | None) -> dict[str, object]:
    """Returns the row's columns, and our names for its parts where a reader gave none."""
    users = [turn.content for turn in chat.turns if turn.role == "user"]
    systems = [turn.content for turn in chat.turns if turn.role == "system"]
    last = chat.turns[-1] if chat.turns else None
    ours: dict[str, object] = {"system": systems[0] if systems else system or ""}
    if users:
        ours["question"] = users[-1]
    if last is not None and last.role == "assistant":
        ours |= {"answer": last.content, "reasoning": last.reasoning or ""}
    return {"input": "", **ours, **chat.columns}


def _answering(values: Mapping[str, object]) -> list[str]:
    """Returns the names of columns that hold a part of this row's answer."""
    parts = [values[name] for name in ANSWERS if values.get(name)]
    return [
        name
        for name, value in values.items()
        if value and (name.casefold() in USUAL or value in parts)
    ]


def _plain(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if no_number(value):
        return ""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _unknown(missing: list[str], values: Mapping[str, object]) -> Problem:
    return Problem(
        "data.template",
        say(
            "render.unknown_column",
            names=", ".join(missing),
            near=closest(missing[0], list(values)) or say("spec.no_hint"),
            columns=", ".join(sorted(values)),
        ),
    )
