"""JSON values one after the other out of a text stream, so that memory does not grow with the
file.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from tunesmith.data.files.file_facts import Twice
from tunesmith.data.files.numbers import Written
from tunesmith.plain import JsonObject
from tunesmith.words import Said, say

_CHUNK = 1 << 18
_LONGEST = 1 << 26
"""Longest single value (characters); a longer one is a fault in the file, such as a bracket that is
never closed.
"""
_CUT = 12
"""A fault this near to the end of what was read may be a value that is cut there (``\\u12``,
``-Infin``).
"""
_SPACE = re.compile(r"[ \t\n\r]*")


class BrokenJson(Exception):
    """What stands where JSON was expected; the ``text`` is for the user."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Decoder:
    """A decoder of JSON that keeps numbers as they were written, and notes keys that one object has
    twice with different values, of which JSON takes the last.
    """

    def __init__(self) -> None:
        self.twice: list[Twice] = []
        """What was met since somebody last cleared it."""
        self.raw = json.JSONDecoder(parse_float=Written, object_pairs_hook=self._object).raw_decode

    def _object(self, pairs: list[tuple[str, Any]]) -> JsonObject:
        made = dict(pairs)
        if len(made) < len(pairs):
            self.note(pairs)
        return made

    def note(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Notes the keys of one object that stand twice, where their values differ."""
        values: dict[Any, list[Any]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        self.twice += [
            Twice(str(key), tuple(given))
            for key, given in values.items()
            if any(value != given[-1] for value in given)
        ]


def excerpt(text: str, position: int) -> str:
    """Quotes a short piece of the text at ``position``."""
    begin = max(0, position - 12)
    piece = text[begin : position + 28]
    return repr(("…" if begin else "") + piece + ("…" if position + 28 < len(text) else ""))


def _cause(text: str, position: int, reason: str) -> str:
    """Returns what JSON does not know of what people write, where that stands at ``position``; else
    the parser's own reason.
    """
    here = text[position : position + 2]
    before = text[:position].rstrip()[-1:]
    if here in ("//", "/*") or here[:1] == "#":
        return say("source.json_comment")
    if here[:1] in ("}", "]") and before == "," and here:
        return say("source.json_comma")
    if here[:1] == "'":
        return say("source.json_quote")
    if here[:1].isdecimal() and text[:position].endswith("0"):
        return say("source.json_zero")
    if here[:1].isalpha() and before in ("", "{", "[", ",", ":"):
        return say("source.json_bare")
    return reason


def each(text: str, decoder: Decoder) -> list[Any]:
    """Parses the values on one line: one, or several with or without a comma behind each; raises
    BrokenJson, which shows where the line breaks.
    """
    parsed: list[Any] = []
    at = 0
    try:
        while at < len(text):
            value, at = decoder.raw(text, at)
            parsed.append(value)
            at = space(text, at)
            if text[at : at + 1] == "," and isinstance(value, dict):
                at = space(text, at + 1)
            # What follows a value that is no object is no further row: 1 000, "a" "b".
            elif at < len(text) and not (isinstance(value, dict) and text[at] == "{"):
                raise json.JSONDecodeError("Extra data", text, at)
    except json.JSONDecodeError as error:
        reason = _cause(text, error.pos, error.msg)
        text_told = say("source.json", reason=reason, seen=excerpt(text, error.pos))
        raise BrokenJson(Said(text_told, f"source.json {reason}")) from None
    except (ValueError, RecursionError) as error:
        raise BrokenJson(str(error)) from None
    return parsed


def parse_python(text: str, decoder: Decoder) -> Any:
    """Parses one row that Python's ``print`` wrote, ``{'a': None}``; raises BrokenJson for anything
    else.
    """
    try:
        tree = ast.parse(text, mode="eval")
        row = ast.literal_eval(tree)
        # Sets, bytes and the like are Python and no row.
        json.dumps(row)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise BrokenJson(say("source.json", reason=error, seen=excerpt(text, 0))) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [ast.literal_eval(key) for key in node.keys if key is not None]
            decoder.note([*zip(keys, map(ast.literal_eval, node.values), strict=True)])
    return row


class JsonText:
    """A text stream of JSON, read in pieces."""

    def __init__(self, stream: TextIO, decoder: Decoder) -> None:
        self._stream, self._decoder = stream, decoder
        self._buffer = ""
        self._at = 0
        self._line = 1
        self._ended = False

    def _more(self) -> None:
        """Reads on; at least as much as is held, so that a long value is tried again only a few
        times.
        """
        held = len(self._buffer) - self._at
        piece = self._stream.read(max(_CHUNK, held))
        self._ended = not piece
        self._line += self._buffer.count("\n", 0, self._at)
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0

    def peek(self) -> str:
        """Returns the next character that is neither space nor part of a comment without taking it;
        empty at the end.
        """
        while True:
            space = _SPACE.match(self._buffer, self._at)
            assert space is not None
            self._at = space.end()
            if self._buffer.startswith("/", self._at) and self._passed():
                continue
            if self._at < len(self._buffer) or self._ended:
                return self._buffer[self._at : self._at + 1]
            self._more()

    def _passed(self) -> bool:
        """Passes a comment between values, or reads on where its end is not here yet; tells whether
        there is something else to look at now.
        """
        ends = {"//": "\n", "/*": "*/"}
        end = ends.get(self._buffer[self._at : self._at + 2])
        closed = -1 if end is None else self._buffer.find(end, self._at + 2)
        if closed >= 0 and end is not None:
            self._at = closed + len(end)
            return True
        whole = end is None and len(self._buffer) - self._at > 1
        if whole or self._ended:
            return False
        self._more()
        return True

    def take(self, allowed: str) -> str:
        """Takes the next character, which must be one of ``allowed``."""
        character = self.peek()
        if not character or character not in allowed:
            raise self.broken(say("source.expected", allowed=" ".join(allowed)), self._at)
        self._at += 1
        return character

    def value(self) -> Any:
        """Takes the next value, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw(self._buffer, self._at)
            except json.JSONDecodeError as error:
                self._decoder.twice.clear()  # what was met is met again
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self._buffer) - _CUT
                if cut and not self._ended and len(self._buffer) - self._at < _LONGEST:
                    self._more()
                    continue
                reason = _cause(self._buffer, error.pos, error.msg)
                raise self.broken(reason, error.pos) from None
            except (ValueError, RecursionError) as error:
                raise self.broken(str(error), self._at) from None
            # A number that touches the end of what was read may go on.
            if end == len(self._buffer) and not self._ended and isinstance(value, int | float):
                self._more()
                continue
            self._at = end
            return value

    def skip(self) -> None:
        """Passes the next value, whatever is odd about it."""
        self.value()
        self._decoder.twice.clear()

    def broken(self, reason: str, position: int) -> BrokenJson:
        """Makes the error for ``position`` in the text that is held."""
        line = self._line + self._buffer.count("\n", 0, position)
        if position >= len(self._buffer):
            return BrokenJson(say("source.json_end", line=line, reason=reason))
        return BrokenJson(
            say("source.json_line", line=line, reason=reason, seen=excerpt(self._buffer, position))
        )


