"""Ollama's Modelfile. Its template is in Go, the model's in Jinja: it is not translated but read
off from what the model's template makes of marked conversations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import TemplateError

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer

Turns = Sequence[tuple[str, str]]
MARKS = ("Qaq1", "Qaq2", "Qaq3", "Qaq4")
"""Texts that stand in no template."""


@dataclass(frozen=True)
class Pieces:
    """What a template writes around the texts of a conversation. ``start`` stands before the first
    turn where no system text is given.
    """

    start: str
    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]

    def filled(self, turns: Turns) -> str:
        """Returns a conversation up to the beginning of the next answer, as Ollama would."""
        around = {"system": self.system, "user": self.user, "assistant": self.assistant}
        text = "" if any(role == "system" for role, _ in turns) else self.start
        for role, said in turns:
            text += around[role][0] + said + around[role][1]
        return text + self.assistant[0]

    def go(self) -> str:
        """Returns the same as a template of Go."""
        parts = [f"{{{{ if not .System }}}}{self.start}{{{{ end }}}}"] if self.start else []
        parts.append("{{ range .Messages }}")
        for number, (role, around) in enumerate(
            (("system", self.system), ("user", self.user), ("assistant", self.assistant))
        ):
            word = "else if" if number else "if"
            parts.append(f'{{{{ {word} eq .Role "{role}" }}}}')
            parts.append(f"{around[0]}{{{{ .Content }}}}{around[1]}")
        parts.append(f"{{{{ end }}}}{{{{ end }}}}{self.assistant[0]}")
        return "".join(parts)


def pieces_of(tokenizer: Tokenizer) -> Pieces | None:
    """Reads the pieces of a tokenizer's chat template; None where its turns do not follow one
    another evenly, or Go would read something of it as its own.
    """
    first, second, third, system = MARKS
    try:
        plain = _cut(_said(tokenizer, [("user", first), ("assistant", second), ("user", third)]))
        with_system = _cut(_said(tokenizer, [("system", system), ("user", first)]))
    except (TemplateError, TypeError, ValueError, LookupError):  # mostly for a system text
        return None
    if plain is None or with_system is None or len(plain) != 4 or len(with_system) != 3:
        return None
    before, answer, between, end = plain
    before_system, after_system, end_again = with_system
    if not answer == end == end_again:
        return None
    user = _common_end(before, between, after_system)
    pieces = Pieces(
        start=before.removesuffix(user),
        system=(before_system, after_system.removesuffix(user)),
        user=(user, ""),
        assistant=(end, between.removesuffix(user)),
    )
    tries: list[Turns] = [
        [("user", "Is it so?")],
        [("system", "Be short."), ("user", "a"), ("assistant", "b"), ("user", "你好")],
        [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")],
    ]
    if any(pieces.filled(turns) != _said(tokenizer, turns) for turns in tries):
        return None
    return None if any(mark in pieces.filled(tries[1]) for mark in ("{{", '"""')) else pieces


def modelfile(
    pieces: Pieces,
    file: str,
    *,
    stops: Sequence[str],
    settings: Mapping[str, float],
    system: str | None,
    begin: str,
) -> str:
    """Returns the Modelfile of the GGUF ``file`` beside it. ``begin`` is the text of a first token
    that llama.cpp adds by itself, and the template therefore must not.
    """
    template = pieces.go()
    if begin:
        template = template.replace(begin, "", 1)
    lines = [f"FROM ./{file}", f'TEMPLATE """{template}"""']
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops]
    lines += [f"PARAMETER {name} {value:g}" for name, value in settings.items()]
    if system:
        lines.append(f'SYSTEM """{system}"""')
    return "\n".join(lines) + "\n"


def _said(tokenizer: Tokenizer, turns: Turns) -> str:
    messages = [{"role": role, "content": said} for role, said in turns]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _cut(text: str) -> list[str] | None:
    """Cuts a text at the marks; None where one of them stands in it twice."""
    parts = [text]
    for mark in MARKS:
        pieces = [piece for part in parts for piece in part.split(mark)]
        if len(pieces) > len(parts) + 1:
            return None
        parts = pieces
    return parts


def _common_end(*texts: str) -> str:
    size = 0
    while size < min(map(len, texts)) and len({text[-size - 1] for text in texts}) == 1:
        size += 1
    return texts[0][len(texts[0]) - size :]
