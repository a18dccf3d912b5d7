"""General texts, by how likely a model finds them: forgetting shows there before it shows in
answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Gt

from tunesmith.errors import DataError, Problem
from tunesmith.examples import Text
from tunesmith.settings.run import Word
from tunesmith.settings.spec import Spec
from tunesmith.suites import (
    SUITES,
    Question,
    Suite,
    columns_beside,
    read_examples,
    spread,
    title_of,
)
from tunesmith.words import say


@SUITES.register
class Texts(Suite):
    """The log-likelihood of plain texts, a token on average: the logarithm of perplexity, turned
    so that more is better.
    """

    unit = "nats"

    class Config(Spec):
        """The texts."""

        path: str
        """File or folder of plain texts, in any format that check reads."""
        columns: dict[str, Word] | None = None
        """The column of the text, where it is not recognised: ``{text: body}``."""
        items: Annotated[int, Gt(0)] = 100
        """At most this many texts, spread evenly; of each what one window of the model holds."""

    @property
    def title(self) -> str:
        """The file's name, with its folder's where it is that of a part, as test."""
        return title_of(self.config.path)

    def questions(self) -> Sequence[Question]:
        """Reads the texts; raises DataError where the file has none."""
        rows = [
            (located, text)
            for located, text in read_examples(self.name, self.config, Text)
            if isinstance(text, Text) and text.text.strip()
        ]
        if not rows:
            beside = columns_beside(self.name, self.config.path)
            raise DataError(Problem(self.config.path, f"{say('suite.no_texts')}\n{beside}"))
        return [
            Question(f"{located.file.name}:{located.number}", located.file.stem, text, "likelihood")
            for located, text in spread(rows, self.config.items)
        ]
