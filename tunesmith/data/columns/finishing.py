"""What a reader made of a row, ready to render: pictures and sounds in their places, one turn after
the other, ended by an answer; or why the row is not used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.columns.labels import label_column
from tunesmith.data.columns.messages import turn_of
from tunesmith.data.columns.turns import MEDIA, json_list, no_number, shown
from tunesmith.errors import DataError, Problem
from tunesmith.examples import (
    Chat,
    Example,
    Feedback,
    Labelled,
    Media,
    Preference,
    Tagged,
    Text,
    TextPair,
    Turn,
    chats_of,
)
from tunesmith.plain import JsonObject, Row
from tunesmith.words import say

_MARK = re.compile("<(image|video|audio)>")

Waiting = dict[str, list[Media]]
"""What the row's columns list and no turn has taken yet, by its kind."""


def placed(turns: Sequence[Turn], row: Row) -> list[Turn]:
    """Puts what the row's columns list in the place of its marks, such as ``<image>``; media
    without a mark go before the first question. A mark for which no column has anything stays text.
    """
    waiting: Waiting = {
        kind: [
            Media(kind, _place(medium), 0, f"{name}[{n}]")
            for name in names
            for n, medium in enumerate(_listed(row.get(name)))
        ]
        for kind, names in MEDIA.items()
    }
    filled = [_taken(turn, waiting) for turn in turns]
    left = tuple(medium for listed in waiting.values() for medium in listed)
    first = next((n for n, turn in enumerate(filled) if turn.role == "user"), 0)
    if left and filled:
        filled[first] = replace(filled[first], media=left + filled[first].media)
    return filled


def _taken(turn: Turn, waiting: Waiting) -> Turn:
    """Fills each mark of a turn, or each part that names no place, with the next waiting medium of
    its kind.
    """
    if turn.media:
        media = [
            replace(waiting[medium.kind].pop(0), at=medium.at)
            if not medium.place and waiting[medium.kind]
            else medium
            for medium in turn.media
        ]
        return replace(turn, media=tuple(media))
    text, end, media, cuts = "", 0, [], []
    for mark in _MARK.finditer(turn.content):
        if waiting[mark[1]]:
            text += turn.content[end : mark.start()]
            end = mark.end()
            media.append(replace(waiting[mark[1]].pop(0), at=len(text)))
            cuts.append(mark)
    if not media:
        return turn

    def moved(place: int) -> int:
        return place - sum(
            min(len(cut[0]), place - cut.start()) for cut in cuts if cut.start() < place
        )

    spans = tuple((moved(start), moved(stop), weight) for start, stop, weight in turn.spans)
    return replace(turn, content=text + turn.content[end:], media=tuple(media), spans=spans)


def _listed(value: object) -> list[Any]:
    """Returns the values in a cell: several, one, or none."""
    cells = json_list(value)
    if cells is None:
        cells = [] if value in (None, "") else [value]
    return [cell for cell in cells if cell not in (None, "")]


def _place(value: object) -> str:
    """Returns where a picture, sound or video lies; ``data:`` where the row itself holds it."""
    if isinstance(value, Mapping):  # as the datasets library writes a picture
        value = value.get("path") or value.get("url") or "data:"
    return str(value)


def example_of(read: Callable[[Row], Example], row: Row) -> Example:
    """Reads a row by ``read``, that of its reader; raises DataError where it holds media."""
    example = read(row)
    _refuse_media(chats_of(example))
    return example


def conversation(
    messages: Sequence[object], place: str, tools: tuple[JsonObject, ...] = ()
) -> Chat:
    """Reads the messages of a conversation in OpenAI's form; ``place`` names each by its number in
    errors. Raises DataError where one holds media.
    """
    turns = tuple(turn_of(message, place.format(n)) for n, message in enumerate(messages))
    columns = {"question": turns[-1].content} if turns else {}
    chat = Chat(turns, tools, columns)
    _refuse_media([chat])
    return chat


def _refuse_media(chats: Iterable[Chat]) -> None:
    """Raises DataError where a conversation holds more than text: no model is trained on it or
    asked about it yet, and without it the text may mean another thing.
    """
    for chat in chats:
        for turn in chat.turns:
            if turn.media:
                medium = turn.media[0]
                kind = say(f"reader.media_{medium.kind}")
                parts = [
                    part if isinstance(part, str) else f"[{part.kind} {shown(part.place)}]"
                    for part in turn.parts
                ]
                text = say("reader.media", kind=kind, seen=shown(" ".join(parts), 80))
                raise DataError(Problem(medium.field, text))


