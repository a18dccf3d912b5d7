"""A row and what may stand in its place: its question reworded by rules, its answer as it is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.drawing import place_of
from tunesmith.data.files.file_facts import Located
from tunesmith.data.rewording.kept import broken, protected
from tunesmith.data.rewording.settings import SLOT, Augment
from tunesmith.data.rewording.swapping import Span, by_noise, by_synonyms
from tunesmith.data.texts.duplicates import normalise
from tunesmith.data.texts.script import script_of
from tunesmith.data.texts.strings import strings
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.words import say

ASKING = (
    *("question", "instruction", "query", "text", "sentence", "prompt", "input", "content"),
    *("messages", "conversations", "sentence1"),
)
"""Columns that hold what is asked, the likeliest first."""
SHORT = 40
"""A column with no more characters is a label or a short answer, whose words stay."""
TRIES = 4
"""How often a variant is drawn anew that may not stand."""

Way = Callable[[str, Sequence[Span], float, random.Random], str]
Propose = Callable[["Original", int], Iterator[str]]
"""Yields what may stand for a row's text as its variant of a number, the best first."""


@dataclass(frozen=True)
class Original:
    """A row and the text of it that is reworded."""

    number: int
    located: Located
    path: tuple[str | int, ...]
    """The way to the text: a column, or a turn within it."""
    text: str
    answer: set[str]
    """The words of the answer or label."""


def original_of(number: int, located: Located, how: Augment) -> Original:
    """Finds the text of a row that is reworded; SpecError where it has none."""
    path = place_in(located, how.column)
    text = text_at(located.row, path)
    return Original(number, located, path, text, _answer_words(located.row, path[0], text))


def place_in(located: Located, column: str | None) -> tuple[str | int, ...]:
    """Returns the way to the text that is reworded: a column, or a turn within it; SpecError
    where the row has none.
    """
    row = located.row
    name = column or next(
        (
            column_asking
            for column_asking in ASKING
            if isinstance(row.get(column_asking), str | list)
        ),
        None,
    )
    fields = {"where": located.where, "columns": ", ".join(row)}
    if name is None or name not in row:
        raise SpecError(Problem("column", say("augment.no_column", **fields)))
    if any(_has_places(value) for value in row.values()):
        raise SpecError(Problem("column", say("augment.places", **fields)))
    value = row[name]
    if isinstance(value, str):
        return (name,)
    for number, turn in reversed([*enumerate(value if isinstance(value, list) else ())]):
        if isinstance(turn, dict) and {turn.get("role"), turn.get("from")} & {"user", "human"}:
            for key in ("content", "value"):
                if isinstance(turn.get(key), str):
                    return (name, number, key)
    raise SpecError(Problem("column", say("augment.no_column", **fields)))


def _has_places(value: object) -> bool:
    """Tells whether a column holds places of characters, which a change of the text would move."""
    return isinstance(value, list) and any(
        isinstance(item, dict) and {"start", "end"} <= item.keys() for item in value
    )


def text_at(row: JsonObject, path: Sequence[str | int]) -> str:
    """Returns the text of a row at a place."""
    value: Any = row
    for step in path:
        value = value[step]
    return str(value)


def _with(row: JsonObject, path: Sequence[str | int], text: str) -> JsonObject:
    """Returns the row with another text at a place."""
    name, *rest = path
    if not rest:
        return {**row, str(name): text}
    number, key = rest
    turns = [dict(turn) for turn in row[str(name)]]
    turns[int(number)][str(key)] = text
    return {**row, str(name): turns}


def _answer_words(row: JsonObject, name: str | int, text: str) -> set[str]:
    """Returns the short texts of the other columns, and those of their words that stand in the
    text: labels, options, the words that an answer takes from its question.
    """
    others = [
        word
        for column, value in row.items()
        if column not in (name, CAME_FROM)
        for word in strings(value)
    ]
    return {
        word.strip()
        for word in others
        if word.strip() and (len(word) <= SHORT or (len(word) <= len(text) and word in text))
    }


def drawn(how: Augment) -> Propose:
    """Returns the way that draws anew what may not stand, a few times."""
    way: Way = _by_templates(how.templates or [])
    if how.how == "synonyms":
        way = by_synonyms(how.words)
    elif how.how == "noise":
        way = by_noise

    def propose(original: Original, number: int) -> Iterator[str]:
        kept = protected(original.text, original.answer)
        salt = place_of(original.located.row, how.seed).hex()
        for again in range(TRIES):
            chance = random.Random(f"{salt} {number} {again}")
            yield way(original.text, kept, how.share, chance)

    return propose


def _by_templates(templates: Sequence[str]) -> Way:
    """Returns the way that puts a text into a sentence of its own script, where there is one."""
    scripts = [script_of(template.replace(SLOT, "")) for template in templates]

    def put(text: str, kept: Sequence[Span], share: float, chance: random.Random) -> str:
        wanted = script_of(text), None
        pairs = zip(templates, scripts, strict=True)
        fitting = [template for template, script in pairs if script in wanted]
        return chance.choice(fitting or templates).replace(SLOT, text)

    return put


def variants(
    originals: Sequence[Original], propose: Propose, times: int, refused: Counter[str]
) -> Iterator[JsonObject | None]:
    """Yields ``times`` variants of each row; None for one that could not be made."""
    for original in originals:
        seen = {normalise(original.text)}
        for number in range(times):
            why: str | None = "no_answer"
            variant = original.text
            for variant in propose(original, number):
                why = broken(original.text, variant, original.answer)
                if why is None and normalise(variant) in seen:
                    why = "same"
                if why is None:
                    break
            seen.add(normalise(variant))
            if why is not None:
                refused[why] += 1
            yield None if why is not None else _with(original.located.row, original.path, variant)


def told_of_refused(refused: Counter[str]) -> list[str]:
    """Says why variants were not made, a line for each reason."""
    return [
        say(f"augment.refused_{why}", number=number)
        for why, number in refused.most_common()
        if number
    ]
