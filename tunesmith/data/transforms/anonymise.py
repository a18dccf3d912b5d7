"""Personal data and secrets replaced, masked, or their rows left out."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.file_facts import Located
from tunesmith.data.texts.people import has_dictionary, names_in
from tunesmith.data.texts.personal import Found, found_in
from tunesmith.data.texts.strings import changed_row, strings
from tunesmith.data.texts.surrogates import Surrogates, mask
from tunesmith.data.transforms import TRANSFORMS, Account, Rows, Transform
from tunesmith.errors import Problem, SpecError
from tunesmith.settings.spec import Spec
from tunesmith.storage.atomic import barred, drafted_file
from tunesmith.words import say

Kind = Literal[
    "name",
    "phone",
    "landline",
    "mail",
    "identity_card",
    "bank_card",
    "address",
    "birth_date",
    "record",
    "passport",
    "plate",
    "credit_code",
    "ip",
    "secret",
]


@TRANSFORMS.register
class Anonymise(Transform):
    """Anonymisation: replaces personal data in every text of a row."""

    in_run = {"how": "mask"}  # noqa: RUF012

    class Config(Spec):
        """What is looked for, and what becomes of it."""

        how: Literal["surrogate", "mask", "drop"] = "surrogate"
        """A surrogate of the same form, the same one for the same value; the kind in brackets; or
        the whole row left out.
        """
        kinds: list[Kind] | None = None
        """What is looked for; all kinds when not given."""
        mapping: str | None = None
        """Write which value became which to this file, readable by you alone. Whoever has it can
        undo the work.
        """
        key: str | None = None
        """The name of an environment variable with a secret, which gives the same surrogates in
        other files and at other times; another secret each time when not given.
        """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        problems = [*self._needless(), *self._mapping_problem(), *self._key_problem()]
        if problems:
            raise SpecError(problems)
        key = os.environ[config.key].encode() if config.key else secrets.token_bytes(32)
        self.wrote_mapping = False
        self.surrogates = Surrogates(key)

    @property
    def repeats(self) -> bool:
        """Whether the surrogates are the same each time, and no mapping would be written twice."""
        return self.config.how != "surrogate" or bool(self.config.key and not self.config.mapping)

    def _needless(self) -> Iterator[Problem]:
        for name in ("mapping", "key"):
            if self.config.how != "surrogate" and self.config.values(name)[name] is not None:
                yield Problem(name, say("transforms.needs_surrogates", how=self.config.how))

    def _mapping_problem(self) -> Iterator[Problem]:
        path = self.writes
        if path is None:
            return
        if path.exists():
            yield Problem("mapping", say("transforms.mapping_there", path=path))
        elif wrong := barred(path):
            yield Problem("mapping", wrong)

    def _key_problem(self) -> Iterator[Problem]:
        if self.config.key and not os.environ.get(self.config.key):
            yield Problem("key", say("transforms.no_key", name=self.config.key))

    def steps(self, rows: Rows, account: Account) -> Iterator[Located]:
        """Collects the names of all rows, then replaces what is found; a name that was announced in
        one row is replaced in every row.
        """
        names = self._names(rows)
        if names:
            self.surrogates.avoid(names)
        everywhere = _any_of(names)
        self._note(account)
        for located in rows():
            met: Counter[str] = Counter()

            def change(text: str, met: Counter[str] = met) -> str:
                return self._changed(text, everywhere, met)

            row = changed_row(located.row, change, _texts_of(located))
            if not met:
                yield located
            elif self.config.how == "drop":
                account.dropped(located, self.name, *sorted(met))
            else:
                account.changed(located, self.name, *sorted(met))
                yield replace(located, row=row)

    @property
    def writes(self) -> Path | None:
        """The mapping, where one is asked for."""
        return Path(self.config.mapping) if self.config.mapping else None

    def finish(self) -> None:
        """Writes the mapping, once all rows are written."""
        if self.writes is not None:
            self._write_mapping(self.writes)
            self.wrote_mapping = True

    def undo(self) -> None:
        """Removes the mapping of a file that could not be written."""
        if self.writes is not None and self.wrote_mapping:
            self.writes.unlink()

    def wants(self, kind: str) -> bool:
        """Tells whether this kind is looked for."""
        return self.config.kinds is None or kind in self.config.kinds

    def find(self, texts: Sequence[str]) -> list[list[Found]]:
        """Finds the personal data in each text; a name that one of the texts announces is found in
        all.
        """
        wanted = texts if self.wants("name") else ()
        names = {text[span.start : span.end] for text in wanted for span in names_in(text)}
        everywhere = _any_of(names)
        return [self._found(text, everywhere) for text in texts]

    def _names(self, rows: Rows) -> set[str]:
        if not self.wants("name"):
            return set()
        return {
            text[span.start : span.end]
            for located in rows()
            for name in _texts_of(located)
            for text in strings(located.row[name])
            for span in names_in(text)
        }

    def _changed(self, text: str, names: re.Pattern[str] | None, met: Counter[str]) -> str:
        parts: list[str] = []
        end = 0
        for part in self._found(text, names):
            value = text[part.start : part.end]
            met[part.kind] += 1
            new = (
                self.surrogates.of(part.kind, value)
                if self.config.how == "surrogate"
                else mask(part.kind, text)
            )
            parts += (text[end : part.start], new)
            end = part.end
        return "".join([*parts, text[end:]])

    def _found(self, text: str, names: re.Pattern[str] | None) -> list[Found]:
        """Finds what is replaced in a text, by place; an address or a number goes before a name in
        it.
        """
        parts = [part for part in found_in(text) if self.wants(part.kind)]
        for match in names.finditer(text) if names else ():
            if all(match.end() <= part.start or part.end <= match.start() for part in parts):
                parts.append(Found(*match.span(), "name"))
        return sorted(parts)

    def _note(self, account: Account) -> None:
        notes = [say("transforms.not_all")]
        if self.wants("name") and not has_dictionary():
            notes.append(say("transforms.no_dictionary"))
        account.notes = [*dict.fromkeys([*account.notes, *notes])]

    def _write_mapping(self, path: Path) -> None:
        """Writes which value became which, whole or not at all; only its owner may read it."""
        lines = [
            json.dumps({"kind": kind, "value": value, "became": became}, ensure_ascii=False)
            for (kind, value), became in self.surrogates.given.items()
        ]
        with drafted_file(path) as draft:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in lines))


def _texts_of(located: Located) -> list[str]:
    """Returns the columns that are searched: all except the one that holds the row's origin."""
    return [name for name in located.row if name != CAME_FROM]


def _any_of(names: set[str]) -> re.Pattern[str] | None:
    """Makes a pattern for any of these names, the longer first; English ones as whole words.

    They are grouped by their first sign: ten thousand names one beside the other would each be
    tried at each place of a text.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (-len(name), name)):
        end = r"\b" if name.isascii() else ""
        groups.setdefault(name[0], []).append(re.escape(name[1:]) + end)
    forms = [
        (r"\b" if first.isascii() else "") + f"{first}(?:{'|'.join(rests)})"
        for first, rests in groups.items()
    ]
    return re.compile("|".join(forms)) if forms else None