_THINKING = tuple(
    re.compile(rf"\s*{block}\s*", re.DOTALL)
    for block in (
        r"<[Tt]hink>(?P<thought>.*?)</[Tt]hink>",
        r"<seed:think>(?P<thought>.*?)</seed:think>",
        r"\[THINK\](?P<thought>.*?)\[/THINK\]",
        r"◁think▷(?P<thought>.*?)◁/think▷",
        (
            r"<\|begin_of_thought\|>(?P<thought>.*?)<\|end_of_thought\|>"
            r"(?:\s*<\|begin_of_solution\|>(?P<said>.*?)<\|end_of_solution\|>)?"
        ),
        (
            r"<\|channel\|>analysis<\|message\|>(?P<thought>.*?)<\|end\|>"
            r"(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>"
        ),
        # Beside other marks of the same kind these are a format that is meant so.
        r"<(?P<mark>thinking|thought)>(?P<thought>.*?)</(?P=mark)>(?!\s*<\w+>)",
        # The template had opened it, so that the answer only closes it.
        r"(?P<thought>(?:(?!<think>).)*?\n)\s*</think>[ \t]*(?=\n)",
    )
)
"""A thinking block that an answer begins with, as models write it."""
_CLOSED = re.compile(
    r"</(?:seed:)?think>|</Think>|</thinking>|</thought>|◁/think▷|"
    r"\[/THINK\]|<\|end_of_thought\|>|<\|channel\|>final"
)
"""What one of them ends with: one quick look, for most answers have none."""


def finished(example: Example) -> tuple[Example | str, list[str]]:
    """Returns the example ready for use, or the reason why it cannot be used, and what was
    changed.
    """
    if isinstance(example, Text | Tagged):
        return (example if example.text.strip() else "no text"), []
    if isinstance(example, Labelled):
        return without_label(example) or example, []
    if isinstance(example, TextPair):
        return _without_text(example) or example, []
    if isinstance(example, Preference):
        return _pair(example)
    if isinstance(example, Feedback):
        if example.desirable is None:
            return "no label", []
        chat, changes = finish(example.chat)
        return (chat if isinstance(chat, str) else replace(example, chat=chat)), changes
    whole = _without_empty_end(example)
    chat, changes = finish(whole)
    return chat, changes if whole is example else [*changes, "empty_end"]


def _pair(example: Preference) -> tuple[Preference | str, list[str]]:
    """Finishes both sides of a pair; what they begin with in common becomes the prompt, wherever
    the file divided them.
    """
    example, begun = _asked_at_first(example)
    (chosen, changes), (rejected, others) = map(finish, example.sides)
    if isinstance(chosen, str) or isinstance(rejected, str):
        return (chosen if isinstance(chosen, str) else str(rejected)), []
    if example.tied:
        return "tie", []
    if chosen.turns == rejected.turns:
        return "same answers", []
    common = common_turns(chosen.turns, rejected.turns)
    prompt = replace(example.prompt, turns=chosen.turns[:common])
    if not any(turn.role == "user" for turn in prompt.turns):
        return "no common question", []
    pair = replace(
        example, prompt=prompt, chosen=chosen.turns[common:], rejected=rejected.turns[common:]
    )
    return pair, list(dict.fromkeys([*begun, *changes, *others]))


def _asked_at_first(example: Preference) -> tuple[Preference, list[str]]:
    """Takes what two texts begin with as their prompt where nothing is asked apart from them, as
    TRL does; a word is never divided. Returns the pair, and what was changed.
    """
    sides = [*example.chosen, *example.rejected]
    if len(sides) != 2 or any(turn.role != "assistant" for turn in sides):
        return example, []
    if any(turn.role == "user" for turn in example.prompt.turns):
        return example, []
    chosen_text, other = (turn.content for turn in sides)
    end = _alike(chosen_text, other)
    while (
        end
        and _in_a_word(chosen_text[end - 1])
        and any(map(_in_a_word, chosen_text[end : end + 1] + other[end : end + 1]))
    ):
        end -= 1
    begun = chosen_text[:end].rstrip(" ")
    if not begun.strip() or not (chosen_text[len(begun) :].strip() and other[len(begun) :].strip()):
        return example, []
    prompt = replace(example.prompt, turns=(*example.prompt.turns, Turn("user", begun)))
    chosen, rejected = (replace(turn, content=turn.content[len(begun) :]) for turn in sides)
    columns = {**example.columns, "question": begun}
    divided = replace(
        example, prompt=prompt, chosen=(chosen,), rejected=(rejected,), columns=columns
    )
    return divided, ["common_beginning"]


def _in_a_word(letter: str) -> bool:
    """Tells whether a letter is part of a word that spaces set apart, as Chinese ones are not."""
    return letter.isalnum() and ord(letter) < 0x2E80


