"""Whether a value has the shape that a JSON Schema (draft 2020-12) says. What is not looked at here
is refused before a run, so that no rule is passed over in silence.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from tunesmith.plain import JsonObject
from tunesmith.words import say

NOTES = {
    *("title", "description", "default", "examples", "format", "deprecated", "readOnly"),
    *("writeOnly", "$schema", "$id", "$comment", "$defs", "definitions", "$ref"),
}
"""Keywords that say nothing of a value by themselves; ``format`` is a note in this draft."""
_REFERRED = re.compile(r"#/(\$defs|definitions)/([^/]+)")


def is_number(value: object) -> bool:
    """Tells whether a value is a number of JSON, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": is_number,
    "integer": lambda value: is_number(value) and float(value).is_integer(),
}


@dataclass(frozen=True)
class Keyword:
    """A rule of a schema: what may stand behind it, and of which values it says something."""

    kinds: tuple[type, ...]
    of: Callable[[Any], bool]
    holds: Callable[[Any, Any, JsonObject, JsonObject], bool]
    """Of a value, what stands behind the keyword, the schema around it, and the whole schema."""


def holds(value: Any, schema: Any, whole: JsonObject) -> bool:
    """Tells whether a value has the shape of ``schema``, a part of the schema ``whole``."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema and not holds(value, _referred(schema["$ref"], whole), whole):
        return False
    for name, said in schema.items():
        keyword = KEYWORDS.get(name)
        if keyword is None or not keyword.of(value):
            continue
        if not keyword.holds(value, said, schema, whole):
            return False
    return True


def _same(one: Any, other: Any) -> bool:
    """Tells whether two values are one in JSON, where 1 is 1.0 and true is no number."""
    if is_number(one) and is_number(other):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other


def _typed(value: Any, said: Any, schema: JsonObject, whole: JsonObject) -> bool:
    return any(TYPES[name](value) for name in ([said] if isinstance(said, str) else said))


def _others(value: Any, said: Any, schema: JsonObject, whole: JsonObject) -> bool:
    named = schema.get("properties", {})
    return all(holds(member, said, whole) for key, member in value.items() if key not in named)


def _multiple(value: Any, said: Any, schema: JsonObject, whole: JsonObject) -> bool:
    # Not ``%``: 0.3 / 0.1 is 2.9999999999999996.
    share = value / said
    return abs(share - round(share)) < 1e-9


def _size(least: bool, of: type) -> Keyword:
    """Makes the rule of a least or a largest number of characters, values or properties."""

    def fits(value: Any, said: Any, schema: JsonObject, whole: JsonObject) -> bool:
        return len(value) >= said if least else len(value) <= said

    return Keyword((int,), lambda value: isinstance(value, of), fits)


def _bound(fits: Callable[[Any, Any], bool]) -> Keyword:
    return Keyword((int, float), is_number, lambda value, said, schema, whole: fits(value, said))


def _parts(count: Callable[[Iterator[bool]], bool]) -> Keyword:
    """Makes a rule of several schemas, of which so many must hold."""

    def fits(value: Any, said: Any, schema: JsonObject, whole: JsonObject) -> bool:
        return count(holds(value, part, whole) for part in said)

    return Keyword((list,), lambda value: True, fits)


KEYWORDS: dict[str, Keyword] = {
    "type": Keyword((str, list), lambda value: True, _typed),
    "enum": Keyword(
        (list,),
        lambda value: True,
        lambda value, said, *_: any(_same(value, choice) for choice in said),
    ),
    "const": Keyword((object,), lambda value: True, lambda value, said, *_: _same(value, said)),
    "properties": Keyword(
        (dict,),
        TYPES["object"],
        lambda value, said, schema, whole: all(
            holds(value[key], part, whole) for key, part in said.items() if key in value
        ),
    ),
    "required": Keyword(
        (list,), TYPES["object"], lambda value, said, *_: all(key in value for key in said)
    ),
    "additionalProperties": Keyword((dict, bool), TYPES["object"], _others),
    "minProperties": _size(True, dict),
    "maxProperties": _size(False, dict),
    "items": Keyword(
        (dict, bool),
        TYPES["array"],
        lambda value, said, schema, whole: all(holds(item, said, whole) for item in value),
    ),
    "minItems": _size(True, list),
    "maxItems": _size(False, list),
    "uniqueItems": Keyword(
        (bool,),
        TYPES["array"],
        lambda value, said, *_: not (said and any(_same(*pair) for pair in combinations(value, 2))),
    ),
    "minLength": _size(True, str),
    "maxLength": _size(False, str),
    "pattern": Keyword(
        (str,), TYPES["string"], lambda value, said, *_: re.search(said, value) is not None
    ),
    "minimum": _bound(lambda value, said: value >= said),
    "maximum": _bound(lambda value, said: value <= said),
    "exclusiveMinimum": _bound(lambda value, said: value > said),
    "exclusiveMaximum": _bound(lambda value, said: value < said),
    "multipleOf": Keyword((int, float), is_number, _multiple),
    "anyOf": _parts(any),
    "allOf": _parts(all),
    "oneOf": _parts(lambda each: sum(each) == 1),
    "not": Keyword(
        (dict, bool),
        lambda value: True,
        lambda value, said, schema, whole: not holds(value, said, whole),
    ),
}


def _referred(name: str, whole: JsonObject) -> Any:
    """Returns the part of the schema that a ``$ref`` names; raises LookupError where there is
    none.
    """
    if name == "#":
        return whole
    reference = _REFERRED.fullmatch(name)
    if reference is None:
        raise LookupError(name)
    return whole[reference[1]][reference[2]]


def _wrong(schema: Any, whole: JsonObject, place: str) -> Iterator[str]:
    """Yields what of a schema cannot be looked at, with its place."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield say("rewards.schema_no_object", place=place)
        return
    for name, said in schema.items():
        here, keyword = f"{place}/{name}", KEYWORDS.get(name)
        if keyword is None and name not in NOTES:
            yield say("rewards.schema_unknown", place=here, known=", ".join(sorted(KEYWORDS)))
        elif not _readable(name, said, whole):
            yield say("rewards.schema_value", place=here, value=repr(said)[:60])
        elif name in ("properties", "$defs", "definitions"):
            for key, part in said.items():
                yield from _wrong(part, whole, f"{here}/{key}")
        elif name in ("anyOf", "allOf", "oneOf"):
            for index, part in enumerate(said):
                yield from _wrong(part, whole, f"{here}/{index}")
        elif name in ("items", "additionalProperties", "not"):
            yield from _wrong(said, whole, here)


