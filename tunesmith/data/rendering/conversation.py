"""A conversation through the chat template, turn by turn, so that each trained span is known and
never searched for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tunesmith.data.rendering.text_to_ids import PlainTokenizer
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Turn
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Data
from tunesmith.words import say

Messages = list[JsonObject]

MARK = "Zq7probe"
# Templates that print today's date would ask a model something else tomorrow than it was trained
# on; this is the date that such templates print where they cannot ask for it.
DATE = datetime(2024, 7, 26)

PLAIN = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + "
    "'\n\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ '### Answer:\n' + message['content'] + eos_token "
    "+ '\n\n' }}"
    "{% elif message['role'] == 'tool' %}{{ '### Result:\n' + message['content'] + '\n\n' }}"
    "{% else %}{{ '### Question:\n' + message['content'] + '\n\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Answer:\n' }}{% endif %}"
)


class Conversation:
    """What the chat template does, found out by rendering probes with it."""

    def __init__(self, pieces: PlainTokenizer, data: Data) -> None:
        self.pieces, self.data = pieces, data
        self.tokenizer = pieces.tokenizer
        if not self.tokenizer.chat_template:
            self.tokenizer.chat_template = (
                "{{ bos_token }}" if pieces.bos and self.tokenizer.bos_token else ""
            ) + PLAIN
        self.options: dict[str, Any] = {}
        if "strftime_now" in self.tokenizer.get_chat_template():
            self.options["strftime_now"] = DATE.strftime
        asked = self._probe([_user()], generation=True)
        unthinking = self._probe([_user()], generation=True, enable_thinking=False)
        self.thinks = unthinking != asked
        """Whether the template can ask for an answer without thinking."""
        if self.thinks and data.reasoning != "think":
            self.options["enable_thinking"] = False
            asked = unthinking
        self.opens_thinking = (asked or "").rstrip().endswith("<think>")
        self.reasoning_key = self._reasoning_key()
        self.ignores_system = MARK not in (
            self._probe([{"role": "system", "content": MARK}, _user()]) or MARK
        )
        self.shows_tools = MARK in (self._probe([_user()], tools=[_tool()]) or "")
        calling = {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": _call()}],
        }
        self.shows_calls = MARK in (self._probe([_user(), calling]) or "")
        opened = self._probe([{"role": "assistant", "content": MARK}, _user()])
        self.may_open = MARK in (opened or "")
        """Whether a conversation may begin with the assistant."""
        self.header = self._header()
        self._find_ending()

    def _probe(self, messages: Messages, *, generation: bool = False, **options: Any) -> str | None:
        """Renders messages; None where the template refuses them."""
        try:
            return self.render(messages, generation=generation, **options)
        except DataError:
            return None

    def _reasoning_key(self) -> str | None:
        for key in ("reasoning_content", "thinking", "reasoning"):
            if MARK in (
                self._probe([_user(), {"role": "assistant", "content": "a", key: MARK}]) or ""
            ):
                return key
        return None

    def _header(self) -> str:
        """Returns the text that precedes every answer but that the template does not write when
        asked for a prompt: it belongs to the prompt.
        """
        asked = self._probe([_user()], generation=True)
        if asked is None or asked != self._probe([_user()]):
            return ""
        answered = self._probe([_user(), {"role": "assistant", "content": MARK}]) or ""
        before, mark, _ = answered.partition(MARK)
        header = before[len(asked) :] if mark and before.startswith(asked) else ""
        return header if header.strip() else ""

    def _find_ending(self) -> None:
        """Sets ``ending``, the text after an answer up to its stop token, ``after``, the rest, and
        ``stop``, the id of that token.
        """
        rendered = self._probe([_user(), {"role": "assistant", "content": MARK}]) or MARK
        ending = rendered.rpartition(MARK)[2]
        tokenizer = self.tokenizer
        special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
        stops = [token for token in self.pieces.more(ending) if token in special]
        self.stop: int | None = stops[0] if stops else None
        self.appends_eos = not ending.strip()
        """Whether the template ends an answer with nothing, so that the tokenizer's end token has
        to.
        """
        self.ending, self.after = ending, ending if self.appends_eos else ""
        if stops:
            written = tokenizer.convert_ids_to_tokens(stops[0])
            if written in ending:
                cut = ending.index(written) + len(written)
                self.ending, self.after = ending[:cut], ending[cut:]

    def render(
        self,
        messages: Messages,
        *,
        generation: bool = False,
        tools: Sequence[Any] | None = None,
        **options: Any,
    ) -> str:
        """Renders messages with the chat template; raises DataError with the template's own words
        where it refuses.
        """
        from jinja2.exceptions import TemplateError

        try:
            return self.tokenizer.apply_chat_template(
                messages,
                tools=tools or None,
                add_generation_prompt=generation,
                tokenize=False,
                **(self.options | options),
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            roles = ", ".join(message["role"] for message in messages)
            raise DataError(Problem("", say("render.refused", reason=error, roles=roles))) from None

    def turns(self, chat: Chat) -> tuple[Turn, ...]:
        """Returns the turns, with ``data.system`` where there is no system turn, and the tools in
        words where the template shows none.
        """
        turns = chat.turns if self.may_open else from_question(chat.turns)
        system = [turn.content for turn in turns if turn.role == "system"] or (
            [self.data.system] if self.data.system else []
        )
        if self.ignores_system and system:
            raise DataError(Problem("", say("render.ignores_system")))
        if chat.tools and not self.shows_tools:
            system = ["\n\n".join([*system, _tools_in_words(chat.tools)])]
        elif any(turn.role == "system" for turn in turns):
            return turns
        rest = tuple(turn for turn in turns if turn.role != "system")
        return (*(Turn("system", text) for text in system[:1]), *rest)

    def message(self, turn: Turn) -> JsonObject:
        """Returns one turn in the form that templates read."""
        content, extra = turn.content, {}
        if turn.tool_calls and self.shows_calls:
            extra["tool_calls"] = list(turn.tool_calls)
        elif turn.tool_calls:
            content = "\n".join(
                [*([content] if content else []), *map(_call_in_words, turn.tool_calls)]
            )
        if turn.name:
            extra["name"] = turn.name
        if turn.reasoning and self.data.reasoning == "plain":
            content = f"{turn.reasoning}\n\n{content}"
        elif turn.reasoning and self.data.reasoning == "think":
            if self.reasoning_key:
                extra[self.reasoning_key] = turn.reasoning
            else:
                content = f"<think>\n{turn.reasoning}\n</think>\n\n{content}"
        return {"role": turn.role, "content": content, **extra}

    def prompt(self, turns: Sequence[Turn], tools: Sequence[object]) -> str:
        """Renders the prompt for an answer after these turns."""
        asked = self.render(
            [self.message(turn) for turn in turns],
            generation=True,
            tools=tools if self.shows_tools else None,
        )
        return asked + self.header

    def answer(self, turns: Sequence[Turn], tools: Sequence[Any], prompt: str) -> str:
        """Returns what the last of ``turns`` adds to ``prompt``, up to and with its stop token."""
        text = self.render(
            [self.message(turn) for turn in turns], tools=tools if self.shows_tools else None
        )
        if not text.startswith(prompt):
            return self._written_out(turns[-1])
        added = text[len(prompt) :]
        return (
            added[: len(added) - len(self.after)]
            if self.after and added.endswith(self.after)
            else added
        )

    def _written_out(self, turn: Turn) -> str:
        """Writes out an answer after a prompt that the template does not continue itself, as where
        the prompt opens the thinking.
        """
        if turn.tool_calls and self.shows_calls:
            raise DataError(Problem("", say("render.not_continued")))
        if not self.opens_thinking:
            return self.message(turn)["content"].strip() + self.ending
        thought = turn.reasoning if turn.reasoning and self.data.reasoning == "think" else ""
        rest = self.message(replace(turn, reasoning=None if thought else turn.reasoning))["content"]
        return f"{thought}\n</think>\n\n{rest}{self.ending}"


def opening(turns: Sequence[Turn]) -> int:
    """Returns the index of the first question: answers before it answer nothing and are context."""
    return next((k for k, turn in enumerate(turns) if turn.role == "user"), 0)


def from_question(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Removes what the assistant says before the first question."""
    first = opening(turns)
    return (*(turn for turn in turns[:first] if turn.role == "system"), *turns[first:])


def _user() -> JsonObject:
    return {"role": "user", "content": "Hi"}


def _call() -> JsonObject:
    return {"name": MARK, "arguments": {"a": 1}}


def _tool() -> JsonObject:
    function = {
        "name": MARK,
        "description": "d",
        "parameters": {"type": "object", "properties": {}},
    }
    return {"type": "function", "function": function}


def _tools_in_words(tools: Sequence[object]) -> str:
    lines = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    return (
        f"You may call these functions:\n<tools>\n{lines}\n</tools>\n"
        'Call one by answering <tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>'
    )


def _call_in_words(call: Mapping[str, object]) -> str:
    return (
        f"<tool_call>\n{json.dumps(call.get('function', call), ensure_ascii=False)}\n</tool_call>"
    )
