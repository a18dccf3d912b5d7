"""Token classification: which words of a text are an entity, and of which kind, by a head on each
word's first token (Devlin et al. 2019, section 5.3; Ramshaw and Marcus 1995 for the tags).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.data.columns.scripts import words_of
from tunesmith.data.columns.spans import OUTSIDE, kinds_of_tags, names_of_tags, spans_of, tags_of
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Example, Outputs, Tagged
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.loss_models import Models

NOT_ASKED = -1
"""The class of a token that is not the first of a word."""


@OBJECTIVES.register
class ClassifyTokens(Objective):
    """Named entities: learns to find entities in a text and to say what they are."""

    eats, unit, head, gives = Tagged, "label", "tokens", "spans"
    # The same head on the same encoders as that of classify, where it was measured.
    rate_factor, rate_reason = 2.5, "plan.reason_rate_classes"

    class Config(Spec):
        """Kinds of entities."""

        labels: tuple[str, ...] = ()
        """The kinds of entities in the order of the outputs; found in the data and sorted when not
        given. Rows whose tags are numbers need them: kinds number O, B- and I- of the first kind,
        and so on; another order is given as the tags themselves, such as [O, B-PER, I-PER].
        """

    @property
    def _given(self) -> tuple[str, ...]:
        """The kinds of entities that the settings name."""
        labels = self.config.labels
        return kinds_of_tags(labels) if OUTSIDE in labels else labels

    def meant(self, example: Example) -> Example:
        """Adds the entities to a row whose tags are numbers, where the settings name them."""
        if not isinstance(example, Tagged) or example.numbered is None:
            return example
        column, numbers = example.numbered
        labels = self.config.labels
        names = labels if OUTSIDE in labels else names_of_tags(labels)
        if numbers and not labels:
            raise DataError(Problem(column, say("tagged.number", tag=numbers[0])))
        wrong = next((number for number in numbers if not 0 <= number < len(names)), None)
        if wrong is not None:
            fields = {"tag": wrong, "last": len(names) - 1, "names": ", ".join(names)}
            raise DataError(Problem(column, say("tagged.number_unnamed", **fields)))
        assert example.words is not None, "tags stand beside words"
        spans = spans_of([names[number] for number in numbers], example.words)
        return replace(example, spans=spans, numbered=None)

    def learn(self, examples: Iterable[Example]) -> list[str]:
        """Finds the kinds of entities."""
        rows = split = 0
        counts: Counter[str] = Counter()
        for example in examples:
            assert isinstance(example, Tagged)
            rows += 1
            counts.update(span.label for span in example.spans)
            split += _inside_words(example)
        unknown = [label for label in counts if label not in (self._given or counts)]
        if unknown:
            allowed = ", ".join(self._given)
            text = say("labelled.unknown_label", label=unknown[0], known=allowed)
            raise SpecError(Problem("objective.labels", text))
        labels = self._given or tuple(sorted(counts))
        if not labels:
            raise DataError(Problem("data.path", say("tagged.none", rows=rows)))
        self.outputs = Outputs(names_of_tags(labels), None)
        shown = ", ".join(f"{label} {counts[label]}" for label in labels)
        notes = [say("tagged.note", entities=counts.total(), rows=rows, counts=shown)]
        return notes + ([say("tagged.note_inside", number=split)] if split else [])

    def encode(self, example: Example, render: Render) -> list[Tokens]:
        """Encodes the text, with the class of each word's first token as the column ``label_T``,
        and the spans of these words as ``words``.
        """
        assert isinstance(example, Tagged) and self.outputs is not None
        words_marked = example.words or words_of(example.text)
        tokens, first, words = render.marked(example.text, words_marked)
        label_T = np.full(len(tokens), NOT_ASKED)
        label_T[first] = [self.outputs.names.index(tag) for tag in tags_of(example.spans, words)]
        columns = tokens.columns | {"label_T": label_T, "words": words}
        return [Tokens(tokens.ids_T, tokens.weights_T, columns, lost=tokens.lost)]

    def told(self, tokens: Tokens) -> str:
        """Lists the tags of the words, except those outside."""
        assert self.outputs is not None
        names = [self.outputs.names[label] for label in tokens.columns["label_T"] if label > 0]
        return say("tagged.told", tags=" ".join(names) or OUTSIDE)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Sums the cross-entropy over the words of all texts; ``accuracy`` is that of their
        tags.
        """
        import torch
        from torch.nn.functional import cross_entropy

        from tunesmith.models.calling.views import see

        sequences = [tokens for example in batch.sequences for tokens in example]
        label_T = np.concatenate([tokens.columns["label_T"] for tokens in sequences])
        asked = label_T != NOT_ASKED
        outputs_TC = see(models["policy"], batch).outputs_TC
        places = torch.from_numpy(np.concatenate(batch.layout.places)[asked]).to(outputs_TC.device)
        target_W = torch.from_numpy(label_T[asked]).to(outputs_TC.device)
        outputs_WC = outputs_TC.index_select(0, places)
        total = cross_entropy(outputs_WC, target_W, reduction="sum")
        right = (outputs_WC.argmax(-1) == target_W).sum()
        count = len(target_W)
        return Loss(total, {"loss": Ratio(total.detach(), count), "accuracy": Ratio(right, count)})


def _inside_words(example: Tagged) -> int:
    """Counts the entities that begin or end inside a word; for these the whole word is learned."""
    words = example.words or words_of(example.text)
    starts = {start for start, _ in words}
    ends = {end for _, end in words}
    return sum(span.start not in starts or span.end not in ends for span in example.spans)
