"""Pictures, videos and sounds of conversations: where a row lists them apart from its turns
(ShareGPT, LLaMA-Factory), and what is said as long as no model here sees or hears.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.columns.turns import MEDIA, json_list, shown
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Example, Media, Turn, chats_of
from tunesmith.plain import Row
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
            Media(kind, _place(one), 0, f"{name}[{n}]")
            for name in names
            for n, one in enumerate(_listed(row.get(name)))
        ]
        for kind, names in MEDIA.items()
    }
    found = [_taken(turn, waiting) for turn in turns]
    left = tuple(one for listed in waiting.values() for one in listed)
    first = next((n for n, turn in enumerate(found) if turn.role == "user"), 0)
    if left and found:
        found[first] = replace(found[first], media=left + found[first].media)
    return found


def _taken(turn: Turn, waiting: Waiting) -> Turn:
    """Fills each mark of a turn, or each part that names no place, with the next waiting medium of
    its kind.
    """
    if turn.media:
        media = [
            replace(waiting[one.kind].pop(0), at=one.at)
            if not one.place and waiting[one.kind]
            else one
            for one in turn.media
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
    found = json_list(value)
    if found is None:
        found = [] if value in (None, "") else [value]
    return [one for one in found if one not in (None, "")]


def _place(value: object) -> str:
    """Returns where a picture, sound or video lies; ``data:`` where the row itself holds it."""
    if isinstance(value, Mapping):  # as the datasets library writes a picture
        value = value.get("path") or value.get("url") or "data:"
    return str(value)


def refuse_media(example: Example) -> None:
    """Raises DataError where a conversation holds more than text: no model is trained on it or
    asked about it yet, and without it the text may mean another thing.
    """
    for chat in chats_of(example):
        for turn in chat.turns:
            if turn.media:
                one = turn.media[0]
                kind = say(f"reader.media_{one.kind}")
                parts = [
                    part if isinstance(part, str) else f"[{part.kind} {shown(part.place)}]"
                    for part in turn.parts
                ]
                told = say("reader.media", kind=kind, seen=shown(" ".join(parts), 80))
                raise DataError(Problem(one.field, told))
