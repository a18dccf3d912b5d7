"""A hard prompt for a masked language model: a cloze, and a verbaliser that says which word at the
mask means which label.

PET (Schick & Schütze 2021, section 3.1): the score of a label is that of its word at the mask, its
probability the softmax over the labels. A word is one token. We add that a label may have several
words; it then has the mean of their probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import yaml

from tunesmith.batches.batch import Tokens
from tunesmith.batches.micro_batches import cut
from tunesmith.data.rendering.encoder_decoder import around, ids_on
from tunesmith.data.rendering.text_to_ids import Control, places_of
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Labelled, Outputs
from tunesmith.plain import Named
from tunesmith.predicting.likelihoods import BUDGET
from tunesmith.words import say

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tunesmith.data.rendering.tokenizers import Tokenizer

MASK, TEXT, SECOND, BORDER = "[MASK]", "{text}", "{second}", "---"
WHERE = "prove.prompt"
SOME = 200
"""Characters of a row that are looked at for how words are cut beside it."""


@dataclass(frozen=True)
class Cloze:
    """``text`` with the places of the row and of the mask; ``words`` are those of each label."""

    text: str
    words: dict[str, tuple[str, ...]]

    def filled(self, text: str, second: str | None, mask: str) -> str:
        """Fills the cloze for one row, with ``mask`` where the word is asked for."""
        parts = {TEXT: text, SECOND: second or "", MASK: mask}
        text_filled = self.text
        # From the right, so that what a row says is not taken for a place.
        for at, name in sorted(
            ((self.text.index(name), name) for name in parts if name in self.text), reverse=True
        ):
            text_filled = text_filled[:at] + parts[name] + text_filled[at + len(name) :]
        return text_filled


def read_cloze(prompt: str, outputs: Outputs, *, pairs: bool) -> Cloze:
    """Reads the cloze in a prompt. Above a line ``---`` are the words of labels, ``label: word,
    word``; other labels are their own word.

    SpecError with all that is wrong where it is none for these labels.
    """
    if outputs.problem != "single_label_classification":
        raise SpecError(Problem(WHERE, say("cloze.one_of_several")))
    head, border, text = _parted(prompt)
    words: dict[str, tuple[str, ...]] = {name: (name,) for name in outputs.names}
    problems: list[Problem] = []
    for label, given in (_verbaliser(head) if border else {}).items():
        if label not in words:
            problems.append(
                Problem(
                    WHERE, say("cloze.unknown_label", label=label, known=", ".join(outputs.names))
                )
            )
        words[label] = given
    for name, wanted in ((MASK, 1), (TEXT, 1), (SECOND, int(pairs))):
        if text.count(name) != wanted:
            fault = say("cloze.places", name=name, found=text.count(name), wanted=wanted)
            problems.append(Problem(WHERE, fault))
    if problems:
        raise SpecError(problems)
    return Cloze(text, words)


def _parted(prompt: str) -> tuple[str, bool, str]:
    lines = prompt.splitlines()
    if BORDER not in [line.strip() for line in lines]:
        return "", False, prompt
    at = [line.strip() for line in lines].index(BORDER)
    return "\n".join(lines[:at]), True, "\n".join(lines[at + 1 :]).strip()


def _verbaliser(head: str) -> dict[str, tuple[str, ...]]:
    try:
        parsed = yaml.load(
            head, yaml.BaseLoader
        )  # every value a text: a label may be called 1 or yes
    except yaml.YAMLError:
        parsed = None
    if not isinstance(parsed, Mapping):
        raise SpecError(Problem(WHERE, say("cloze.head")))
    words_of = {}
    for label, given in parsed.items():
        words = given if isinstance(given, list) else str(given).split(",")
        words_of[str(label)] = tuple(
            word for word_given in words if (word := str(word_given).strip())
        ) or (str(label),)
    return words_of


@dataclass(frozen=True)
class Reader:
    """The clozes of one tokenizer; ``limit`` is the model's longest row (tokens)."""

    cloze: Cloze
    tokenizer: Tokenizer
    limit: int

    @property
    def mask(self) -> str:
        """The text of the mask, which every masked model's tokenizer has."""
        assert self.tokenizer.mask_token is not None, "clozes are for masked models"
        return self.tokenizer.mask_token

    @property
    def mask_id(self) -> int:
        """The mask's token."""
        assert self.tokenizer.mask_token_id is not None, "clozes are for masked models"
        return self.tokenizer.mask_token_id

    def ids(self, text: str, second: str | None, mask: str | None = None) -> list[int]:
        """Returns the ids of a filled cloze."""
        hide = Control(self.tokenizer).text
        second = None if second is None else hide(second)
        filled = self.cloze.filled(hide(text), second, mask or self.mask)
        before, after = around(self.tokenizer, "text")
        return [*before, *ids_on(self.tokenizer, "text", filled), *after]

    def row(self, example: Labelled) -> tuple[Tokens, int, bool]:
        """Returns the cloze of a row, where its mask is, and whether all of the row fits; the
        prompt itself stays whole.
        """
        texts = [
            self._plain(example.text),
            None if example.second is None else self._plain(example.second),
        ]
        ids = self.ids(*texts)
        whole = True
        while len(ids) > self.limit:
            if not any(texts):
                raise SpecError(
                    Problem(WHERE, say("prove.prompt_too_long", tokens=len(ids), limit=self.limit))
                )
            longer = max((0, 1), key=lambda index: len(texts[index] or ""))
            texts[longer] = shorter(self.tokenizer, texts[longer] or "", len(ids) - self.limit)
            ids = self.ids(*texts)
            whole = False
        return (
            Tokens(np.array(ids, np.int32), np.zeros(len(ids), np.float32)),
            ids.index(self.mask_id),
            not whole,
        )

    def _plain(self, text: str) -> str:
        """Removes from a row's text what would be read as a second mask."""
        return text.replace(self.mask, " ")

    def tokens(self, example: Labelled) -> dict[str, list[int]]:
        """Returns the token of each label's words where the mask stands in this row; raises
        SpecError for a word that is not one token there.
        """
        texts = (
            self._plain(example.text)[:SOME],
            None if example.second is None else self._plain(example.second)[:SOME],
        )
        masked = self.ids(*texts)
        at = masked.index(self.mask_id)
        after = len(masked)
        ids_of: dict[str, list[int]] = {}
        problems: list[Problem] = []
        owner: dict[int, str] = {}
        for label, words in self.cloze.words.items():
            for word in words:
                ids = self.ids(*texts, mask=word)
                inside = ids[at : at + 1 + len(ids) - after]
                if (
                    len(ids) != after
                    or ids[:at] != masked[:at]
                    or ids[at + 1 :] != masked[at + 1 :]
                ):
                    shown = " ".join(self.tokenizer.convert_ids_to_tokens(inside))
                    problems.append(
                        Problem(
                            WHERE, say("cloze.not_one_token", word=word, label=label, shown=shown)
                        )
                    )
                elif inside[0] == self.tokenizer.unk_token_id:
                    problems.append(
                        Problem(WHERE, say("cloze.unknown_word", word=word, label=label))
                    )
                elif owner.setdefault(inside[0], label) != label:
                    problems.append(
                        Problem(
                            WHERE,
                            say("cloze.same_word", word=word, label=label, other=owner[inside[0]]),
                        )
                    )
                else:
                    ids_of.setdefault(label, []).append(inside[0])
        if problems:
            raise SpecError(problems)
        return ids_of


