"""Which rows are the same or nearly the same: hashes of normalised text, and MinHash (Broder 1997)
over runs of characters.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tunesmith.examples import (
    Chat,
    Example,
    Feedback,
    Labelled,
    Preference,
    Tagged,
    Text,
    TextPair,
    chats_of,
    prompt_of,
)

THRESHOLD = 0.8
"""Near duplicates share this part of their runs of characters (Jaccard)."""

RUN, WIDE_RUN = 5, 3  # characters in a run; a Chinese character says more than a letter
SKETCH = 256  # a row is represented by its smallest hashes: all of them up to about 256 characters
BANDS, DEPTH = 20, 5  # finds 99.9 % of pairs at 0.8, and 4 % of those at 0.3 to be compared in vain
LEAST = 60  # of 100 equal signatures: a pair at 0.8 has fewer once in a million (5 deviations of 4)
# A run in more rows than this share, and this number, is form (an instruction, a label).
COMMON, COMMON_ROWS = 0.05, 20
CHUNK, THREADS = 4096, 4
# 2^64 divided by the golden ratio, odd: products with it spread over all bits (Knuth, TAOCP 6.4).
_POWERS = np.uint64(0x9E3779B97F4A7C15) ** np.arange(1, RUN + 1, dtype=np.uint64)


def normalise(text: str) -> str:
    """Makes texts equal that differ only in spacing or in how accents are encoded."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def fold(parts: Iterable[str]) -> int:
    """Hashes normalised parts to 64 bits."""
    return fold_as_written(map(normalise, parts))


def fold_as_written(parts: Iterable[str]) -> int:
    """Hashes parts to 64 bits, spacing included."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return int.from_bytes(digest.digest(), "little", signed=True)


def content(example: Example) -> list[str]:
    """Returns all parts of an example that distinguish it from another."""
    if isinstance(example, Text):
        return [example.text]
    if isinstance(example, TextPair):
        return [example.text, example.second, repr(example.similarity), *example.negatives]
    if isinstance(example, Labelled):
        labels = example.labels if isinstance(example.labels, tuple) else (repr(example.labels),)
        return [example.text, example.second or "", *labels]
    if isinstance(example, Tagged):
        return [example.text, *map(repr, example.spans)]
    parts: list[str] = []
    for chat in chats_of(example):
        for turn in chat.turns:
            parts += (turn.role, turn.content, turn.reasoning or "", str(turn.tool_calls or ""))
        parts += (str(chat.tools or ""), *_only_columns(chat))
    return [*parts, *judgement(example)]


def judgement(example: Example) -> list[str]:
    """Returns how a row judges its answers: the same answer with another judgement is no copy."""
    if isinstance(example, Feedback):
        return [str(example.desirable)]
    return [str(example.margin)] if isinstance(example, Preference) else []


def question(example: Example) -> list[str]:
    """Returns the question: every turn before the last answer except the system's; empty for plain
    text.
    """
    if isinstance(example, Labelled):
        return [example.text, example.second or ""]
    if isinstance(example, TextPair | Tagged):
        return [example.text]
    prompt = prompt_of(example)
    if prompt is None:
        return []
    turns = [turn.content for turn in prompt.turns if turn.role != "system"]
    return turns or _only_columns(prompt)


def _only_columns(chat: Chat) -> list[str]:
    """Returns the row's columns as texts where there are no turns, as for a format over columns."""
    return [] if chat.turns else [f"{name}={value}" for name, value in chat.columns.items()]


def sketch(example: Example) -> np.ndarray:
    """Returns the smallest distinct 32-bit hashes of an example's runs of characters, sorted."""
    if isinstance(example, Text | Labelled | TextPair | Tagged):
        second = None if isinstance(example, Text | Tagged) else example.second
        turns = [example.text, *([second] if second else [])]
    else:
        turns = [
            turn.content
            for chat in chats_of(example)
            for turn in chat.turns
            if turn.role != "system"
        ]
    return sketch_of("\n".join(turns))


def sketch_of(text: str) -> np.ndarray:
    """Returns the smallest distinct 32-bit hashes of a text's runs of characters, sorted."""
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    # From U+2E80 on stand the signs of Chinese, Japanese and Korean.
    run = WIDE_RUN if 2 * int(np.count_nonzero(codes > 0x2E80)) > len(codes) else RUN
    if len(codes) < run:
        return _mix(np.array([_whole(codes)], np.uint64))
    wide, runs = codes.astype(np.uint64), len(codes) - run + 1
    sums = wide[:runs] * _POWERS[0]
    for index in range(1, run):
        sums += wide[index : index + runs] * _POWERS[index]
    hashes = np.sort(_mix(sums))
    return hashes[np.append(True, hashes[1:] != hashes[:-1])][:SKETCH]


