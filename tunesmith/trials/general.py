"""General rows, on which is measured what a training forgot: of each only its beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.batches.batch import Tokens
from tunesmith.data.reading import examples
from tunesmith.data.rendering.render import Render
from tunesmith.examples import Chat, Text
from tunesmith.settings.run import Data

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer

TOKENS = 64
"""Of a general row only so many tokens are scored, from its beginning."""
ROWS = 200
"""At most this many of them, spread over the file."""


def general_data(path: str, rows: int = ROWS) -> Data:
    """Returns how the rows of a file are read."""
    return Data(path=path, limit=rows)


def general_rows(data: Data, tokenizer: Tokenizer) -> list[list[Tokens]]:
    """Returns the beginnings of the rows, an example each; raises DataError where they cannot be
    read.
    """
    render = Render(tokenizer, data, max_length=TOKENS)
    beginnings: list[list[Tokens]] = []
    for _, example in examples(data):
        tokens = render.text(example)[:1] if isinstance(example, Text) else []
        tokens = render.chat(example)[-1:] if isinstance(example, Chat) else tokens
        beginnings += [
            [tokens_of_row] for tokens_of_row in map(_beginning, tokens) if tokens_of_row.scored
        ]
    return beginnings


def _beginning(tokens: Tokens) -> Tokens:
    return Tokens(tokens.ids_T[: 2 * TOKENS], tokens.weights_T[: 2 * TOKENS])