def array(stream: TextIO, decoder: Decoder) -> Iterator[Any]:
    """Yields the items of one JSON array."""
    text = JsonText(stream, decoder)
    yield from _items(text)
    _nothing_more(text)


def _items(text: JsonText) -> Iterator[Any]:
    text.take("[")
    if text.peek() != "]":
        yield text.value()
        while text.take(",]") == ",":
            if text.peek() == "]":  # a comma too many holds nothing that could be lost
                text.take("]")
                return
            yield text.value()
    else:
        text.take("]")


def items_under(stream: TextIO, path: Sequence[str], decoder: Decoder) -> Iterator[object]:
    """Yields the items of the array under a path of keys; skips what is under other keys."""
    text = JsonText(stream, decoder)
    yield from _under(text, path)
    _nothing_more(text)


def _under(text: JsonText, path: Sequence[str]) -> Iterator[object]:
    text.take("{")
    while True:
        if text.peek() != '"':
            text.take('"')
        key = text.value()
        text.take(":")
        if key != path[0]:
            text.skip()
        elif len(path) > 1:
            yield from _under(text, path[1:])
        else:
            yield from _items(text)
        if text.take(",}") == "}":
            break


def space(text: str, at: int) -> int:
    """Returns the next place at or behind ``at`` where there is no space."""
    match = _SPACE.match(text, at)
    return match.end() if match else at


def members(stream: TextIO, decoder: Decoder) -> Iterator[tuple[str, object]]:
    """Yields the keys and values of one JSON object."""
    text = JsonText(stream, decoder)
    text.take("{")
    if text.peek() == "}":
        text.take("}")
    else:
        while True:
            if text.peek() != '"':
                text.take('"')
            key = text.value()
            text.take(":")
            yield key, text.value()
            if text.take(",}") == "}":
                break
    _nothing_more(text)


def values(stream: TextIO, decoder: Decoder) -> Iterator[Any]:
    """Yields values that follow each other with only space between them, each over several
    lines.
    """
    text = JsonText(stream, decoder)
    while text.peek():
        yield text.value()


def _nothing_more(text: JsonText) -> None:
    if text.peek():
        raise text.broken(say("source.after"), text._at)