def _whole(codes: np.ndarray) -> int:
    """Hashes a text that is shorter than a run to 64 bits."""
    return int.from_bytes(hashlib.blake2b(codes.tobytes(), digest_size=8).digest(), "little")


def _mix(values: np.ndarray) -> np.ndarray:
    """Mixes values with the finaliser of splitmix64, so that neighbours end far apart, and keeps
    the upper half.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (values >> np.uint64(32)).astype(np.uint32)


class Clusters:
    """Rows joined into clusters (union–find); ``roots()`` names each row's cluster by its first
    row.
    """

    def __init__(self, rows: int) -> None:
        self.parent = list(range(rows))

    def find(self, row: int) -> int:
        """Returns the first row of this row's cluster."""
        while self.parent[row] != row:
            # Path halving: without it the chains of a large cluster grow with its rows.
            self.parent[row] = self.parent[self.parent[row]]
            row = self.parent[row]
        return row

    def join(self, row: int, other: int) -> None:
        """Joins the clusters of two rows."""
        first, second = sorted((self.find(row), self.find(other)))
        self.parent[second] = first

    def join_equal(self, keys: Sequence[object]) -> None:
        """Joins rows whose keys are equal; None stays alone."""
        first: dict[object, int] = {}
        for row, key in enumerate(keys):
            if key is not None:
                self.join(first.setdefault(key, row), row)

    def roots(self) -> list[int]:
        """Returns for each row the first row of its cluster."""
        return [self.find(row) for row in range(len(self.parent))]


def join_near(clusters: Clusters, sketches: Sequence[np.ndarray]) -> None:
    """Joins rows whose sketches share ``THRESHOLD``; a sketch of common runs alone is near to
    nothing.
    """
    common = _common_runs(sketches)
    signatures = _signatures(sketches, common)
    for before, other in _candidates(signatures):
        if clusters.find(before) == clusters.find(other):
            continue
        left = _without(sketches[other], common)
        if len(left) and _near(_without(sketches[before], common), left):
            clusters.join(before, other)


def _candidates(signatures: np.ndarray) -> list[tuple[int, int]]:
    """Returns the pairs of rows to be compared, each once, the earlier row first."""
    if not len(signatures):
        return []
    pairs = np.concatenate([_in_band(signatures, band) for band in range(BANDS)], axis=1)
    before, other = np.unique(pairs, axis=1)
    return list(zip(before.tolist(), other.tolist(), strict=True))


def _in_band(signatures: np.ndarray, band: int) -> np.ndarray:
    """Returns pairs of rows [2, pairs] with equal signatures in one band that have most of the
    others in common, too: each row with the one before it, and with the first of all that share
    the band's.
    """
    # One number for the five of a band: sorting them as bytes takes twenty times as long. Two
    # that share a number by chance are told apart below.
    keys = np.zeros(len(signatures), np.uint64)
    for column in range(band * DEPTH, (band + 1) * DEPTH):
        keys = (keys + signatures[:, column]) * _POWERS[0]
    order = np.argsort(keys, kind="stable")
    same = np.append(False, keys[order][1:] == keys[order][:-1])
    places = np.arange(len(order))
    firsts = np.maximum.accumulate(np.where(same, 0, places))
    later = places[same]
    # With the first of its bucket and its neighbour: all pairs of a large bucket are too many.
    pairs = np.stack([np.concatenate([firsts[later], later - 1]), np.tile(later, 2)])
    kept = [order[pairs[:, :0]]]
    for start in range(0, pairs.shape[1], CHUNK):
        before, other = order[pairs[:, start : start + CHUNK]]
        # Rows that are made from the same sentences meet in a band and are far from near: what
        # their signatures have in common tells so in a tenth of the time of the sketches.
        alike = np.count_nonzero(signatures[before] == signatures[other], axis=1) >= LEAST
        kept.append(np.stack([before[alike], other[alike]]))
    return np.concatenate(kept, axis=1)


def _near(one: np.ndarray, other: np.ndarray) -> bool:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared >= THRESHOLD * (len(one) + len(other) - shared)


