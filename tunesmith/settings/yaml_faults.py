"""What is wrong with a text that is not YAML, in the words of a person who wrote it, and in which
line to look.
"""

from __future__ import annotations

import re

import yaml

from tunesmith.words import say

FAULTS = (
    (r"mapping values are not allowed", "colon"),
    (r"character '(\\t)' that cannot", "tab"),
    (r"character '(.)' that cannot", "sign"),
    (r"could not find expected ':'", "no_colon"),
    (r"expected ',' or '([}\]])'", "comma"),
    (r"unexpected end of stream", "quote_open"),
    (r"expected <block end>, but found '<scalar>'", "after_quote"),
    (r"expected <block end>", "indent"),
    (r"undefined alias '(.+)'", "alias"),
    (r"constructor for the tag '(.+)'", "tag"),
    (r"unknown escape character '(.+)'", "escape"),
    (r"expected '<document start>', but found '(.)'", "closing"),
    (r"another document", "documents"),
)
"""What PyYAML says, and the word for it here; what it names stands in brackets."""
BEGUN_BEFORE = ("no_colon", "quote_open")
"""Faults whose line is where the part began: the parser notices them only after it."""


def fault(error: yaml.MarkedYAMLError) -> tuple[int | None, str]:
    """Returns the line (from 1 on; None where it is not known) and what is wrong there; what is
    none of ``FAULTS`` keeps the parser's words.
    """
    said = error.problem or str(error)
    for pattern, key in FAULTS:
        if seen := re.search(pattern, said):
            mark = error.context_mark if key in BEGUN_BEFORE else error.problem_mark
            seen_text = seen[1] if seen.re.groups else ""
            return _line(mark or error.problem_mark), say(f"yaml.{key}", seen=seen_text)
    return _line(error.problem_mark), said


def _line(mark: yaml.Mark | None) -> int | None:
    return mark.line + 1 if mark else None
