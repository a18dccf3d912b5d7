"""Rows changed into a file, step by step: what the verb ``tunesmith data`` does."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.file_facts import Faults, Located
from tunesmith.data.files.paths import ACCOUNT
from tunesmith.data.files.sources import rows as rows_of
from tunesmith.data.files.writing import write_rows, writer_of
from tunesmith.data.find import find_data
from tunesmith.data.odd_rows import odd_rows
from tunesmith.data.reading import Reading
from tunesmith.data.transforms import TRANSFORMS, Account, Rows, Transform, came_from, stepped
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.plain import JsonObject, Named
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.problems import problems_of
from tunesmith.settings.run import Data
from tunesmith.settings.spec import Spec, closest
from tunesmith.storage.atomic import drafted_file, file_to_write
from tunesmith.words import say

OTHERS = ("convert", "documents", "mix", "questions", "split")
"""Steps of the verb that are no transforms of rows one by one."""
AnySpec = TypeVar("AnySpec", bound=Spec)


def made(name: str, settings: Named) -> Transform:
    """Makes the transform of this name with these settings; raises SpecError with all that is wrong
    with them.
    """
    refuse_unknown(name)
    cls = TRANSFORMS.get(name)
    return TRANSFORMS.make(
        settled(cls.Config, {**settings, "name": cls.name}, f"transform.{cls.name}")
    )


def refuse_unknown(step: str) -> None:
    """Raises SpecError where the verb has no step of this name, with what may be meant."""
    steps = [*TRANSFORMS.names(), *OTHERS]
    if step not in steps and not step.endswith(".py"):
        hint = closest(step, steps) or say("spec.no_hint")
        text = say("transforms.which", hint=hint, known=", ".join(steps))
        raise SpecError(Problem(step, text))


def settled(spec: type[AnySpec], settings: Named, topic: str | None = None) -> AnySpec:
    """Validates a ``spec``; raises SpecError with every problem at its key, and with ``topic`` as
    what ``tunesmith explain`` tells about it.
    """
    try:
        return spec.model_validate(settings)
    except ValidationError as error:
        raise SpecError(problems_of(error, spec, topic=topic)) from None


def change(source: str, out: Path, transforms: list[Transform]) -> Account:
    """Writes the rows of ``source`` after the steps to ``out`` (by its ending .jsonl, .json, .csv,
    .tsv or .parquet), and what became of every row to ``out`` with ``.account.jsonl`` behind.

    Nothing is written where a row cannot be read, or none is left: DataError; nor where ``out``
    exists: SpecError.
    """
    files = find_data(source)
    target = place_to_write(out, files)
    others = {transform.writes.resolve() for transform in transforms if transform.writes}
    if others & {target, _account_of(target)}:
        raise SpecError(Problem(str(out), say("transforms.other_file")))
    account = Account()
    faults = Faults()

    def read() -> Iterator[Located]:
        account.read = 0
        faults.clear()  # a step that looks at all rows first reads them twice
        for file in files:
            for located in rows_of(file, faults=faults):
                account.read += 1
                yield located
        faults.stop()

    for transform in transforms:
        transform.look = partial(_odd_rows, source, transform)
    steps = stepped(read, transforms, account)
    names = [transform.name for transform in transforms]

    def written() -> Iterator[JsonObject]:
        account.written = 0
        for located in steps():
            account.written += 1
            yield {**located.row, CAME_FROM: came_from(located, names)}
        if not account.written:
            raise DataError(
                Problem(source, say("transforms.nothing_left", lines="\n".join(account.lines())))
            )

    def beside() -> None:
        account.notes += faults.notes()
        account.skipped(faults.skipped, names[0])
        write_account(target, account)
        for transform in transforms:
            transform.finish()

    try:
        write_rows(target, written, beside)
    except BaseException:
        # A mapping is never written over: what was interrupted can be done again.
        for transform in transforms:
            transform.undo()
        raise
    return account


def _odd_rows(source: str, transform: Transform, rows: Rows, kinds: Collection[str]) -> Any:
    """Finds the odd rows of ``source``, read as the settings of the transform say."""
    read_by = transform.config.values(*transform.read_by)
    data = Data(path=source, columns=read_by["columns"], reader=read_by["reader"])
    objective = OBJECTIVES.make(OBJECTIVES.config(read_by["objective"] or "sft"))
    return odd_rows(Reading(data, objective.eats, objective.meant).meaning, rows, kinds)


def write_account(out: Path, account: Account) -> None:
    """Writes what became of every row beside the file ``out``; what does not add up is an error of
    the code.
    """
    account.check()
    with drafted_file(_account_of(out)) as draft, draft.open("w", encoding="utf-8") as lines:
        for change in account.changes():
            lines.write(json.dumps(change.to_json(), ensure_ascii=False) + "\n")


def _account_of(out: Path) -> Path:
    return out.with_name(out.name + ACCOUNT)


def place_to_write(out: Path, files: Sequence[Path]) -> Path:
    """Returns where a new file of rows is put, with links followed; raises SpecError where none can
    be: it is one of the ``files`` that are read, stands there already, or rows are not written in
    its format.
    """
    target = file_to_write(out)
    assert target is not None, "a path was given"
    writer_of(target)
    if target in {file.resolve() for file in files}:
        raise SpecError(Problem(str(out), say("transforms.same_file")))
    if target.exists():
        raise SpecError(Problem(str(out), say("transforms.there")))
    return target
