"""Text to ids, in pieces: a prompt as the model will be asked it, then an answer as the model would
write it, and how much each of its ids counts.

Text is text: a control token that stands in a row or a question is read letter by letter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Turn
from tunesmith.words import say

PLANE = 0x100000
"""The last private plane: its letter ``PLANE + n`` stands for the letter ``n``."""
_HIDDEN = re.compile("[\U00100000-\U0010ffff]")


def control_tokens(tokenizer: Tokenizer) -> list[str]:
    """Returns the texts that a tokenizer reads as control tokens, longest first."""
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return sorted(filter(None, special | set(tokenizer.all_special_tokens)), key=len, reverse=True)


class Control:
    """The rule that hides control tokens in what rows and users write; ``met`` counts the texts
    that held one. With ``as_tokens`` they stay what they are.

    A control token that comes out of the chat template ends a turn or opens one. The same letters
    in somebody's text must not, or a question could write the system prompt. So the first letter of
    each is put into a plane of Unicode that no script uses before the text goes into a template,
    and taken back when the ids are made; the text keeps its length on the way.
    """

    def __init__(self, tokenizer: Tokenizer, *, as_tokens: bool = False) -> None:
        names = [] if as_tokens else control_tokens(tokenizer)
        self._names = re.compile("|".join(map(re.escape, names))) if names else None
        self.met = 0

    def text(self, text: str) -> str:
        """Hides the first letter of each control token in ``text``."""
        if self._names is None or not self._names.search(text):
            return text
        self.met += 1
        return self._names.sub(lambda match: _hidden(match[0]), text)

    def chat(self, chat: Chat) -> Chat:
        """Hides control tokens in all texts of a conversation's row."""
        if self._names is None:
            return chat
        return Chat(
            tuple(self._turn(turn) for turn in chat.turns),
            self._all(chat.tools),
            self._all(chat.columns),
        )

    def _turn(self, turn: Turn) -> Turn:
        content = self.text(turn.content)
        if turn.reasoning or turn.name or turn.tool_calls:
            return replace(
                turn,
                content=content,
                reasoning=self.text(turn.reasoning) if turn.reasoning else turn.reasoning,
                name=self.text(turn.name) if turn.name else turn.name,
                tool_calls=self._all(turn.tool_calls),
            )
        return turn if content is turn.content else replace(turn, content=content)

    def _all(self, value: object) -> Any:
        """Hides control tokens in every text within ``value``, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._all(key): self._all(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._all(inner) for inner in value)
        return value


def shown(tokenizer: Tokenizer, text: str) -> str:
    """Returns ``text`` with its hidden letters back."""
    if not _HIDDEN.search(text):
        return text
    names = {_hidden(name): name for name in control_tokens(tokenizer)}
    parts = sorted(names, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, parts)), lambda match: names[match[0]], text)


def spans(tokenizer: Tokenizer, text: str) -> Iterator[tuple[str, bool]]:
    """Yields the parts of a rendered text in order, and for each whether it must be read as plain
    text, without control tokens.
    """
    if not _HIDDEN.search(text):
        yield text, False
        return
    names = "|".join(map(re.escape, control_tokens(tokenizer)))
    kept = ""
    for part in re.split(f"({names})", text):
        plain = shown(tokenizer, part)
        if plain == part:
            kept += part
            continue
        if kept:
            yield kept, False
        yield plain, True
        kept = ""
    if kept:
        yield kept, False


def _hidden(name: str) -> str:
    return chr(PLANE + ord(name[0])) + name[1:] if ord(name[0]) < 0xFFFE else name


def token_weights(
    turn: Turn, text: str, count: int, places: Callable[[str], Sequence[tuple[int, int]]]
) -> list[float]:
    """Returns the weights of the ``count`` ids of ``text``, the rendered answer of ``turn``; the
    stop token has the turn's weight.

    ``places`` says which characters each id stands for. An id belongs to the part in which its last
    character lies.
    """
    weights = [turn.weight] * count
    if not turn.spans:
        return weights
    # The content is the last of an answer: thinking stands before it, and what ends it is no word.
    begin = text.rfind(turn.content)
    if begin < 0:
        raise DataError(Problem("train_detail", say("reader.span_lost")))
    for n, (_, stop) in enumerate(places(text)[:count]):
        for start, end, weight in turn.spans:
            if begin + start < stop <= begin + end:
                weights[n] = turn.weight * weight
    return weights


_CALLING = {"__call__", "_encode_plus", "_switch_to_input_mode"}
"""What a class of transformers has where it does something of its own with a text."""


def plain_ids(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    """Returns a function from a text to its ids, without the tokenizer's own additions; straight
    from the tokenizer below a fast one, unless its class does something of its own with a text.

    What transformers does around each call takes a third of its time (measured: 0.36 ms a text of
    273 tokens, 0.25 without).
    """

    def called(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def direct(text: str) -> list[int]:
        below = tokenizer.backend_tokenizer
        # What a call before this one has set stays set.
        if below.truncation is not None:
            below.no_truncation()
        if below.padding is not None:
            below.no_padding()
        if below.encode_special_tokens != tokenizer.split_special_tokens:
            below.encode_special_tokens = tokenizer.split_special_tokens
        return below.encode_batch_fast([text], add_special_tokens=False)[0].ids

    return direct if _as_its_file_says(tokenizer) else called


def _as_its_file_says(tokenizer: Tokenizer) -> bool:
    """Tells whether a tokenizer reads texts as its ``tokenizer.json`` says, and does nothing else
    with them.
    """
    from transformers import PreTrainedTokenizerFast

    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        return False
    classes = type(tokenizer).__mro__
    own = classes[: classes.index(PreTrainedTokenizerFast)]
    return not any(_CALLING & vars(cls).keys() for cls in own)


class ReadOtherwise(Exception):
    """Is raised where fastokens makes other ids of a text than the model's own tokenizer."""


