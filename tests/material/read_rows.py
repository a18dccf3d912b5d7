"""Rows of a file as examples, and what an example says as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from material.prepared_rows import written
from tunesmith.data.reading import Reading
from tunesmith.examples import Chat, Feedback, Labelled, Preference, Tagged, TextPair
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Data


def read(path: Path, objective: str, **data: Any) -> Reading:
    return Reading(Data(path=str(path), **data), OBJECTIVES.get(objective).eats)


def read_as(folder: Path, objective: str, rows: list[Any]) -> list[Any]:
    """What the rows say, by value, when a file holds them and nothing is told of it."""
    path = written(folder / "rows.jsonl", rows)
    return [values(example) for _, example in read(path, objective)]


def values(example: Any) -> Any:
    """What an example says, as plain values."""
    match example:
        case Chat():
            return [turn.content for turn in example.turns]
        case Preference():
            sides = example.prompt.turns, example.chosen, example.rejected
            return tuple([turn.content for turn in side] for side in sides)
        case Labelled():
            return example.text, example.second, example.labels
        case TextPair():
            return example.text, example.second, example.similarity, example.negatives
        case Feedback():
            return values(example.chat), example.desirable
        case Tagged():
            return [(example.text[one.start : one.end], one.label) for one in example.spans]
        case _:
            return example