def _readable(name: str, said: Any, whole: JsonObject) -> bool:
    """Tells whether the value of a keyword means something."""
    keyword = KEYWORDS.get(name)
    if keyword is not None and not isinstance(said, keyword.kinds):
        return False
    try:
        if name == "pattern":
            re.compile(said)
        if name == "$ref":
            _referred(said, whole)
        if name == "type":
            return all(kind in TYPES for kind in ([said] if isinstance(said, str) else said))
    except (re.error, LookupError, TypeError):
        return False
    if name in ("$defs", "definitions"):
        return isinstance(said, dict)
    return name != "multipleOf" or said > 0


def _read(value: Any) -> Any:
    """Reads the schema of a file; raises PydanticCustomError where there is none, or where it holds
    what is not looked at.
    """
    if isinstance(value, str):
        try:
            with open(value, encoding="utf-8") as file:
                value = json.load(file)
        except (OSError, ValueError) as error:
            text = say("rewards.schema_file", path=os.path.abspath(value), reason=str(error))
            raise PydanticCustomError("choice", "{text}", {"text": text}) from None
    wrong = [] if value is None else list(_wrong(value, value, "#"))
    if wrong:
        raise PydanticCustomError("choice", "{text}", {"text": wrong[0]})
    return value


Schema = Annotated[JsonObject | None, BeforeValidator(_read)]
"""A JSON Schema, or the path of a file with one, which is read at once."""
