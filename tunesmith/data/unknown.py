"""What a tokenizer does not know: how much of the rows becomes ``[UNK]`` or bytes of a letter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from tunesmith.data.rendering.text_to_ids import plain_ids
from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Example, Labelled, Tagged, Text, TextPair, chats_of
from tunesmith.words import say

WARN, STOP = 0.05, 0.3
"""Shares of all pieces from which a note is written, and from which the run stops."""
LONGEST = 2000
"""Of longer texts the beginning is looked at (characters)."""
EXAMPLES = 8
ALL, EACH = 2048, 16
"""The first rows are all looked at, then one of so many, which counts for all of them. Of 100 000
rows that is a twelfth, in which a share of 5 % is known to a quarter of a percent.
"""
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
# Letters that no vocabulary of words has: hieroglyphs, cuneiform, an old Slavonic letter.
_STRANGE = ("𓂀", "𒀀", "ꙮ")


class Unknown:
    """A count of pieces over rows, of many rows an estimate: all, those that stand for no letter at
    all (``lost``: ``[UNK]`` and the bytes that a vocabulary of words falls back to), and parts of a
    letter (``split``) in a vocabulary that is made of bytes, where nothing is lost but a letter
    costs several pieces.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self._ids = tokenizer, plain_ids(tokenizer)
        self.rows = self.all = self.lost = self.split = 0
        self.examples: Counter[str] = Counter()
        ids = [tokenizer(letter, add_special_tokens=False)["input_ids"] for letter in _STRANGE]
        # Some tokenizers name their end token as the unknown one, and never write it for a letter.
        made = any(tokenizer.unk_token_id in tokens for tokens in ids)
        self.unk: int | None = tokenizer.unk_token_id if made else None
        self._kinds: dict[int, str] = {}
        self._known: set[int] = set()

    def add(self, example: Example) -> None:
        """Counts the pieces of one row's texts."""
        self.rows += 1
        each = 1 if self.rows <= ALL else EACH
        if self.rows % each:
            return
        written = [text[:LONGEST] for text in texts_of(example) if text.strip()]
        if not written:
            return
        for text in written:
            ids = self._ids(text)
            self.all += each * len(ids)
            met = {*ids}
            for token in met:
                if token not in self._kinds:
                    self._kind(token)
            if met <= self._known:
                continue
            kinds = [self._kinds[token] for token in ids]
            self.lost += each * kinds.count("lost")
            self.split += each * kinds.count("split")
            self._show(text, kinds)

    def _show(self, text: str, kinds: list[str]) -> None:
        """Notes the letters that pieces other than known ones stand for."""
        if not self.tokenizer.is_fast or len(self.examples) >= 1000:
            return
        options = {"add_special_tokens": False, "verbose": False, "return_offsets_mapping": True}
        places = self.tokenizer(text, **options)["offset_mapping"]
        for (start, end), kind in zip(places, kinds, strict=True):
            if kind != "known":
                self.examples[text[start:end]] += 1

    def _kind(self, token: int) -> None:
        """Classifies one piece of the vocabulary, once: known, lost or split."""
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
