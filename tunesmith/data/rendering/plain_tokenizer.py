"""Text to ids in pieces: a prompt as the model will be asked it, then an answer as the model would
write it.
"""

from __future__ import annotations

from typing import Any

from tunesmith.data.rendering.control import spans
from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.data.rendering.weights import ids_of, places_of

# An answer, an answer that begins with a space, a wide character, a letter outside the first plane.
PROBES = (("Q:", "answer"), ("Q:", " answer"), ("问：", "答案"), ("Q:\n", "🙂 ok"))
ANCHORS = ("\n", ":", "\u0001")


class PlainTokenizer:
    """A tokenizer without special tokens; ``bos`` holds what the tokenizer itself puts in front of
    a text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        added = tokenizer("a", verbose=False)["input_ids"]
        own = self.start("a")
        self.bos: tuple[int, ...] = (
            tuple(added[: added.index(own[0])]) if own and own[0] in added else ()
        )
        self._anchor: tuple[str, int] | None = None
        self._anchor = self._find_anchor()

    def start(self, text: str) -> list[int]:
        """Returns the ids of a text that begins a sequence."""
        ids: list[int] = []
        for part, plain in spans(self.tokenizer, text):
            ids += self._behind(part, plain) if ids else ids_of(self.tokenizer, part, plain=plain)
        return ids

    def more(self, text: str) -> list[int]:
        """Returns the ids of a text that continues a sequence: without the space that some
        tokenizers put before every text.
        """
        if self._anchor is None or not text:
            return self.start(text)
        return [
            token
            for part, plain in spans(self.tokenizer, text)
            for token in self._behind(part, plain)
        ]

    def _behind(self, text: str, plain: bool) -> list[int]:
        """Returns the ids of one part of a text that continues a sequence."""
        if self._anchor is None:
            return ids_of(self.tokenizer, text, plain=plain)
        anchor, length = self._anchor
        return ids_of(self.tokenizer, anchor + text, plain=plain)[length:]

    def places(self, text: str) -> list[tuple[int, int]]:
        """Returns the span of characters of each id of ``more(text)``."""
        return places_of(self.tokenizer, text, before=self._anchor[0] if self._anchor else "")

    def text(self, ids: Any) -> str:
        """Decodes ids to their exact text."""
        return self.tokenizer.decode(
            [int(token) for token in ids], clean_up_tokenization_spaces=False
        )

    def after_letter(self, ids_T: Any, border: int) -> int:
        """Moves ``border`` to the end of the letter in which it lies, if any: a token may be a part
        of a letter.
        """
        for place in range(border, min(border + 4, len(ids_T))):
            if not self.text(ids_T[max(0, border - 4) : place]).endswith("\ufffd"):
                return place
        return border

    def _joins(self) -> bool:
        return all(
            self.text(self.start(left) + self.more(right)) == self.text(self.start(left + right))
            for left, right in PROBES
        )

    def _find_anchor(self) -> tuple[str, int] | None:
        """Finds a text from whose ids an answer's ids can be cut; None where the ids of pieces join
        as they are.

        Cutting the ids of the whole text at the answer's first character would do for such
        tokenizers too, but a token over that border would then change the prompt from the one that
        is asked later.
        """
        if self._joins():
            return None
        for anchor in ANCHORS:
            self._anchor = (anchor, len(self.start(anchor)))
            if self._joins():
                return self._anchor
        return None
