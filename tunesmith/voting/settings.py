"""What a comparison by votes consists of: prompts, how they are answered, how they are shown."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from tunesmith.settings.run import Generate
from tunesmith.settings.spec import Spec, Word
from tunesmith.settings.teacher import Teacher


class Arena(Spec):
    """The settings of ``tunesmith arena``; what is left out has a reasoned default."""

    data: str
    """The file, folder or hub id with the prompts; answers that it holds are not shown."""
    out: str = "arena"
    """The folder of answers and votes."""
    columns: dict[str, Word] | None = None
    """Our names to the file's: ``{question: Question}``."""
    reader: str | None = None
    """The reader by name, where detection should not decide."""
    prompts: Annotated[int, Gt(0)] = 50
    """At most this many prompts are voted on, drawn by chance."""
    twice: Annotated[float, Ge(0), Le(0.5)] = 0.1
    """The share of the prompts that come a second time with the sides swapped, to see how often a
    voter agrees with himself.
    """
    generate: Generate = Generate()
    """How all contenders answer; texts that end an answer stay those of each run."""
    teacher: Teacher | None = None
    """How endpoints are asked."""
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0
    """Decides prompts, pairs, sides and order."""
    lang: Literal["auto", "en", "zh"] = "auto"
    """Language of what a person reads; auto follows the locale."""