def shorter(tokenizer: Tokenizer, text: str, over: int) -> str:
    """Cuts the last ``over`` tokens of ``text``."""
    if over <= 0:
        return text
    places = places_of(tokenizer, text)
    return text[: places[len(places) - over][0]] if over < len(places) else ""


def scores(
    model: PreTrainedModel,
    reader: Reader,
    examples: Sequence[Labelled],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, int]:
    """Computes the log-probability of each label ``[n, C]``, in the order of the cloze's words, and
    counts the rows that were cut.
    """
    from tunesmith.models.structure.masked import logprobs_at

    tokens = reader.tokens(examples[0])
    rows = [reader.row(example) for example in examples]
    scores_NC = np.zeros((len(rows), len(tokens)))
    done = 0
    for part in cut([(row,) for row, _, _ in rows], BUDGET, padded=True):
        chosen = [rows[index] for index in part]
        logs_BV = logprobs_at(
            model,
            [row for row, _, _ in chosen],
            [at for _, at, _ in chosen],
            pad_id=reader.tokenizer.pad_token_id or 0,  # padding is hidden from the model
        )
        logs_BV = logs_BV.double().cpu()
        columns = [logs_BV[:, ids].logsumexp(-1) - np.log(len(ids)) for ids in tokens.values()]
        scores_NC[part] = np.stack(columns, axis=-1)
        done += len(part)
        if progress:
            progress(done, len(rows))
    return scores_NC - np.logaddexp.reduce(scores_NC, axis=-1, keepdims=True), sum(
        lost for _, _, lost in rows
    )


def told_lines(proof: Named) -> list[str]:
    """Returns what a proof says of its cloze: the words of the labels, and how many rows it had to
    cut; nothing without one.
    """
    cloze = proof.get("cloze")
    if not cloze:
        return []
    words = ", ".join(f"{' / '.join(given)} → {label}" for label, given in cloze["words"].items())
    lines = [say("cloze.words", words=words)]
    return (
        [*lines, say("cloze.cut", cut=cloze["cut"], items=proof["items"])]
        if cloze["cut"]
        else lines
    )
