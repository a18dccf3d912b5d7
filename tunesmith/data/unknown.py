"""What a tokenizer does not know: how much of the rows becomes ``[UNK]`` or bytes of a letter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from tunesmith.data.rendering.text_to_ids import PlainTokenizer
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Example, Labelled, Tagged, Text, TextPair, chats_of
from tunesmith.words import say

WARN, STOP = 0.05, 0.3
"""Shares of all pieces from which a note is written, and from which the run stops."""
LONGEST = 2000
"""Of longer texts the beginning is looked at (characters)."""
EXAMPLES = 8
ALL, EACH = 2048, 16
"""The first rows of a file are all looked at, then one of so many, which counts for all of them. Of
100 000 rows that is a twelfth, in which a share of 5 % is known to a quarter of a percent.
"""
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
# Letters that no vocabulary of words has: hieroglyphs, cuneiform, an old Slavonic letter.
_STRANGE = ("𓂀", "𒀀", "ꙮ")


class Pieces(NamedTuple):
    """The pieces of one row, which stands for ``of`` rows: all, those that stand for no letter,
    parts of a letter, and the letters that the last two stand for.
    """

    of: int
    all: int
    lost: int
    split: int
    letters: Counter[str]


class Unknown:
    """A count of pieces over rows, of many rows an estimate: all, those that stand for no letter at
    all (``lost``: ``[UNK]`` and the bytes that a vocabulary of words falls back to), and parts of a
    letter (``split``) in a vocabulary that is made of bytes, where nothing is lost but a letter
    costs several pieces.
    """

    def __init__(self, pieces: PlainTokenizer) -> None:
        self.pieces, self.tokenizer = pieces, pieces.tokenizer
        tokenizer = self.tokenizer
        self.all = self.lost = self.split = 0
        self.examples: Counter[str] = Counter()
        ids = [tokenizer(letter, add_special_tokens=False)["input_ids"] for letter in _STRANGE]
        # Some tokenizers name their end token as the unknown one, and never write it for a letter.
        made = any(tokenizer.unk_token_id in tokens for tokens in ids)
        self.unk: int | None = tokenizer.unk_token_id if made else None
        self._kinds: dict[int, str] = {}
        self._known: set[int] = set()
        self._letters: dict[str, bool] = {}

    def look(self, example: Example, number: int) -> Pieces | None:
        """Returns the pieces of row ``number`` of a file, from 1; None where it is passed over."""
        each = 1 if number <= ALL else EACH
        written = [] if number % each else [text[:LONGEST] for text in texts_of(example)]
        pieces = Pieces(each, 0, 0, 0, Counter())
        for text in filter(str.strip, written):
            ids = self.pieces.ids(text)
            met = {*ids}
            for token in met:
                self._kind(token)
            if met <= self._known:
                pieces = pieces._replace(all=pieces.all + len(ids))
                continue
            kinds = [self._kinds[token] for token in ids]
            pieces.letters.update(filter(self._strange, text))
            pieces = pieces._replace(
                all=pieces.all + len(ids),
                lost=pieces.lost + kinds.count("lost"),
                split=pieces.split + kinds.count("split"),
            )
        return pieces if pieces.all else None

    def add(self, pieces: Pieces) -> None:
        """Counts the pieces of one row."""
        self.all += pieces.of * pieces.all
        self.lost += pieces.of * pieces.lost
        self.split += pieces.of * pieces.split
        if len(self.examples) < 1000:
            self.examples.update(pieces.letters)

    def _strange(self, letter: str) -> bool:
        """Tells whether a letter by itself becomes other pieces than known ones, once for each."""
        if letter not in self._letters:
            ids = self.pieces.ids(letter)
            for token in ids:
                self._kind(token)
            self._letters[letter] = not self._known.issuperset(ids)
        return self._letters[letter]

    def _kind(self, token: int) -> None:
        """Classifies one piece of the vocabulary, once: known, lost or split."""
        if token in self._kinds:
            return
        if token == self.unk:
            kind = "lost"
        elif "\ufffd" not in self.tokenizer.decode([token]):
            kind = "known"
        else:
            name = str(self.tokenizer.convert_ids_to_tokens(token))
            kind = "lost" if _BYTE.fullmatch(name) else "split"
        self._kinds[token] = kind
        if kind == "known":
            self._known.add(token)

    @property
    def share(self) -> float:
        """Share of the pieces that stand for no letter."""
        return self.lost / max(self.all, 1)

    @property
    def split_share(self) -> float:
        """Share of the pieces that are parts of a letter."""
        return self.split / max(self.all, 1)

    def note(self, *, accepted: bool) -> str | None:
        """Returns a note on letters that the tokenizer does not know; raises DataError where they
        are too many and this was not accepted.
        """
        share = max(self.share, self.split_share)
        if share <= WARN:
            return None
        common = [letter for letter, _ in self.examples.most_common(EXAMPLES)]
        fields = {"percent": f"{100 * share:.0f}", "examples": " ".join(filter(None, common))}
        if self.share <= self.split_share:
            return say("ledger.split_letters", **fields)
        if self.share > STOP and not accepted:
            raise DataError(Problem("data.unknown", say("ledger.unknown_stop", **fields)))
        return say("ledger.unknown", **fields)


def texts_of(example: Example) -> Iterable[str]:
    """Returns all texts of a row."""
    if isinstance(example, Text | Tagged):
        return [example.text]
    if isinstance(example, Labelled):
        return [example.text, example.second or ""]
    if isinstance(example, TextPair):
        return [example.text, example.second, *example.negatives]
    return [
        text
        for chat in chats_of(example)
        for turn in chat.turns
        for text in (turn.content, turn.reasoning or "")
    ]
