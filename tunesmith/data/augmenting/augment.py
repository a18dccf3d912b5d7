"""``tunesmith data augment``: rows and, behind each, what is said otherwise: the question changes,
the answer or the label stays.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator

from tunesmith.data.augmenting.kept import broken, protected
from tunesmith.data.augmenting.swapping import Span, by_noise, by_synonyms
from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.file_facts import Faults, Located
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.files.writing import write_rows, writer_of
from tunesmith.data.find import find_data
from tunesmith.data.steps import came_from, refuse_source, write_account
from tunesmith.data.texts.duplicates import Clusters, join_near, normalise, sketch_of
from tunesmith.data.texts.strings import strings
from tunesmith.data.transforms import Account
from tunesmith.data.transforms._draw import place_of
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.storage.atomic import file_to_write
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
SLOT = "{text}"

Way = Callable[[str, Sequence[Span], float, random.Random], str]


def _with_slot(templates: list[str]) -> list[str]:
    if any(SLOT not in one for one in templates):
        raise ValueError(say("augment.no_slot"))
    return templates


class Augment(Spec):
    """How a text is said otherwise, and how often."""

    how: Literal["synonyms", "noise", "templates"] = "synonyms"
    """Words swapped for synonyms; typing errors, in Chinese characters that sound the same; or the
    text within another sentence.
    """
    times: Annotated[int, Gt(0)] = 1
    """Variants of each row at most."""
    share: Annotated[float, Gt(0), Le(1)] = 0.15
    """The share of the words that is changed, at least one."""
    column: str | None = None
    """The column that is said otherwise; what is asked (question, text) when not given. Of a
    conversation it is the last question.
    """
    words: str | None = None
    """Your own synonyms, a group of words a line; of Cilin (Chinese) or Moby (English), fetched
    once, when not given.
    """
    templates: Annotated[list[str], AfterValidator(_with_slot)] | None = None
    """For ``how=templates``: sentences with ``{text}`` where the text goes."""
    against: list[str] | str | None = None
    """Files that are held out: what is nearly one of their rows is refused."""
    seed: Annotated[int, Ge(0)] = 0
    """Another number draws other variants."""


def augment(source: str, out: Path, how: Augment) -> Account:
    """Writes the rows of ``source`` to ``out``, each followed by its variants; DataError where no
    variant could be made, and nothing is written.
    """
    _refuse(how)
    place = file_to_write(out)
    assert place is not None, "a path was given"
    writer_of(place)
    files = find_data(source)
    refuse_source(out, files)
    account, refused = Account(), Counter[str]()
    found = list(_read(files))
    made = [*_variants(found, _way(how), how, refused)]
    kept = [one for one in made if one is not None]
    near = _near_held(found, made, how)
    refused["near_held"] = len(near)
    account.read = len(found)
    account.added = len(kept) - len(near)
    if not account.added:
        raise DataError(Problem(source, say("augment.nothing", why="; ".join(_told(refused)))))

    def written() -> Iterator[JsonObject]:
        account.written = 0
        for number, located in enumerate(found):
            own = range(number * how.times, (number + 1) * how.times)
            fresh = [made[n] for n in own if n not in near]
            for row in (None, *(one for one in fresh if one is not None)):
                came = came_from(located, ["augment"])
                if row is not None:
                    came |= {"augmented": how.how}
                account.written += 1
                yield {**(located.row if row is None else row), CAME_FROM: came}

    write_rows(place, written)
    account.notes = [say("augment.added", added=account.added, rows=len(found)), *_told(refused)]
    write_account(place, account)
    return account


def _refuse(how: Augment) -> None:
    """Raises SpecError for settings that do not go together."""
    given = how.model_fields_set
    problems = [
        Problem(name, say("augment.only_with", how=wanted))
        for name, wanted in (("words", "synonyms"), ("templates", "templates"))
        if name in given and how.how != wanted
    ]
    if how.how == "templates" and not how.templates:
        problems.append(Problem("templates", say("augment.needs_templates")))
    if problems:
        raise SpecError(problems)


def _read(files: Sequence[Path]) -> Iterator[Located]:
    faults = Faults()
    for file in files:
        yield from rows_of(file, faults=faults)
    faults.stop()


def _way(how: Augment) -> Way:
    if how.how == "synonyms":
        return by_synonyms(how.words)
    if how.how == "noise":
        return by_noise
    templates = how.templates or []
    return lambda text, _kept, _share, chance: chance.choice(templates).replace(SLOT, text)


def _variants(
    found: Sequence[Located], way: Way, how: Augment, refused: Counter[str]
) -> Iterator[JsonObject | None]:
    """Yields ``times`` variants of each row; None for one that could not be made."""
    for located in found:
        path = _place(located, how.column)
        text = _at(located.row, path)
        words = _answer_words(located.row, path[0], text)
        kept = protected(text, words)
        seen = {normalise(text)}
        for number in range(how.times):
            salt = place_of(located.row, how.seed).hex()
            why: str | None = "same"
            variant = text
            for again in range(TRIES):
                chance = random.Random(f"{salt} {number} {again}")
                variant = way(text, kept, how.share, chance)
                why = broken(text, variant, words)
                if why is None and normalise(variant) in seen:
                    why = "same"
                if why is None:
                    break
            seen.add(normalise(variant))
            if why is not None:
                refused[why] += 1
            yield None if why is not None else _with(located.row, path, variant)


def _place(located: Located, column: str | None) -> tuple[str | int, ...]:
    """Returns the way to the text that is said otherwise: a column, or a turn within it; SpecError
    where the row has none.
    """
    row = located.row
    name = column or next((one for one in ASKING if isinstance(row.get(one), str | list)), None)
    told = {"where": located.where, "columns": ", ".join(row)}
    if name is None or name not in row:
        raise SpecError(Problem("column", say("augment.no_column", **told)))
    if any(_has_places(value) for value in row.values()):
        raise SpecError(Problem("column", say("augment.places", **told)))
    value = row[name]
    if isinstance(value, str):
        return (name,)
    for number, turn in reversed([*enumerate(value if isinstance(value, list) else ())]):
        if isinstance(turn, dict) and {turn.get("role"), turn.get("from")} & {"user", "human"}:
            for key in ("content", "value"):
                if isinstance(turn.get(key), str):
                    return (name, number, key)
    raise SpecError(Problem("column", say("augment.no_column", **told)))


def _has_places(value: object) -> bool:
    """Tells whether a column holds places of characters, which a change of the text would move."""
    return isinstance(value, list) and any(
        isinstance(one, dict) and {"start", "end"} <= one.keys() for one in value
    )


def _at(row: JsonObject, path: Sequence[str | int]) -> str:
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
        one
        for column, value in row.items()
        if column not in (name, CAME_FROM)
        for one in strings(value)
    ]
    return {
        one.strip()
        for one in others
        if one.strip() and (len(one) <= SHORT or (len(one) <= len(text) and one in text))
    }


def _near_held(
    found: Sequence[Located], made: Sequence[JsonObject | None], how: Augment
) -> set[int]:
    """Returns the numbers of the variants that are nearly a held-out row."""
    if how.against is None:
        return set()
    paths = [how.against] if isinstance(how.against, str) else how.against
    held = [one for path in paths for one in _read(find_data(path))]
    texts = [_at(one.row, _place(one, how.column)) for one in held]
    for number, row in enumerate(made):
        parent = found[number // how.times]
        texts.append("" if row is None else _at(row, _place(parent, how.column)))
    clusters = Clusters(len(texts))
    join_near(clusters, [sketch_of(text) for text in texts])
    clusters.join_equal([normalise(text) if text else None for text in texts])
    roots = clusters.roots()  # a cluster is named by its first row
    own = enumerate(roots[len(held) :])
    return {number for number, root in own if root < len(held) and made[number] is not None}


def _told(refused: Counter[str]) -> list[str]:
    return [
        say(f"augment.refused_{why}", number=number)
        for why, number in refused.most_common()
        if number
    ]
