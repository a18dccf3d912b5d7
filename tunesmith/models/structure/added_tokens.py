"""Tokens that a run adds to the vocabulary, and the rows that the model gets for them."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.tokenizers import Tokenizer

_rows: weakref.WeakKeyDictionary[torch.nn.Module, list[int]] = weakref.WeakKeyDictionary()


def add_to(tokenizer: Tokenizer, tokens: Sequence[str]) -> list[int]:
    """Returns ``tokenizer`` one id for each of ``tokens``; raises SpecError for those that are one
    token already.
    """
    vocabulary = tokenizer.get_vocab()
    already = [token for token in tokens if token in vocabulary]
    if already:
        raise SpecError(
            Problem("model.add_tokens", say("tokens.known", tokens=", ".join(map(repr, already))))
        )
    from tokenizers import AddedToken

    # Not special: a special token would be left out of answers.
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens])
    return tokenizer.convert_tokens_to_ids(list(tokens))


def grow(model: Any, tokenizer: Tokenizer, tokens: Sequence[str]) -> None:
    """Adds ``tokens`` to both; a row starts as the mean of those of the pieces that its text was
    until now.
    """
    import torch

    pieces = [tokenizer.encode(token, add_special_tokens=False) for token in tokens]
    ids = add_to(tokenizer, tokens)
    # Many models have more rows than their tokenizer has tokens.
    if max(ids) >= len(model.get_input_embeddings().weight):
        model.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    with torch.no_grad():
        for layer in layers(model).values():
            for token, old in zip(ids, pieces, strict=True):
                layer.weight[token] = layer.weight[old].mean(0)
    model.requires_grad_(False)
    _rows[model] = ids


def layers(model: Any) -> JsonObject:
    """Returns the embeddings, and the head where it has its own weights, by the end of
    their names.
    """
    embeddings = model.get_input_embeddings()
    head = model.get_output_embeddings()
    parts = [embeddings] if head is None or head.weight is embeddings.weight else [embeddings, head]
    names = {part: name.rpartition(".")[2] for name, part in model.named_modules()}
    return {names[part]: part for part in parts}


def added_rows(model: torch.nn.Module) -> dict[str, list[int]] | None:
    """Returns the added rows, by layer, in peft's form; None where there are none."""
    return dict.fromkeys(layers(model), _rows[model]) if model in _rows else None
