"""What a form sends, read within a bound, and what is wrong with it, at each of its fields: a form
that is refused is shown again as it was filled.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from tunesmith.data.reading import sized
from tunesmith.errors import Problem
from tunesmith.words import say

if TYPE_CHECKING:
    from starlette.requests import Request

LONGEST = 1_000_000
"""Bytes of a form."""
MOST_FIELDS = 1000


@dataclass(frozen=True)
class Form:
    """The fields of a form by name, each of which may have several values, and the texts of what is
    wrong by field; what belongs to none of them stands at "".
    """

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    at: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def all(self, name: str) -> list[str]:
        """Returns the values of a field, each once."""
        return list(dict.fromkeys(self.fields.get(name, ())))

    def one(self, name: str) -> str:
        """Returns the text of a field; empty where there is none."""
        return next(iter(self.fields.get(name, ())), "").strip()

    def wrong(self, name: str) -> Sequence[str]:
        """Returns what is wrong with a field."""
        return self.at.get(name, ())

    def refused(
        self,
        problems: Iterable[Problem],
        called: Mapping[str, Sequence[str]],
        became: Mapping[str, Sequence[str]] | None = None,
    ) -> Form:
        """Returns the form with each problem at its field; ``called`` says for each field which
        settings it fills, ``became`` for some what was made of what they held, such as the folder
        of a run that was ticked.
        """
        made = became or {}
        given = {name: [*self.fields.get(name, ()), *made.get(name, ())] for name in called}
        placed = [at_field(problem, given, called) for problem in problems]
        return Form(self.fields, by_field(placed, [*called]))


def within(where: str, place: str) -> bool:
    """Tells whether a problem is of a place: of itself, of a line of it, or of a file below it."""
    return bool(place) and (
        where == place or where.startswith((f"{place}:", f"{place}/", f"{place}, "))
    )


def as_typed(problem: Problem, typed: Iterable[str]) -> Problem:
    """Returns a problem of a place as that was typed, where a plan says the whole path of it."""
    for path in typed:
        whole = os.path.abspath(os.path.expanduser(sized(path)[0]))
        if within(problem.where, whole):
            return replace(problem, where=f"{path}{problem.where.removeprefix(whole)}")
    return problem


def at_field(
    problem: Problem,
    given: Mapping[str, Sequence[str]],
    called: Mapping[str, Sequence[str]] | None = None,
) -> Problem:
    """Returns a problem that names what was given, or a place in it, at the field where that was
    given; where several were, it still says which. ``called`` are further names of the fields.
    """
    where = problem.where
    names = [(name, value, len(values) > 1) for name, values in given.items() for value in values]
    names += [(name, alias, False) for name, more in (called or {}).items() for alias in more]
    for name, value, several in names:
        if value and where == value and not several:
            return replace(problem, where=name)
        if within(where, value):
            return Problem(name, str(problem))
    return problem


def by_field(problems: Iterable[Problem], paths: Sequence[str]) -> dict[str, list[str]]:
    """Returns the texts of problems by the setting at which they stand: the one of this path, or
    the nearest above it; those that belong to none by "". What is no YAML is told with the line of
    its value, which a field has one of.
    """
    texts: dict[str, list[str]] = {}
    for problem in problems:
        where = problem.where.partition(": ")[0]
        setting, _, line = where.rpartition(":")
        where = setting if line.isdecimal() and setting in paths else where
        while where and where not in paths:
            where = where.rpartition(".")[0]
        at_its_field = problem.where in (where, f"{where}:1")
        text = problem.text if at_its_field else str(problem)
        texts.setdefault(where, []).append(text)
    return texts


async def form_of(request: Request) -> Form:
    """Reads the form of a request; one that is too long is answered with 413."""
    from starlette.exceptions import HTTPException

    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LONGEST:
            raise HTTPException(413, say("ui.long_form"))
    try:
        return Form(parse_qs(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS))
    except ValueError:
        raise HTTPException(413, say("ui.long_form")) from None


def form_in(request: Request) -> Form:
    """Returns what the address of a request fills in; ``seen`` is what its page has already."""
    pairs = request.query_params.multi_items()
    names = dict.fromkeys(name for name, _ in pairs if name != "seen")
    return Form({name: request.query_params.getlist(name) for name in names})
