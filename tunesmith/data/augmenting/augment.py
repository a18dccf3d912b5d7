"""``tunesmith data augment``: rows and, behind each, what is reworded: the question changes,
the answer or the label stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

from tunesmith.data.augmenting.negatives import with_negatives
from tunesmith.data.augmenting.targets import rows_wanted
from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.file_facts import Faults, Located
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.files.writing import write_rows
from tunesmith.data.find import find_data
from tunesmith.data.rewording.settings import MODELS, Augment, refuse
from tunesmith.data.rewording.variants import (
    Original,
    Propose,
    drawn,
    original_of,
    place_in,
    text_at,
    told_of_refused,
    variants,
)
from tunesmith.data.steps import place_to_write, write_account
from tunesmith.data.texts.duplicates import Clusters, join_near, normalise, sketch_of
from tunesmith.data.transforms import Account, came_from
from tunesmith.errors import DataError, Problem
from tunesmith.events.stream import Events
from tunesmith.plain import JsonObject
from tunesmith.words import say


def augment(source: str, out: Path, settings: Augment, events: Events | None = None) -> Account:
    """Writes the rows of ``source`` to ``out``, each followed by its variants; DataError where no
    variant could be made, and nothing is written. Stopped where a model could not be asked for
    all: the same call goes on from there.
    """
    refuse(settings)
    if settings.how == "negatives":
        return with_negatives(source, out, settings)
    files = find_data(source)
    target = place_to_write(out, files)
    account, refused, faults = Account(), Counter[str](), Faults()
    rows = list(_read(files, faults))
    chosen = rows
    notes = list[str]()
    if settings.target is not None:
        wanted, notes = rows_wanted(source, settings.target, settings.times)
        chosen = [row for row in rows if (row.file, row.number) in wanted]
    originals = [original_of(number, row, settings) for number, row in enumerate(chosen)]
    with _propose(settings, originals, target, events or Events()) as propose:
        made = [*variants(originals, propose, settings.times, refused)]
        near = _near_held(originals, made, settings)
        refused["near_held"] = len(near)
        account.read = len(rows)
        account.added = sum(variant is not None for variant in made) - len(near)
        if not account.added:
            reasons = "; ".join(told_of_refused(refused))
            raise DataError(Problem(source, say("augment.nothing", why=reasons)))

        def written() -> Iterator[JsonObject]:
            account.written = 0
            numbers = {id(original.located): original.number for original in originals}
            for located in rows:
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

        added = say("augment.added", added=account.added, rows=len(originals))
        account.notes = [*notes, added, *told_of_refused(refused), *faults.notes()]
        write_rows(target, written, partial(write_account, target, account))
    return account


def _read(files: Sequence[Path], faults: Faults) -> Iterator[Located]:
    for file in files:
        yield from rows_of(file, faults=faults)
    faults.stop()


def _propose(
    how: Augment, originals: Sequence[Original], out: Path, events: Events
) -> AbstractContextManager[Propose]:
    """Opens the way that the settings name."""
    if how.how not in MODELS:
        return nullcontext(drawn(how))
    from tunesmith.data.augmenting.by_models import said_by_models

    asked = [(original.located.where, original.text) for original in originals]
    return _by_number(said_by_models(asked, how, out, events), how.times)


@contextmanager
def _by_number(said: AbstractContextManager[list[str | None]], times: int) -> Iterator[Propose]:
    with said as texts:

        def propose(original: Original, number: int) -> Iterator[str]:
            text = texts[original.number * times + number]
            return iter(() if text is None else (text,))

        yield propose


def _near_held(
    originals: Sequence[Original], made: Sequence[JsonObject | None], how: Augment
) -> set[int]:
    """Returns the numbers of the variants that are nearly a held-out row, or made from one: the
    sentence of a template around it makes it no other row.
    """
    if how.against is None:
        return set()
    paths = [how.against] if isinstance(how.against, str) else how.against
    held = [row for path in paths for row in _read(find_data(path), Faults())]
    held_texts = [text_at(row.row, place_in(row, how.column)) for row in held]
    texts = [original.text for original in originals]
    for number, row in enumerate(made):
        path = originals[number // how.times].path
        texts.append("" if row is None else text_at(row, path))
    is_near = _near(held_texts, texts)
    from_held = is_near[: len(originals)]
    return {
        number
        for number, near in enumerate(is_near[len(originals) :])
        if made[number] is not None and (near or from_held[number // how.times])
    }


def _near(held: Sequence[str], texts: Sequence[str]) -> list[bool]:
    """Tells of each text whether it is nearly one that is held out."""
    both = [*held, *texts]
    clusters = Clusters(len(both))
    join_near(clusters, [sketch_of(text) for text in both])
    clusters.join_equal([normalise(text) if text else None for text in both])
    roots = clusters.roots()  # a cluster is named by its first row
    return [root < len(held) for root in roots[len(held) :]]
