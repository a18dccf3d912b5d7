"""The cheap rival of a model that finds entities: a dictionary of those of the training rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.data.columns.scripts import words_of
from tunesmith.examples import Span, Tagged

Mention = tuple[str, ...]
"""The words of an entity."""


@dataclass(frozen=True)
class Dictionary:
    """What each mention is."""

    labels: dict[Mention, str]
    longest: int
    """Words of the longest mention."""

    @classmethod
    def of(cls, rows: Sequence[Tagged]) -> Dictionary:
        """Collects every entity of the rows under its commonest kind, except those that are no
        entity in most places where their words occur.
        """
        seen: dict[Mention, Counter[str]] = defaultdict(Counter)
        for row in rows:
            for span in row.spans:
                seen[_words(row.text[span.start : span.end])][span.label] += 1
        labels = {mention: kinds.most_common(1)[0][0] for mention, kinds in seen.items()}
        every = cls(labels, max(map(len, labels), default=0))
        named: Counter[Mention] = Counter()
        for row in rows:
            spans = every.find(row.text)
            named.update(_words(row.text[span.start : span.end]) for span in spans)
        kept = {
            words: label
            for words, label in labels.items()
            if 2 * seen[words].total() >= named[words]
        }
        return cls(kept, max(map(len, kept), default=0))

    def find(self, text: str) -> list[Span]:
        """Finds the entities in a text, the longest at each place."""
        places = words_of(text)
        words = [text[start:end] for start, end in places]
        spans, at = [], 0
        while at < len(words):
            sizes = range(min(self.longest, len(words) - at), 0, -1)
            size = next((n for n in sizes if tuple(words[at : at + n]) in self.labels), 0)
            if size:
                label = self.labels[tuple(words[at : at + size])]
                spans.append(Span(places[at][0], places[at + size - 1][1], label))
            at += size or 1
        return spans


def _words(text: str) -> Mention:
    return tuple(text[start:end] for start, end in words_of(text))
