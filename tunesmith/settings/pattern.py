"""A regular expression as a setting."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from tunesmith.words import say


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        text = say("spec.bad_pattern", pattern=repr(pattern), error=str(error))
        raise PydanticCustomError("choice", "{text}", {"text": text}) from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
"""A text that is a regular expression."""
