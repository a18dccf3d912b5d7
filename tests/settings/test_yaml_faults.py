"""What is told of a text that is not YAML: the line that is wrong, and what to do there."""

from __future__ import annotations

import pytest

from tunesmith import words
from tunesmith.errors import SpecError
from tunesmith.settings.yaml_faults import FAULTS
from tunesmith.settings.yaml_file import read_yaml

TEXTS = {
    "colon": ("a: 1\nsystem: Say: hi", 2),
    "tab": ("a:\n\tb: 1", 2),
    "sign": ("a: @x", 1),
    "no_colon": ("a: 1\nb\nc: 2", 2),
    "comma": ("a: {b: 1 c: 2}", 1),
    "quote_open": ("a: 'x\nb: 1\nc: 2", 1),
    "after_quote": ("a: 'x' y", 1),
    "indent": ("a:\n  - 1\n b: 2", 3),
    "alias": ("a: *x", 1),
    "tag": ("a: !x y", 1),
    "escape": ('a: "\\d"', 1),
    "closing": ("{a: 1}}", 1),
    "documents": ("a: 1\n---\nb: 2", 2),
}


@pytest.mark.parametrize("key", [key for _, key in FAULTS])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_line_and_the_remedy_are_told(key: str, language: str) -> None:
    text, line = TEXTS[key]
    words.use(language)
    try:
        with pytest.raises(SpecError) as caught:
            read_yaml(text, "run.yaml")
    finally:
        words.use("en")
    (problem,) = caught.value.problems
    assert problem.where == f"run.yaml:{line}"
    told = problem.text
    assert not any(word in told for word in ("<block", "scalar", "token", "mapping values"))
    assert words.texts(language, "yaml")[key].split("{")[0] in told


def test_what_has_no_words_here_keeps_those_of_the_parser() -> None:
    with pytest.raises(SpecError, match="indentation indicators") as caught:
        read_yaml("a: >x\n  t", "run.yaml")
    assert caught.value.problems[0].where == "run.yaml:1"
