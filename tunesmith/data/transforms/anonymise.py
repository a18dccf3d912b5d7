"""Personal data and secrets replaced, masked, or their rows left out."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.file_facts import Located
from tunesmith.data.texts.people import announced_in, has_dictionary, names_in
from tunesmith.data.texts.personal import Found, found_in
from tunesmith.data.texts.strings import changed_row, strings
from tunesmith.data.texts.surrogates import Surrogates, mask
from tunesmith.data.transforms import TRANSFORMS, Account, Rows, Transform
from tunesmith.errors import Problem, SpecError
from tunesmith.settings.spec import Spec, Word
from tunesmith.settings.teacher import Teacher
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
LABELS: dict[str, Kind] = {
    **dict.fromkeys(("per", "person", "人名", "姓名"), "name"),
    **dict.fromkeys(("tel", "mobile", "phone_number", "电话", "手机号"), "phone"),
    **dict.fromkeys(("email", "e-mail", "email_address", "邮箱"), "mail"),
    **dict.fromkeys(("addr", "street_address", "地址"), "address"),
    **dict.fromkeys(("id_card", "ssn", "us_ssn", "身份证", "身份证号"), "identity_card"),
    **dict.fromkeys(("credit_card", "credit_card_number", "银行卡", "银行卡号"), "bank_card"),
    **dict.fromkeys(("date_of_birth", "dob", "出生日期"), "birth_date"),
    **dict.fromkeys(("passport_number", "us_passport", "护照", "护照号"), "passport"),
    **dict.fromkeys(("license_plate", "车牌", "车牌号"), "plate"),
    **dict.fromkeys(("ip_address", "ipv4", "ipv6"), "ip"),
    **dict.fromkeys(("password", "api_key", "密码"), "secret"),
    **{kind: kind for kind in get_args(Kind)},
}
"""What labels of others are taken for, where ``labels`` does not say otherwise."""


def kind_of_label(label: str, said: Mapping[str, Kind] | None) -> Kind | None:
    """Returns what a label means: by ``labels`` of the settings, or by its usual sense; None where
    neither says it.
    """
    return (said or {}).get(label) or LABELS.get(label) or LABELS.get(label.casefold())


class Finder(Protocol):
    """A model that names personal data; the verb brings it."""

    def __call__(self, texts: Sequence[str]) -> list[list[tuple[str, str]]]:
        """Returns the values in each text, with their kinds."""
        ...

    def notes(self) -> list[str]:
        """Says what the model was asked and what was left alone."""
        ...

    def clear(self) -> None:
        """Removes what was kept of its answers."""
        ...


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
        model: str | None = None
        """A model of your own that is asked about each row too: a run that learned entities
        (classify_tokens), a model that writes, or http://HOST/v1; in the verb alone.
        """
        labels: Mapping[Word, Kind] | None = None
        """What the labels of such a run, or of the rows that --measure reads, are, such as
        {LOC: address}; PER, person, email and the like are known.
        """
        teacher: Teacher = Teacher()
        """How an endpoint is spoken to: name, key_env, requests, attempts, timeout."""

    finder: Finder | None = None

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        problems = [*self._needless(), *self._mapping_problem(), *self._key_problem()]
        if problems:
            raise SpecError(problems)
        key = os.environ[config.key].encode() if config.key else secrets.token_bytes(32)
        self.wrote_mapping = False
        self.surrogates = Surrogates(key)
        self._named: dict[str, str] | None = None
        self.finder_notes: list[str] = []

    @property
    def repeats(self) -> bool:
        """Whether the surrogates are the same each time, and no mapping would be written twice."""
        if self.config.how != "surrogate" or self.config.model is not None:
            return True  # what a model is needed for is told where it is missing
        return bool(self.config.key and not self.config.mapping)

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
        kind_of = self._kinds_of(rows)
        if kind_of:
            self.surrogates.avoid({*kind_of})
        everywhere = _Values(kind_of)
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
        kind_of = self._by_model(texts)
        if self.finder is not None:
            self.finder.clear()
        if self.wants("name"):
            names = {text[span.start : span.end] for text in texts for span in names_in(text)}
            kind_of |= dict.fromkeys(_no_words(names, texts), "name")
        everywhere = _Values(kind_of)
        return [self._found(text, everywhere) for text in texts]

    def _kinds_of(self, rows: Rows) -> dict[str, str]:
        """Returns the values that are replaced wherever they stand, each with its kind: names that
        a row announces, and what the model names.
        """
        if self.config.model is not None and self._named is None:
            if self.finder is None:
                raise SpecError(Problem("model", say("transforms.model_verb")))
            texts = (
                "\n".join(text for name in _texts_of(one) for text in strings(one.row[name]))
                for one in rows()
            )
            self._named = self._by_model([*texts])
        return {**(self._named or {}), **dict.fromkeys(self._names(rows), "name")}

    def _by_model(self, texts: Sequence[str]) -> dict[str, str]:
        """Asks the model about all texts; nothing where none is asked."""
        if self.finder is None:
            return {}
        values = {value: kind for named in self.finder(texts) for value, kind in named}
        self.finder_notes = self.finder.notes()
        return {value: kind for value, kind in values.items() if self.wants(kind)}

    def _names(self, rows: Rows) -> set[str]:
        if not self.wants("name"):
            return set()
        names = {text[span.start : span.end] for text in _texts_in(rows) for span in names_in(text)}
        return _no_words(names, _texts_in(rows))

    def _changed(self, text: str, values: _Values, met: Counter[str]) -> str:
        parts: list[str] = []
        end = 0
        for part in self._found(text, values):
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

    def _found(self, text: str, values: _Values) -> list[Found]:
        """Finds what is replaced in a text, by place; an address or a number goes before a name in
        it.
        """
        parts = [part for part in found_in(text) if self.wants(part.kind)]
        announced = announced_in(text) if self.wants("name") else ()
        for value in (*values.found_in(text), *announced):
            if all(value.end <= part.start or part.end <= value.start for part in parts):
                parts.append(value)
        return sorted(parts)

    def _note(self, account: Account) -> None:
        notes = [say("transforms.not_all")]
        if self.wants("name") and not has_dictionary():
            notes.append(say("transforms.no_dictionary"))
        account.notes = [*dict.fromkeys([*account.notes, *notes, *self.finder_notes])]

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


def _texts_in(rows: Rows) -> Iterator[str]:
    """Yields every text of all rows that is searched."""
    for located in rows():
        for name in _texts_of(located):
            yield from strings(located.row[name])


def _no_words(names: set[str], texts: Iterable[str]) -> set[str]:
    """Returns the names that are replaced in every row: not an English one that the texts write
    small too, as of Miss Little, which is replaced where it is announced alone.
    """
    pattern = _any_of({name.lower() for name in names if name.isascii() and name.isalpha()})
    if pattern is None:
        return names
    words = {word for text in texts for word in pattern.findall(text)}
    return {name for name in names if name.lower() not in words}


def _texts_of(located: Located) -> list[str]:
    """Returns the columns that are searched: all except the one that holds the row's origin."""
    return [name for name in located.row if name != CAME_FROM]


class _Values:
    """Values that are looked for in every text, with their kinds."""

    def __init__(self, kind_of: Mapping[str, str]) -> None:
        self.kind_of = kind_of
        self.pattern = _any_of({*kind_of})

    def found_in(self, text: str) -> Iterator[Found]:
        """Yields the places where one of them stands."""
        for match in self.pattern.finditer(text) if self.pattern is not None else ():
            yield Found(*match.span(), self.kind_of[match[0]])


def _any_of(names: set[str]) -> re.Pattern[str] | None:
    """Makes a pattern for any of these values, the longer first; English ones as whole words.

    They are grouped by their first sign: ten thousand names one beside the other would each be
    tried at each place of a text.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (-len(name), name)):
        end = r"(?!\w)" if name.isascii() else ""
        groups.setdefault(name[0], []).append(re.escape(name[1:]) + end)
    forms = [
        (r"(?<!\w)" if first.isascii() else "") + f"{re.escape(first)}(?:{'|'.join(rests)})"
        for first, rests in groups.items()
    ]
    return re.compile("|".join(forms)) if forms else None
