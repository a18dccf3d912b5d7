"""The shape that a JSON Schema says: each rule on values that keep it and on values that do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import SpecError
from tunesmith.rewards import REWARDS
from tunesmith.rewards._schema import KEYWORDS, holds

PERSON: dict[str, Any] = {
    "title": "What pydantic writes of a model",
    "$defs": {
        "Place": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        }
    },
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "default": None},
        "home": {"$ref": "#/$defs/Place"},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 1]}, "uniqueItems": True},
    },
    "required": ["name"],
    "additionalProperties": False,
}
KEPT: list[dict[str, Any]] = [
    {"name": "Ann"},
    {"name": "Ann", "age": 3.0, "home": {"city": "Rome"}, "tags": ["a", 1]},
    {"name": "Ann", "age": None, "tags": []},
]
BROKEN: list[Any] = [
    {},
    [],
    "Ann",
    {"name": ""},
    {"name": 1},
    {"name": "Ann", "age": -1},
    {"name": "Ann", "age": 1.5},
    {"name": "Ann", "age": True},
    {"name": "Ann", "home": {}},
    {"name": "Ann", "tags": ["a", "a"]},
    {"name": "Ann", "tags": [1, 1.0]},
    {"name": "Ann", "tags": ["c"]},
    {"name": "Ann", "tags": [True]},
    {"name": "Ann", "more": 1},
]


@pytest.mark.parametrize(("values", "wanted"), [(KEPT, True), (BROKEN, False)])
def test_a_schema_as_pydantic_writes_it(values: list[Any], wanted: bool) -> None:
    assert [holds(value, PERSON, PERSON) for value in values] == [wanted] * len(values)


RULES: dict[str, tuple[Any, Any, Any]] = {
    "type": ("number", 1.5, True),
    "enum": ([1, "x"], 1.0, True),
    "const": ({"a": [1]}, {"a": [1.0]}, {"a": [True]}),
    "properties": ({"a": {"type": "null"}}, {"b": 1}, {"a": 1}),
    "required": (["a"], {"a": None}, {"b": 1}),
    "additionalProperties": ({"type": "string"}, {"a": "x"}, {"a": 1}),
    "minProperties": (1, {"a": 1}, {}),
    "maxProperties": (1, {"a": 1}, {"a": 1, "b": 2}),
    "items": ({"type": "string"}, ["x"], ["x", 1]),
    "minItems": (2, [1, 2], [1]),
    "maxItems": (1, [1], [1, 2]),
    "uniqueItems": (True, [1, True, "1"], [{"a": 1}, {"a": 1}]),
    "minLength": (2, "ab", "a"),
    "maxLength": (1, "a", "ab"),
    "pattern": ("^a+$", "aa", "ab"),
    "minimum": (2, 2, 1.9),
    "maximum": (2, 2, 2.1),
    "exclusiveMinimum": (2, 2.1, 2),
    "exclusiveMaximum": (2, 1.9, 2),
    "multipleOf": (0.1, 0.3, 0.25),
    "anyOf": ([{"type": "string"}, {"minimum": 3}], 3, 2),
    "allOf": ([{"minimum": 1}, {"maximum": 2}], 2, 3),
    "oneOf": ([{"minimum": 1}, {"minimum": 2}], 1, 2),
    "not": ({"type": "string"}, 1, "x"),
}


def test_every_rule_is_here() -> None:
    assert RULES.keys() == KEYWORDS.keys()


@pytest.mark.parametrize("keyword", RULES)
def test_a_rule_holds_of_one_value_and_not_of_another(keyword: str) -> None:
    said, kept, broken = RULES[keyword]
    assert holds(kept, {keyword: said}, {}) and not holds(broken, {keyword: said}, {})


@pytest.mark.parametrize("keyword", ["minLength", "minimum", "minItems", "required", "pattern"])
def test_a_rule_says_nothing_of_values_of_other_types(keyword: str) -> None:
    assert holds(None, {keyword: RULES[keyword][0]}, {})


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"prefixItems": []}, "#/prefixItems of the schema is not looked at"),
        ({"properties": {"a": {"patern": "x"}}}, "#/properties/a/patern of the schema is not"),
        ({"anyOf": [{"type": "strin"}]}, "#/anyOf/0/type of the schema cannot be read: 'strin'"),
        ({"items": {"pattern": "("}}, "#/items/pattern of the schema cannot be read"),
        ({"required": "a"}, "#/required of the schema cannot be read: 'a'"),
        ({"$ref": "#/$defs/gone"}, "#/$ref of the schema cannot be read"),
        ({"type": [[]]}, "#/type of the schema cannot be read"),
        ([], "# of the schema is not an object"),
        ("gone.json", "gone.json holds no JSON Schema"),
    ],
)
def test_what_is_not_looked_at_is_refused_before_a_run(schema: Any, told: str) -> None:
    from tunesmith.settings.run import validate

    source = {"rewards": {"name": "json", "json_schema": schema}}
    given = {"model": "m", "data": "d", "out": "o", "objective": "grpo", "source": source}
    with pytest.raises(SpecError) as error:
        validate(given)
    assert told in str(error.value) and "json_schema" in str(error.value)


def test_a_schema_stands_in_a_file_that_may_go(tmp_path: Path) -> None:
    file = tmp_path / "person.json"
    file.write_text(json.dumps(PERSON), encoding="utf-8")
    config = REWARDS.config({"name": "json", "json_schema": str(file)})
    file.unlink()
    again = REWARDS.config(config.model_dump(mode="json"))
    made: Any = REWARDS.make(again)
    assert made.reward("", '{"name": "Ann"}', {}) == 1 and made.reward("", "{}", {}) == 0.5
