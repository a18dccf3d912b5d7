"""Rows ready for a model, and the fingerprint of all of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.examples import Example


@dataclass(frozen=True, slots=True)
class Item:
    """One row ready for a model, or one window of a long text. ``id`` is ``file.json:17``."""

    id: str
    tokens: tuple[Tokens, ...]
    example: Example | None = None
    """Kept for held-out rows only."""
    group: str | None = None
    """Its value of ``data.split_by``: items of one group are not independent of each other."""


def fingerprint(*parts: list[Item]) -> str:
    """Computes sha256 over all ids and tokens of the parts, in order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"part")
        for item in part:
            digest.update(item.id.encode("utf-8", "surrogatepass") + b"\0")
            for tokens in item.tokens:
                digest.update(tokens.ids_T.tobytes() + b"\0" + tokens.weights_T.tobytes() + b"\0")
                for name, value in sorted(tokens.columns.items()):
                    written = value.tolist() if isinstance(value, np.ndarray) else repr(value)
                    digest.update(f"{name}={written}".encode())
                if tokens.source_ids_T is not None:
                    digest.update(b"source" + tokens.source_ids_T.tobytes())
    return digest.hexdigest()
