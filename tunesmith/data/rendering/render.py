"""Render: an Example to the Tokens that a model sees, with a weight on each token that is
trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from rich.text import Text as Coloured

from tunesmith.batches.batch import Tokens
from tunesmith.data.rendering.conversation import Conversation, opening
from tunesmith.data.rendering.encoder_decoder import Sides, continued
from tunesmith.data.rendering.fingerprint import fingerprint
from tunesmith.data.rendering.template import Template, numbered
from tunesmith.data.rendering.text_to_ids import Control, PlainTokenizer, shown, token_weights
from tunesmith.data.rendering.tokenizers import Tokenizer, add_slots, converses, keeps_apart
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Chat, Feedback, Preference, Text, Turn
from tunesmith.settings.run import Data
from tunesmith.words import say

TRAINED, CONTEXT = "bold green", "dim"


class Render:
    """The one way from examples to ids, for training, proof and every answer given later.

    ``max_length`` (tokens) is where a plain text is cut into windows. Where the tokenizer has no
    chat template a plain one is set on it, so that what is exported carries it. A model with an
    encoder and a decoder needs none: what is asked goes into the encoder as it is, turn below turn,
    and the answer into the decoder.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        data: Data,
        *,
        max_length: int | None = None,
        head: str = "language",
        chats: bool = True,
    ) -> None:
        self.tokenizer, self.data, self.max_length, self.head = tokenizer, data, max_length, head
        self.converses = converses(tokenizer, head, chats=chats)
        self.pieces = PlainTokenizer(tokenizer)
        self.template, self.sides, self.plain_sides = None, None, False
        text, names = numbered(data.template or "") if self.converses else ("", [])
        self.slots = add_slots(tokenizer, names)
        self.control = Control(tokenizer, as_tokens=data.special_tokens == "as_tokens")
        self.system = self.control.text(data.system) if data.system else None
        self.stop_ids: tuple[int, ...] = ()
        if self.converses:
            self._prepare_answers(tokenizer, data, text)
        else:
            self.apart = keeps_apart(tokenizer)
        self.fingerprint = fingerprint(self)

    def _prepare_answers(self, tokenizer: Tokenizer, data: Data, template: str) -> None:
        """Prepares what only conversations need: their form and the tokens that end an answer."""
        self.sides = Sides.of(tokenizer)
        if self.sides is not None and data.train_on == "everything":
            raise SpecError(Problem("data.train_on", say("sides.everything")))
        carried = tokenizer.chat_template
        self.plain_sides = self.sides is not None and not carried
        settings = data.model_copy(update={"system": self.system})
        self.conversation = Conversation(self.pieces, settings)
        self.template = Template(template, data.columns) if data.template is not None else None
        if self.template is not None and data.reasoning == "drop" and self.template.reasons:
            raise SpecError(Problem("data.reasoning", say("render.reasoning_in_template")))
        if self.template is not None or self.plain_sides:
            # The plain chat template is not what is trained, so it must not be exported.
            tokenizer.chat_template = carried
        stops = [tokenizer.eos_token_id, self.conversation.stop if self.template is None else None]
        self.stop_ids = tuple(dict.fromkeys(token for token in stops if token is not None))
        if not self.stop_ids or (
            tokenizer.eos_token_id is None and (self.template or self.conversation.appends_eos)
        ):
            raise DataError(Problem("model.path", say("render.no_eos")))

    def sequence(self, text: str, second: str | None = None, *, limit: int | None = None) -> Tokens:
        """Tokenises one text, or two, for a model that only reads: nothing in it is predicted.

        The tokenizer cuts it to ``limit``, or to ``max_length`` where the settings say so. Where it
        would join two texts without a mark between them, they stand on two lines.
        """
        if second is not None and not self.apart:
            text, second = f"{text}\n{second}", None
        texts = [part if part is None else self.control.text(part) for part in (text, second)]
        plain = texts != [text, second]
        encoding = self.tokenizer(text, second, verbose=False, split_special_tokens=plain)
        lost = 0
        limit = limit or (self.max_length if self.data.too_long == "truncate" else None)
        if limit is not None and len(encoding["input_ids"]) > limit:
            whole = len(encoding["input_ids"])
            encoding = self.tokenizer(
                text,
                second,
                truncation=True,
                max_length=limit,
                verbose=False,
                split_special_tokens=plain,
            )
            lost = whole - len(encoding["input_ids"])
        ids_T = np.array(encoding["input_ids"], np.int32)
        types = (
            {"types_T": np.array(encoding["token_type_ids"], np.int8)}
            if "token_type_ids" in encoding
            else {}
        )
        return Tokens(ids_T, np.zeros(len(ids_T), np.float32), types, lost=lost)

    def marked(
        self, text: str, words: Sequence[tuple[int, int]]
    ) -> tuple[Tokens, list[int], list[tuple[int, int]]]:
        """Tokenises a text; for each word in it also returns the index of its first token and its
        span (from, up to, in characters). Words that begin inside one token are one word; words
        that were cut off are left out.
        """
        if not self.tokenizer.is_fast:
            raise DataError(Problem("model.path", say("tagged.slow_tokenizer")))
        tokens = self.sequence(text)
        options = {"truncation": True, "max_length": len(tokens)} if tokens.lost else {}
        encoding = self.tokenizer(text, return_offsets_mapping=True, verbose=False, **options)
        word_of = np.full(len(text), -1)
        for number, (start, end) in enumerate(words):
            word_of[start:end] = number
        first: list[int] = []
        places: list[tuple[int, int]] = []
        last = -1
        for index, (start, end) in enumerate(encoding["offset_mapping"]):
            # A token may begin with the space before its word.
            inside = [number for number in word_of[start:end].tolist() if number >= 0]
            if not inside or inside[-1] <= last:
                continue
            if inside[0] > last:
                first.append(index)
                places.append(words[inside[0]])
            last = inside[-1]
            places[-1] = places[-1][0], words[last][1]
        return tokens, first, places

    @property
    def start(self) -> tuple[int, ...]:
        """The ids that a decoder beside an encoder starts with; none for a decoder alone."""
        return self.sides.start if self.sides else ()

    def chat(self, chat: Chat) -> list[Tokens]:
        """Renders a conversation as one sequence, or as one for each trained turn where the
        template writes an answer differently once it is history.

        With an encoder's side it is one for each trained turn, of which all that was said before is
        the source.
        """
        chat = self.control.chat(chat)
        if self.sides is not None:
            return self._two_sided(chat)
        if self.template is not None:
            return self._filled(chat)
        turns = self.conversation.turns(chat)
        quick = self._sequences(chat, turns, quick=True)
        return self._sequences(chat, turns, quick=False) or [] if quick is None else quick

    def _sequences(self, chat: Chat, turns: Sequence[Turn], *, quick: bool) -> list[Tokens] | None:
        """Renders the sequences of ``chat``. ``quick`` tokenises only what a prompt adds to the
        answer before it, so that the time for long conversations does not grow with the square of
        their turns; None where the last prompt shows that this tokenizer does not allow it.
        """
        everything = self.data.train_on == "everything"
        trained = trained_places(turns, self.data.train_on)
        first = opening(turns)
        done: list[Tokens] = []
        ids: list[int] = []
        weights: list[float] = []
        asked, text, so_far, added = ids, "", "", False
        for k, turn in enumerate(turns):
            if turn.role != "assistant" or k < first or not (everything or k in trained):
                continue
            before = (text, asked) if added else None
            text = self.conversation.prompt(turns[:k], chat.tools)
            added = quick and bool(so_far) and text.startswith(so_far)
            asked = (
                ids + self.pieces.more(text[len(so_far) :]) if added else self.pieces.start(text)
            )
            if before and not added and self.pieces.start(before[0]) != before[1]:
                return None
            answered, answer = self._answer(turns[: k + 1], chat, text)
            so_far = "" if self.conversation.appends_eos else text + answered
            if ids and asked[: len(ids)] != ids:
                done.append(_tokens(ids, weights))
                same = _common(ids, asked)
                ids, weights = ids[:same], [0.0] * same
            weights += [float(everything)] * (len(asked) - len(ids)) + self._weights(
                turn, answered, answer, k in trained
            )
            ids = asked + answer
        if added and self.pieces.start(text) != asked:
            return None
        return [*done, _tokens(ids, weights)] if ids else done

    def preference(self, example: Preference) -> list[Tokens]:
        """Renders both sides after their prompt, which is not trained; ``side`` is 0 for chosen, 1
        for rejected.
        """
        start = len(example.prompt.turns)
        sides = example.sides
        return [
            tokens
            for side, chat in enumerate(sides)
            for tokens in self.answering(chat, start, side=side)
        ]

    def feedback(self, example: Feedback) -> list[Tokens]:
        """Renders the answer after its prompt; ``desirable`` is 1 or 0."""
        return self.answering(
            example.chat, len(example.chat.turns) - 1, desirable=int(bool(example.desirable))
        )

    def answering(self, chat: Chat, start: int, **columns: object) -> list[Tokens]:
        """Renders ``chat`` with only the turns from ``start`` on trained."""
        quiet = tuple(replace(turn, train=False) for turn in chat.turns[:start])
        return [
            replace(tokens, columns=columns)
            for tokens in self.chat(replace(chat, turns=(*quiet, *chat.turns[start:])))
        ]

    def prompt(self, chat: Chat) -> np.ndarray:
        """Returns int32 ids up to where the answer begins, or those of the encoder's side."""
        chat = self.control.chat(chat)
        if self.sides is not None:
            return self._source(chat.prompt)
        if self.template is not None:
            given, _ = self.template.fill(chat, system=self.system, asking=True)
            return np.array([*self.pieces.bos, *self.pieces.start(given)], np.int32)
        turns = self.conversation.turns(chat.prompt)
        return np.array(self.pieces.start(self.conversation.prompt(turns, chat.tools)), np.int32)

    def text(self, text: Text) -> list[Tokens]:
        """Renders the document and its end token, in windows of ``max_length``; each begins with
        the last token of the one before.
        """
        eos = self.tokenizer.eos_token_id
        if eos is None:
            raise DataError(Problem("model.path", say("render.no_eos")))
        if not text.text:
            return []
        ids = [*self.pieces.bos, *self.pieces.start(self.control.text(text.text)), eos]
        splits = self.max_length is not None and self.data.too_long in (None, "split")
        size = self.max_length if splits and self.max_length else len(ids)
        starts = range(0, max(len(ids) - 1, 1), max(size - 1, 1))
        return [
            _tokens(ids[start : start + size], [1.0] * len(ids[start : start + size]))
            for start in starts
        ]

    def opening(self, text: Text) -> np.ndarray:
        """Returns int32 ids of a whole document without its end token, for the model to
        continue.
        """
        return np.array([*self.pieces.bos, *self.pieces.start(text.text)], np.int32)

    def coloured(self, tokens: Tokens) -> Coloured:
        """Returns the text of a sequence: trained tokens in colour, context dim."""
        shown = Coloured()
        if tokens.source_ids_T is not None:
            shown.append(self.pieces.text(tokens.source_ids_T) + "\n→ ", style=CONTEXT)
        borders = [0, *(np.flatnonzero(np.diff(tokens.weights_T != 0)) + 1), len(tokens.ids_T)]
        places = [self.pieces.after_letter(tokens.ids_T, border) for border in borders]
        for start, (begin, end) in zip(borders, pairwise(places), strict=False):
            style = TRAINED if tokens.weights_T[start] else CONTEXT
            shown.append(self.pieces.text(tokens.ids_T[begin:end]), style=style)
        return shown

    def _filled(self, chat: Chat) -> list[Tokens]:
        assert self.template is not None
        given, answered = self.template.fill(chat, system=self.system)
        context = [*self.pieces.bos, *self.pieces.start(given)]
        answer = [
            *(self.pieces.more(answered) if context else self.pieces.start(answered)),
            self.tokenizer.eos_token_id,
        ]
        if self.slots & set(answer):
            raise SpecError(Problem("data.template", say("render.slot_in_answer")))
        weight = float(self.data.train_on == "everything")
        weights = [0.0 if token in self.slots else weight for token in context]
        return [_tokens(context + answer, weights + self._last_weights(chat, answered, answer))]

    def _two_sided(self, chat: Chat) -> list[Tokens]:
        assert self.sides is not None
        if self.template is not None:
            given, answered = self.template.fill(chat, system=self.system)
            answer = [*self.sides.answer(answered), self.tokenizer.eos_token_id]
            weights = self._last_weights(chat, answered, answer)
            return [continued(self.sides.source(given), answer, self.start, weights=weights)]
        turns = self.conversation.turns(chat)
        sequences = []
        for k in sorted(trained_places(turns, self.data.train_on)):
            if k < opening(turns):
                continue
            if self.plain_sides:
                text = self._plainly(turns[k : k + 1])
                answer = [*self.sides.answer(text), self.tokenizer.eos_token_id]
            else:
                text, answer = self._answer(
                    turns[: k + 1], chat, self.conversation.prompt(turns[:k], chat.tools)
                )
            weights = self._weights(turns[k], text, answer)
            sequences.append(
                continued(
                    self._source(replace(chat, turns=turns[:k])),
                    answer,
                    self.start,
                    weights=weights,
                )
            )
        return sequences

    def _weights(
        self, turn: Turn, text: str, answer: Sequence[int], trained: bool = True
    ) -> list[float]:
        """Returns the weight of each id of a turn's rendered answer."""
        places = self.sides.places if self.plain_sides and self.sides else self.pieces.places
        return token_weights(turn, text, len(answer), places) if trained else [0.0] * len(answer)

    def _last_weights(self, chat: Chat, text: str, answer: Sequence[int]) -> list[float]:
        """Returns the weights for a filled template, whose answer is the last turn's."""
        turn = chat.turns[-1] if chat.turns else Turn("assistant", text)
        return self._weights(turn, text, answer, turn.train is not False)

    def _source(self, chat: Chat) -> np.ndarray:
        """Returns the ids of the encoder's side: the filled template, the chat template's prompt,
        or the turns one below the other.
        """
        assert self.sides is not None
        if self.template is not None:
            return self.sides.source(self.template.fill(chat, system=self.system, asking=True)[0])
        turns = self.conversation.turns(chat)
        return self.sides.source(
            self._plainly(turns)
            if self.plain_sides
            else self.conversation.prompt(turns, chat.tools)
        )

    def _plainly(self, turns: Sequence[Turn]) -> str:
        texts = [self.conversation.message(turn)["content"] for turn in turns]
        return "\n".join(text for text in texts if text)

    def _answer(self, turns: Sequence[Turn], chat: Chat, prompt: str) -> tuple[str, list[int]]:
        """Returns the answer after ``prompt``: its text, and its ids with the stop token."""
        text = self.conversation.answer(turns, chat.tools, prompt)
        ids = self.pieces.more(text)
        if self.conversation.appends_eos:
            ids = [*ids, self.tokenizer.eos_token_id]
        if not ids or ids[-1] not in self.stop_ids:
            allowed = ", ".join(
                repr(self.tokenizer.convert_ids_to_tokens(token)) for token in self.stop_ids
            )
            raise DataError(
                Problem(
                    "",
                    say(
                        "render.no_stop",
                        tail=repr(shown(self.tokenizer, text)[-60:]),
                        stops=allowed,
                    ),
                )
            )
        return text, ids


def trained_places(turns: Sequence[Turn], train_on: str) -> set[int]:
    """Returns the indices of the turns that are trained."""
    answers = [k for k, turn in enumerate(turns) if turn.role == "assistant"]
    chosen = answers[-1:] if train_on == "last" else answers
    return {k for k in answers if (k in chosen if turns[k].train is None else turns[k].train)}


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Counts the items that two sequences begin with in common."""
    for k, (ours, other) in enumerate(zip(left, right, strict=False)):
        if ours != other:
            return k
    return min(len(left), len(right))


def _tokens(ids: Sequence[int], weights: Sequence[float]) -> Tokens:
    weights_T = np.array(weights, np.float32)
    weights_T[:1] = 0  # nothing precedes the first token
    return Tokens(np.array(ids, np.int32), weights_T)