class QuickIds:
    """The ids of texts by fastokens, which reads the same file and takes a fifth of the time (of
    10 000 rows 0.55 s, 2.4 by tokenizers). It begins behind the first ``OWN`` texts, because
    reading a vocabulary takes 0.4 s; ``COMPARED`` texts and one of ``EACH`` are read by the own
    tokenizer too.

    For a process that forks no more: its threads do not outlive a fork.
    """

    OWN, COMPARED, EACH = 2000, 200, 100

    def __init__(self, tokenizer: Tokenizer, own: Callable[[str], list[int]]) -> None:
        self.tokenizer, self.own = tokenizer, own
        self.texts = 0
        self._quick: Callable[..., Any] | None = None

    def __call__(self, text: str) -> list[int]:
        """Returns the ids of ``text``; raises ReadOtherwise."""
        self.texts += 1
        if self.texts == self.OWN:
            self._quick = _by_fastokens(self.tokenizer)
        if self._quick is None:
            return self.own(text)
        ids: list[int] = self._quick(text, add_special_tokens=False).ids
        compared = self.texts < self.OWN + self.COMPARED or self.texts % self.EACH == 0
        if compared and ids != self.own(text):
            raise ReadOtherwise(text)
        return ids


def _by_fastokens(tokenizer: Tokenizer) -> Callable[..., Any] | None:
    """Returns what makes ids of a text, by fastokens; None where it is not installed, or does not
    know this kind of tokenizer.
    """
    if not _as_its_file_says(tokenizer) or tokenizer.split_special_tokens:
        return None
    # One thread: there are as many processes as cores.
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    try:
        import fastokens

        return fastokens.Tokenizer.from_json_str(tokenizer.backend_tokenizer.to_str()).encode
    except (ImportError, ValueError):
        return None


def ids_of(
    tokenizer: Tokenizer, text: str, *, side: str = "text", plain: bool = False
) -> list[int]:
    """Returns the ids of ``text`` without the tokenizer's own additions; ``plain`` reads no control
    token in it. ``side`` tells questions from answers, which some tokenizers split differently
    (Marian).
    """
    options = {"split_special_tokens": True} if plain else {}
    encoding = tokenizer(**{side: text}, add_special_tokens=False, verbose=False, **options)
    return list(encoding["input_ids"]) if text else []


def places_of(
    tokenizer: Tokenizer, text: str, *, side: str = "text", before: str = ""
) -> list[tuple[int, int]]:
    """Returns the span of characters in ``text`` of each id, where ``before`` precedes the text."""
    if not tokenizer.is_fast:
        raise DataError(
            Problem("train_detail", say("reader.span_needs_fast", kind=type(tokenizer).__name__))
        )
    places = []
    begin = 0
    skip = len(before)
    for part, plain in spans(tokenizer, text):
        options = {"split_special_tokens": True} if plain else {}
        encoding = tokenizer(
            **{side: before + part},
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
            **options,
        )
        places += [
            (begin + start - skip, begin + stop - skip)
            for start, stop in encoding["offset_mapping"]
            if stop > skip
        ]
        begin += len(part)
    return places


# An answer, an answer that begins with a space, a wide character, a letter outside the first plane.
PROBES = (("Q:", "answer"), ("Q:", " answer"), ("问：", "答案"), ("Q:\n", "🙂 ok"))
ANCHORS = ("\n", ":", "\u0001")


class PlainTokenizer:
    """A tokenizer without special tokens; ``bos`` holds what the tokenizer itself puts in front of
    a text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.ids = plain_ids(tokenizer)
        """Makes ids of a text by itself, in which control tokens are control tokens."""
        added = tokenizer("a", verbose=False)["input_ids"]
        plain = self.start("a")
        self.bos: tuple[int, ...] = (
            tuple(added[: added.index(plain[0])]) if plain and plain[0] in added else ()
        )
        self._anchor: tuple[str, int] | None = None
        self._anchor = self._find_anchor()

    def quicken(self) -> None:
        """Makes ids by fastokens from here on, in a process that forks no more."""
        self.ids = QuickIds(self.tokenizer, self.ids)

    def start(self, text: str) -> list[int]:
        """Returns the ids of a text that begins a sequence."""
        ids: list[int] = []
        for part, plain in spans(self.tokenizer, text):
            ids += self._behind(part, plain) if ids else self._ids(part, plain)
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
            return self._ids(text, plain)
        anchor, length = self._anchor
        return self._ids(anchor + text, plain)[length:]

    def _ids(self, text: str, plain: bool) -> list[int]:
        """Returns the ids of one part of a text that begins a sequence."""
        return ids_of(self.tokenizer, text, plain=True) if plain else self.ids(text)

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
        for index in range(border, min(border + 4, len(ids_T))):
            if not self.text(ids_T[max(0, border - 4) : index]).endswith("\ufffd"):
                return index
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
