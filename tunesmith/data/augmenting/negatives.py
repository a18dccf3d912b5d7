"""Hard negatives for ``embed``: to each text, what belongs to other texts and is nevertheless like
it by its words (BM25: Robertson and Zaragoza 2009, section 3.2).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.files.file_facts import Located
from tunesmith.data.files.writing import write_rows
from tunesmith.data.find import find_data
from tunesmith.data.readers.text_pair import NEGATIVES
from tunesmith.data.reading import Reading
from tunesmith.data.rewording.settings import Augment
from tunesmith.data.steps import place_to_write, write_account
from tunesmith.data.texts.duplicates import Clusters, join_near, normalise, sketch_of
from tunesmith.data.transforms import Account, came_from
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import TextPair
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Data
from tunesmith.words import say

SATURATION, LENGTH = 1.2, 0.75
"""BM25's k1 and b, at their usual values."""
FORM = re.compile(r"[\u3400-\u9fff]+|[^\W_]+")
MORE = 50
"""The likeliest that are looked at, beyond those that are wanted, for some that may be taken."""


def with_negatives(source: str, out: Path, settings: Augment) -> Account:
    """Writes the pairs of ``source`` to ``out``, each with up to ``times`` texts that do not belong
    to it; DataError where none has any, and nothing is written.
    """
    target = place_to_write(out, find_data(source))
    reading = Reading(Data(path=source), TextPair)
    account = Account()
    rows: list[tuple[Located, TextPair]] = []
    for located, pair in reading:
        if not isinstance(pair, TextPair):
            raise SpecError(Problem(located.where, say("augment.no_pair")))
        if pair.similarity is not None:
            raise SpecError(Problem(located.where, say("augment.graded")))
        rows.append((located, pair))
    found_others = list(negatives([pair for _, pair in rows], settings.times))
    number = sum(map(bool, found_others))
    if not number:
        raise DataError(Problem(source, say("augment.no_negatives", rows=len(rows))))
    for (located, _), others in zip(rows, found_others, strict=True):
        if others:
            account.changed(located, "augment", "negatives")
    account.unread(reading.dropped, "augment")
    account.read, account.written = len(rows) + len(reading.dropped), len(rows)

    def written() -> Iterator[JsonObject]:
        for (located, pair), others in zip(rows, found_others, strict=True):
            name = next((column for column in NEGATIVES if column in located.row), NEGATIVES[0])
            added = {name: [*pair.negatives, *others]} if others else {}
            yield {**located.row, **added, CAME_FROM: came_from(located, ["augment"])}

    note = say("augment.negatives", number=sum(map(len, found_others)), rows=number)
    account.notes = [note, *reading.notes]
    write_rows(target, written, partial(write_account, target, account))
    return account


def negatives(pairs: Sequence[TextPair], times: int) -> Iterator[list[str]]:
    """Yields for each pair the texts that are likest to its first, of those that belong to others.

    None is taken that belongs to the same or nearly the same text, or that is the same or nearly
    the same as what does.
    """
    asked = _clusters([pair.text for pair in pairs])
    answered = _clusters([pair.second for pair in pairs])
    right: defaultdict[int, set[int]] = defaultdict(set)
    for question, answer in zip(asked, answered, strict=True):
        right[question].add(answer)
    # One text of each kind is offered: that of the first row, by which a cluster is named.
    offered = sorted({*answered})
    likeness = _Likeness([pairs[index].second for index in offered])
    for pair, question in zip(pairs, asked, strict=True):
        there = {normalise(text) for text in (pair.text, pair.second, *pair.negatives)}
        taken: list[str] = []
        for index in likeness.order(pair.text, times + MORE + len(right[question])):
            text = pairs[offered[index]].second
            if len(taken) == times:
                break
            if offered[index] not in right[question] and normalise(text) not in there:
                taken.append(text)
        yield taken


def _clusters(texts: Sequence[str]) -> list[int]:
    joined = Clusters(len(texts))
    join_near(joined, [sketch_of(text) for text in texts])
    joined.join_equal([normalise(text).casefold() for text in texts])
    return joined.roots()


class _Likeness:
    """BM25 over texts: which of them are likest to a question."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(terms_of(text)) for text in texts]
        lengths = [sum(terms.values()) for terms in counts]
        usual = max(sum(lengths) / max(len(lengths), 1), 1.0)
        self.number = len(texts)
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        self._weights: defaultdict[str, list[float]] = defaultdict(list)
        for index, (terms, length) in enumerate(zip(counts, lengths, strict=True)):
            room = SATURATION * (1 - LENGTH + LENGTH * length / usual)
            for term, count in terms.items():
                self._places[term].append(index)
                self._weights[term].append(count * (SATURATION + 1) / (count + room))

    def order(self, text: str, most: int) -> list[int]:
        """Returns the places of texts that share a term with ``text``, the likest first."""
        scores = np.zeros(self.number)
        for term in {*terms_of(text)} & self._places.keys():
            places = self._places[term]
            rare = math.log(1 + (self.number - len(places) + 0.5) / (len(places) + 0.5))
            scores[places] += rare * np.array(self._weights[term])
        order = np.argsort(-scores, kind="stable")[:most]
        return [int(index) for index in order if scores[index] > 0]


def terms_of(text: str) -> list[str]:
    """Returns the words of a text; of Chinese the pairs of characters."""
    terms: list[str] = []
    for run in FORM.findall(text.casefold()):
        chinese = "\u3400" <= run[0] <= "\u9fff"
        terms += [run[n : n + 2] for n in range(max(len(run) - 1, 1))] if chinese else [run]
    return terms
