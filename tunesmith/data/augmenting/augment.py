"""``tunesmith data augment``: rows and, behind each, what is reworded: the question changes,
the answer or the label stays.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.augmenting.kept import broken, protected
from tunesmith.data.augmenting.negatives import with_negatives
from tunesmith.data.augmenting.settings import MODELS, SLOT, Augment, refuse
from tunesmith.data.augmenting.swapping import Span, by_noise, by_synonyms
from tunesmith.data.augmenting.targets import rows_wanted
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
from tunesmith.events.stream import Events
from tunesmith.plain import JsonObject
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


def augment(source: str, out: Path, settings: Augment, events: Events | None = None) -> Account:
    """Writes the rows of ``source`` to ``out``, each followed by its variants; DataError where no
    variant could be made, and nothing is written. Stopped where a model could not be asked for
    all: the same call goes on from there.
    """
    refuse(settings)
    if settings.how == "negatives":
        return with_negatives(source, out, settings)
    place = file_to_write(out)
    assert place is not None, "a path was given"
    writer_of(place)
    files = find_data(source)
    refuse_source(out, files)
    account, refused = Account(), Counter[str]()
    found = list(_read(files))
    chosen, notes = found, list[str]()
    if settings.target is not None:
        wanted, notes = rows_wanted(source, settings.target, settings.times)
        chosen = [one for one in found if (one.file, one.number) in wanted]
    originals = [_original(number, one, settings) for number, one in enumerate(chosen)]
    with _propose(settings, originals, place, events or Events()) as propose:
        made = [*_variants(originals, propose, settings.times, refused)]
        near = _near_held(originals, made, settings)
        refused["near_held"] = len(near)
        account.read = len(found)
        account.added = sum(one is not None for one in made) - len(near)
        if not account.added:
            told = "; ".join(_told(refused))
            raise DataError(Problem(source, say("augment.nothing", why=told)))

        def written() -> Iterator[JsonObject]:
            account.written = 0
            numbers = {id(one.located): one.number for one in originals}
            for located in found:
                came = came_from(located, ["augment"])
                account.written += 1
                yield {**located.row, CAME_FROM: came}
                if id(located) not in numbers:
                    continue
                first = numbers[id(located)] * settings.times
                for number in range(first, first + settings.times):
                    row = made[number]
                    if row is not None and number not in near:
                        account.written += 1
                        yield {**row, CAME_FROM: came | {"augmented": settings.how}}

        write_rows(place, written)
    added = say("augment.added", added=account.added, rows=len(originals))
    account.notes = [*notes, added, *_told(refused)]
    write_account(place, account)
    return account


def _read(files: Sequence[Path]) -> Iterator[Located]:
    faults = Faults()
    for file in files:
        yield from rows_of(file, faults=faults)
    faults.stop()


def _propose(
    how: Augment, originals: Sequence[Original], out: Path, events: Events
) -> AbstractContextManager[Propose]:
    """Opens the way that the settings name."""
    if how.how not in MODELS:
        return nullcontext(_drawn(how))
    from tunesmith.data.augmenting.by_models import said_by_models

    asked = [(one.located.where, one.text) for one in originals]
    return _by_number(said_by_models(asked, how, out, events), how.times)


@contextmanager
def _by_number(said: AbstractContextManager[list[str | None]], times: int) -> Iterator[Propose]:
    with said as texts:

        def propose(original: Original, number: int) -> Iterator[str]:
            text = texts[original.number * times + number]
            return iter(() if text is None else (text,))

        yield propose


def _drawn(how: Augment) -> Propose:
    """Returns the way that draws anew what may not stand, a few times."""
    templates = how.templates or []
    way: Way = lambda text, _kept, _share, chance: chance.choice(templates).replace(SLOT, text)  # noqa: E731
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


def _variants(
    originals: Sequence[Original], propose: Propose, times: int, refused: Counter[str]
) -> Iterator[JsonObject | None]:
    """Yields ``times`` variants of each row; None for one that could not be made."""
    for one in originals:
        seen = {normalise(one.text)}
        for number in range(times):
            why: str | None = "no_answer"
            variant = one.text
            for variant in propose(one, number):
                why = broken(one.text, variant, one.answer)
                if why is None and normalise(variant) in seen:
                    why = "same"
                if why is None:
                    break
            seen.add(normalise(variant))
            if why is not None:
                refused[why] += 1
            yield None if why is not None else _with(one.located.row, one.path, variant)


def _original(number: int, located: Located, how: Augment) -> Original:
    path = _place(located, how.column)
    text = _at(located.row, path)
    return Original(number, located, path, text, _answer_words(located.row, path[0], text))


def _place(located: Located, column: str | None) -> tuple[str | int, ...]:
    """Returns the way to the text that is reworded: a column, or a turn within it; SpecError
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
    originals: Sequence[Original], made: Sequence[JsonObject | None], how: Augment
) -> set[int]:
    """Returns the numbers of the variants that are nearly a held-out row."""
    if how.against is None:
        return set()
    paths = [how.against] if isinstance(how.against, str) else how.against
    held = [one for path in paths for one in _read(find_data(path))]
    texts = [_at(one.row, _place(one, how.column)) for one in held]
    for number, row in enumerate(made):
        path = originals[number // how.times].path
        texts.append("" if row is None else _at(row, path))
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