def _alike(left: Sequence[object], right: Sequence[object]) -> int:
    """Counts what two sequences begin with in common."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((n for n, (ours, other) in pairs if ours != other), min(len(left), len(right)))


def common_turns(left: Sequence[Turn], right: Sequence[Turn]) -> int:
    """Counts the turns that two conversations begin with in common, up to a question: what follows
    on either side is an answer.
    """
    common = _alike(left, right)
    while common and left[common - 1].role == "assistant":
        common -= 1
    return common


def _without_text(example: TextPair) -> str | None:
    """Returns the reason why a pair of texts cannot be used; None where it can."""
    if not all(text.strip() for text in (example.text, example.second, *example.negatives)):
        return "no text"
    return "no label" if example.similarity is not None and math.isnan(example.similarity) else None


def without_label(example: Labelled) -> str | None:
    """Returns the reason why a labelled text cannot be used; None where it can. An empty list says
    that no class fits, and this is a label.
    """
    if not example.text.strip():
        return "no text"
    if isinstance(example.labels, float) or example.labels:
        return None
    name = label_column(example.columns)
    cell = None if name is None else example.columns[name]
    if json_list(cell) is not None:
        return None
    return "no label" if cell in (None, "") or no_number(cell) else "no agreed label"


def _without_empty_end(chat: Chat) -> Chat:
    """Cuts the chat after its last answer that is not empty; returns it unchanged where all are
    empty. An answer that is judged or compared is never cut so: the judgement would pass to the one
    before it.
    """
    turns = list(chat.turns)
    while turns and (turns[-1].role == "user" or _says_nothing(turns[-1])):
        turns.pop()
    cut = turns and any(map(_says_nothing, chat.turns[len(turns) :]))
    return replace(chat, turns=tuple(turns)) if cut else chat


def _says_nothing(turn: Turn) -> bool:
    """Tells whether a turn is an empty answer, which would teach the model to stop at once."""
    return turn.role == "assistant" and not (
        turn.content.strip() or turn.tool_calls or turn.reasoning
    )


def finish(chat: Chat) -> tuple[Chat | str, list[str]]:
    """Returns the chat up to the assistant's last answer, or the reason why it has none, and what
    was changed.

    Turns of one speaker that follow each other become one, since most chat templates refuse them.
    """
    turns: list[Turn] = []
    changes: list[str] = []
    for given in chat.turns:
        if given.role == "system" and not given.content.strip():
            changes.append("empty_system")
            continue
        turn = thought_apart(given)
        if turn is not given:
            changes.append("thinking")
        joined = _joined(turns[-1], turn) if turns else None
        if joined:
            turns[-1] = joined
            changes.append("joined")
        else:
            turns.append(turn)
    while turns and turns[-1].role != "assistant":
        turns.pop()
        changes.append("trailing")
    if not turns or not (turns[-1].content.strip() or turns[-1].tool_calls):
        return "no answer", []
    if not any(turn.role == "user" and turn.content.strip() for turn in turns):
        return "no question", []
    if any(map(_says_nothing, turns)):
        turns = [replace(turn, train=False) if _says_nothing(turn) else turn for turn in turns]
        changes.append("empty")
    columns = chat.columns
    if changes:
        asked = next(turn.content for turn in reversed(turns) if turn.role == "user")
        columns = {**columns, "question": asked, "answer": turns[-1].content}
        if turns[-1].reasoning:
            columns["reasoning"] = turns[-1].reasoning
    return replace(chat, turns=tuple(turns), columns=columns), list(dict.fromkeys(changes))


def thought_apart(turn: Turn) -> Turn:
    """Moves a block of thinking at the beginning of an answer, such as ``<think>…</think>``, into
    its reasoning.
    """
    said = turn.content if turn.role == "assistant" else ""
    blocks = _THINKING if _CLOSED.search(said) else ()
    matched = next(filter(None, (block.match(said) for block in blocks)), None)
    if matched is None:
        return turn
    thoughts = [
        part for part in ((turn.reasoning or "").strip(), matched["thought"].strip()) if part
    ]
    solution = matched.groupdict().get("said")
    if solution is not None:
        said = solution.strip() + said[matched.end() :]
        return replace(turn, content=said, reasoning="\n\n".join(dict.fromkeys(thoughts)) or None)
    cut = matched.end()
    spans = tuple((start - cut, stop - cut, w) for start, stop, w in turn.spans if start >= cut)
    reasoning = "\n\n".join(dict.fromkeys(thoughts)) or None
    return replace(turn, content=turn.content[cut:], reasoning=reasoning, spans=spans)


def _joined(before: Turn, turn: Turn) -> Turn | None:
    """Joins two turns of one speaker into one; None where they must stay apart."""
    apart = turn.reasoning or (before.role, before.train, before.weight) != (
        turn.role,
        turn.train,
        turn.weight,
    )
    if (
        apart
        or turn.role not in ("user", "assistant")
        or (before.tool_calls and not turn.tool_calls)
    ):
        return None
    text = "\n".join(part for part in (before.content, turn.content) if part)
    moved = len(text) - len(turn.content)
    spans = before.spans + tuple(
        (start + moved, stop + moved, weight) for start, stop, weight in turn.spans
    )
    return replace(
        before, content=text, tool_calls=before.tool_calls + turn.tool_calls, spans=spans
    )
