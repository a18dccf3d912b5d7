"""The text of an answer while its tokens come, and the texts that end one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tunesmith.data.rendering.tokenizers import Tokenizer

BROKEN = "\ufffd"
"""What a decoder writes for the bytes of a character that is not whole."""


class Wording:
    """An answer's text, told in pieces: a character of several tokens comes whole, and what may
    become one of ``stops`` is held back. ``stopped`` once one of them occurred.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        self.tokenizer, self.stops, self.stopped = tokenizer, stops, False
        self._ids: list[int] = []
        # Tokens from `_start` on are decoded again with each new one; those before `_whole` among
        # them have been taken up. Without the overlap a tokenizer drops the space between words.
        self._start = self._whole = 0
        self._held = ""

    def add(self, token: int) -> str:
        """Takes up a token; returns the text that is now certain."""
        self._ids.append(token)
        before = decoded(self.tokenizer, self._ids[self._start : self._whole])
        text = decoded(self.tokenizer, self._ids[self._start :])
        if text.endswith(BROKEN) and first_of(text[len(before) :], self.stops) is None:
            return ""
        self._start, self._whole = self._whole, len(self._ids)
        return self._certain(text[len(before) :])

    def rest(self) -> str:
        """Returns what was held back, at the end of an answer."""
        if self.stopped:
            return ""
        before = decoded(self.tokenizer, self._ids[self._start : self._whole])
        text = decoded(self.tokenizer, self._ids[self._start :])
        self._held += text[len(before) :]
        self._start = self._whole = len(self._ids)
        rest = self._held[: first_of(self._held, self.stops)]
        self._held = ""
        return rest

    def _certain(self, new: str) -> str:
        """Returns what of ``new`` and the text held back is no beginning of a stop text."""
        text = self._held + new
        end = first_of(text, self.stops)
        if end is not None:
            self.stopped, self._held = True, ""
            return text[:end]
        held = max(
            (
                size
                for stop in self.stops
                for size in range(1, len(stop))
                if text.endswith(stop[:size])
            ),
            default=0,
        )
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def pieces(
    tokenizer: Tokenizer, tokens: Iterable[int], stops: Sequence[str], stop_ids: Sequence[int]
) -> Iterator[str]:
    """Yields the text of ``tokens``, up to one of ``stop_ids`` or a stop text."""
    wording = Wording(tokenizer, stops)
    for token in tokens:
        if token in stop_ids:
            break
        piece = wording.add(token)
        if piece:
            yield piece
        if wording.stopped:
            break
    rest = wording.rest()
    if rest:
        yield rest


def decoded(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Returns the text of tokens, without special ones."""
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def first_of(text: str, stops: Sequence[str]) -> int | None:
    """Returns where the earliest of ``stops`` begins; None where none occurs."""
    starts = [text.index(stop) for stop in stops if stop in text]
    return min(starts) if starts else None
