"""Answers that keep to a JSON schema, by llguidance: no token that breaks it can be chosen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.errors import DataError, Problem
from tunesmith.plain import JsonObject
from tunesmith.words import say

if TYPE_CHECKING:
    import torch
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._lib import JsonCompileOptions

    from tunesmith.data.rendering.tokenizers import Tokenizer


SPACING: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
"""As Python writes JSON; a grammar that allows any space lets a weak model write nothing else."""


class JsonGrammar:
    """A row's grammar; it follows the answer token by token."""

    def __init__(self, matcher: LLMatcher) -> None:
        self.matcher = matcher

    def bar(self, logits_V: torch.Tensor) -> None:
        """Sets tokens that may not come next to minus infinity."""
        import torch

        packed = np.frombuffer(self.matcher.compute_bitmask(), np.uint8)
        allowed = np.unpackbits(packed, bitorder="little").astype(bool)
        allowed = np.resize(allowed, len(logits_V)) & (np.arange(len(logits_V)) < len(allowed))
        logits_V.masked_fill_(~torch.from_numpy(allowed).to(logits_V.device), -torch.inf)

    def accept(self, token: int) -> bool:
        """Takes up a token; tells whether the answer is complete."""
        self.matcher.consume_token(token)
        return self.matcher.is_stopped()


class Grammars:
    """The grammars of one tokenizer, whose table is built when the first is asked for."""

    def __init__(self, tokenizer: Tokenizer, stop_ids: tuple[int, ...]) -> None:
        self.tokenizer, self.stop_ids = tokenizer, stop_ids
        self._table: LLTokenizer | None = None

    def of(self, schema: JsonObject | bool) -> JsonGrammar:
        """Makes the grammar of a schema; raises DataError for one that is wrong, or uses what
        llguidance does not know.
        """
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        if self._table is None:
            tokenizer = self.tokenizer
            self._table = from_tokenizer(tokenizer, eos_token=list(self.stop_ids) or None)  # type: ignore[arg-type]
        try:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=SPACING)
        except ValueError as error:
            raise _refused(str(error)) from None
        matcher = LLMatcher(self._table, grammar)
        if matcher.is_error():
            raise _refused(matcher.get_error())
        return JsonGrammar(matcher)


def _refused(reason: str) -> DataError:
    text = say("serve.schema", reason=reason.splitlines()[0] if reason else "")
    return DataError(Problem("response_format.json_schema.schema", text))
