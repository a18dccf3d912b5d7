"""``tunesmith data documents IN OUT``: documents into rows of text, a row for each section, to
learn from with ``objective=pretrain``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.documents import FORMATS, PACKAGES, Section, reader_of
from tunesmith.data.files.file_facts import Located
from tunesmith.data.files.writing import write_rows
from tunesmith.data.steps import place_to_write, write_account
from tunesmith.data.transforms import Account, came_from
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.words import say, some

STEP = "documents"


class Documents(Spec):
    """How long a row may be."""

    longest: Annotated[int, Ge(200)] = 4000
    """Longest text of a row (characters): a longer section is cut between paragraphs, and a longer
    paragraph between lines or sentences."""


def extract(source: str, out: Path, settings: Documents) -> Account:
    """Writes a row for each section of the documents at ``source``, a file or a folder, to ``out``;
    raises SpecError or DataError that names every document that cannot be read, and writes nothing
    then.
    """
    documents, others = _files(Path(source).expanduser())
    target = place_to_write(out, documents)
    account = Account()
    rows = list[JsonObject]()
    problems: list[Problem] = []
    silent: list[str] = []
    for file in documents:
        try:
            sections = list(reader_of(file)(file))
        except DataError as error:
            problems += error.problems
            continue
        except ValueError as error:
            problems.append(Problem(str(file), say("documents.unreadable", error=error)))
            continue
        silent += [file.name] if not sections else []
        rows += _rows(file, sections, settings.longest, account)
    if problems:
        raise DataError(problems)
    if not rows:
        raise DataError(Problem(source, say("documents.no_text")))
    account.written = len(rows)
    account.notes = [say("documents.read", files=len(documents))]
    if silent:
        account.notes.append(say("documents.scanned", number=len(silent), files=some(silent)))
    if others:
        named = ", ".join(sorted({path.suffix or path.name for path in others}))
        account.notes.append(say("documents.others", files=len(others), named=named))
    write_rows(target, lambda: iter(rows), partial(write_account, target, account))
    return account


def _files(source: Path) -> tuple[list[Path], list[Path]]:
    """Returns the documents, and the files of other kinds; raises SpecError where there is nothing
    to read, or a package is missing.
    """
    if not source.exists():
        raise SpecError(Problem(str(source), say("documents.absent")))
    files = [source] if source.is_file() else sorted(source.rglob("*"))
    files = [file for file in files if file.is_file() and not file.name.startswith((".", "~$"))]
    documents = [file for file in files if file.suffix.lower() in FORMATS]
    if not documents:
        allowed = ", ".join(FORMATS)
        raise SpecError(Problem(str(source), say("documents.none", known=allowed)))
    needed = {PACKAGES.get(FORMATS[file.suffix.lower()]) for file in documents} - {None}
    missing = sorted(name for name in needed if name and find_spec(name) is None)
    if missing:
        text = say("documents.missing", names=", ".join(missing))
        raise SpecError(Problem(str(source), text))
    return documents, [file for file in files if file not in documents]


def _rows(
    file: Path, sections: list[Section], longest: int, account: Account
) -> Iterator[JsonObject]:
    if not sections:
        account.read += 1
        account.dropped(Located(file, 1, {}), STEP, "no_text")
    for number, section in enumerate(sections, 1):
        located = Located(file, number, {})
        account.read += 1
        pieces = list(_pieces(section.text, longest))
        account.added += len(pieces) - 1
        for piece in pieces:
            yield {
                # The headings say what a passage is about; alone it may mean nothing.
                "text": "\n\n".join(filter(None, [" › ".join(section.headings), piece])),
                "document": file.name,
                "page": section.page,
                CAME_FROM: came_from(located, [STEP]),
            }


def _pieces(text: str, longest: int) -> Iterator[str]:
    """Cuts a text at the last empty line, line end, sentence end or space before ``longest``."""
    rest = text.strip()
    while len(rest) > longest:
        window = rest[:longest]
        ends = [window.rfind(mark) for mark in ("\n\n", "\n", "。", ". ", " ")]
        # An end in the first half would leave a short piece.
        at = next((end for end in ends if end > longest // 2), longest - 1) + 1
        yield rest[:at].strip()
        rest = rest[at:].strip()
    if rest:
        yield rest