def _common_runs(sketches: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the hashes of the runs that many rows have, sorted."""
    limit = max(COMMON_ROWS, COMMON * len(sketches))
    if len(sketches) <= limit:
        return np.zeros(0, np.uint32)
    # All hashes at once took 1.1 GB of 282 115 rows. By their upper bits a row's 256 at most fall
    # on 65 536 counts: one above the limit is rare, and only its hashes are told apart.
    counts = np.zeros(1 << 16, np.int64)
    for part in _parts(sketches):
        counts += np.bincount(np.concatenate(part) >> np.uint32(16), minlength=1 << 16)
    full = counts > limit
    flats = map(np.concatenate, _parts(sketches))
    values, times = np.unique(
        np.concatenate([flat[full[flat >> np.uint32(16)]] for flat in flats]), return_counts=True
    )
    return values[times > limit]


def _parts(sketches: Sequence[np.ndarray]) -> Iterator[Sequence[np.ndarray]]:
    for start in range(0, len(sketches), CHUNK):
        yield sketches[start : start + CHUNK]


def _without(sketch: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Removes common runs from a sketch; both are sorted."""
    if not len(common):
        return sketch
    # A third of the time of np.isin, which sorts both together (measured: 6 and 16 us a sketch).
    places = np.searchsorted(common, sketch)
    places[places == len(common)] = 0
    return sketch[common[places] != sketch]


def _signatures(sketches: Sequence[np.ndarray], common: np.ndarray) -> np.ndarray:
    """Computes MinHash signatures [rows, BANDS * DEPTH] of all but common runs; a row with nothing
    to compare gets a unique one.
    """
    size = BANDS * DEPTH
    generator = np.random.default_rng(0)
    # Odd, so that no two hashes become one.
    factors = generator.integers(1, 2**32, size, dtype=np.uint32) | np.uint32(1)
    shifts = generator.integers(0, 2**32, size, dtype=np.uint32)
    signatures = np.empty((len(sketches), size), np.uint32)

    def sign(start: int) -> None:
        flat, borders = _rare_runs(sketches[start : start + CHUNK], common, start)
        for k in range(size):
            hashed = flat * factors[k] + shifts[k]
            # A product carries bits upwards only; the shift brings high ones down before the next.
            hashed ^= hashed >> np.uint32(15)
            signatures[start : start + len(borders), k] = np.minimum.reduceat(
                hashed * np.uint32(0x85EBCA6B), borders
            )

    # Numpy lets other threads work meanwhile, and all other processes wait for this one.
    with ThreadPoolExecutor(min(os.cpu_count() or 1, THREADS)) as threads:
        for _ in threads.map(sign, range(0, len(sketches), CHUNK)):
            pass
    return signatures


def _rare_runs(
    sketches: Sequence[np.ndarray], common: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the runs of rows without common ones, one row's behind the other's, and where each
    row begins; the number of a row, counted from ``first``, where nothing is left of it.
    """
    flat = np.concatenate(sketches)
    lengths = np.fromiter(map(len, sketches), np.int64, len(sketches))
    if len(common):
        places = np.searchsorted(common, flat)
        places[places == len(common)] = 0
        rare = common[places] != flat
        lengths = np.add.reduceat(rare, _begins(lengths), dtype=np.int64)
        flat = flat[rare]
    empty = np.flatnonzero(lengths == 0)
    flat = np.insert(flat, _begins(lengths)[empty], (first + empty).astype(np.uint32))
    return flat, _begins(np.maximum(lengths, 1))


def _begins(lengths: np.ndarray) -> np.ndarray:
    """Returns where each of some parts begins that stand one behind the other."""
    return np.cumsum(lengths) - lengths


def leaked_share(keys: Iterable[int]) -> float:
    """Computes the expected share of a random held-out tenth that has an exact copy among the
    training rows.

    A row with m copies in N rows has none of the others left with probability prod (h - j) / (N -
    j), j = 1 .. m - 1.
    """
    counts = Counter(keys)
    rows = sum(counts.values())
    held_rows = max(1, round(rows / 10))
    leaked = 0.0
    for size, number in Counter(counts.values()).items():
        alone = 1.0
        for j in range(1, size):
            alone *= max(0, held_rows - j) / (rows - j)
        leaked += number * size * (1 - alone) if size > 1 else 0.0
    return leaked / rows if rows else 0.0
