"""Text is text: a control token that stands in a row or a question is read letter by letter.

A control token that comes out of the chat template ends a turn or opens one. The same letters in
somebody's text must not, or a question could write the system prompt. So the first letter of each
is put into a plane of Unicode that no script uses before the text goes into a template, and taken
back when the ids are made; the text keeps its length on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tunesmith.examples import Chat, Turn

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer

PLANE = 0x100000
"""The last private plane: its letter ``PLANE + n`` stands for the letter ``n``."""
_HIDDEN = re.compile("[\U00100000-\U0010ffff]")


def control_tokens(tokenizer: Tokenizer) -> list[str]:
    """Returns the texts that a tokenizer reads as control tokens, longest first."""
    known = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return sorted(filter(None, known | set(tokenizer.all_special_tokens)), key=len, reverse=True)


class Control:
    """The rule that hides control tokens in what rows and users write; ``met`` counts the texts
    that held one. With ``as_tokens`` they stay what they are.
    """

    def __init__(self, tokenizer: Tokenizer, *, as_tokens: bool = False) -> None:
        names = [] if as_tokens else control_tokens(tokenizer)
        self._names = re.compile("|".join(map(re.escape, names))) if names else None
        self.met = 0

    def text(self, text: str) -> str:
        """Hides the first letter of each control token in ``text``."""
        if self._names is None or not self._names.search(text):
            return text
        self.met += 1
        return self._names.sub(lambda found: _hidden(found[0]), text)

    def chat(self, chat: Chat) -> Chat:
        """Hides control tokens in all texts of a conversation's row."""
        if self._names is None:
            return chat
        return Chat(
            tuple(self._turn(turn) for turn in chat.turns),
            self._all(chat.tools),
            self._all(chat.columns),
        )

    def _turn(self, turn: Turn) -> Turn:
        told = {
            "content": self.text(turn.content),
            "reasoning": self.text(turn.reasoning) if turn.reasoning else turn.reasoning,
            "name": self.text(turn.name) if turn.name else turn.name,
            "tool_calls": self._all(turn.tool_calls),
        }
        return replace(turn, **told)

    def _all(self, value: object) -> Any:
        """Hides control tokens in every text within ``value``, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._all(key): self._all(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._all(one) for one in value)
        return value


def shown(tokenizer: Tokenizer, text: str) -> str:
    """Returns ``text`` with its hidden letters back."""
    if not _HIDDEN.search(text):
        return text
    names = {_hidden(name): name for name in control_tokens(tokenizer)}
    parts = sorted(names, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, parts)), lambda found: names[found[0]], text)


def spans(tokenizer: Tokenizer, text: str) -> Iterator[tuple[str, bool]]:
    """Yields the parts of a rendered text in order, and for each whether it must be read as plain
    text, without control tokens.
    """
    if not _HIDDEN.search(text):
        yield text, False
        return
    names = "|".join(map(re.escape, control_tokens(tokenizer)))
    kept = ""
    for part in re.split(f"({names})", text):
        plain = shown(tokenizer, part)
        if plain == part:
            kept += part
            continue
        if kept:
            yield kept, False
        yield plain, True
        kept = ""
    if kept:
        yield kept, False


def _hidden(name: str) -> str:
    return chr(PLANE + ord(name[0])) + name[1:] if ord(name[0]) < 0xFFFE else name
