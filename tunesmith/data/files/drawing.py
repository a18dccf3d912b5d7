"""Rows drawn by chance: by a hash of what they hold, so that the same rows come each time."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable

from tunesmith.plain import JsonObject


def drawn(rows: Iterable[JsonObject], count: int, seed: int) -> frozenset[int]:
    """Draws ``count`` rows with the smallest hashes and returns their places; of equal rows the
    first.
    """
    hashed = ((place_of(row, seed), index) for index, row in enumerate(rows))
    return frozenset(index for _, index in heapq.nsmallest(count, hashed))


def place_of(row: JsonObject, seed: int) -> bytes:
    """Hashes a row, so that rows by their hashes are in a random order that is the same
    each time.
    """
    text = json.dumps(row, ensure_ascii=False, sort_keys=True, default=str)
    salt = seed.to_bytes(8, "little")
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt).digest()
