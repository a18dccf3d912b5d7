"""Spans: the parts of a text that are entities, by a head on the first token of each word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.columns.scripts import words_of
from tunesmith.data.columns.spans import spans_of, tags_of
from tunesmith.examples import Example, Span, Tagged
from tunesmith.metrics import Metric
from tunesmith.metrics._spans import table
from tunesmith.models.calling.forwards import BUDGET, forwards
from tunesmith.models.loading.load import Loaded
from tunesmith.outputs import COLUMN, OUTPUTS, Output, Progress, Watched
from tunesmith.plain import JsonObject, Row
from tunesmith.proving.contest import Contest, Outcome
from tunesmith.proving.dictionary import Dictionary
from tunesmith.proving.judge import TUNED
from tunesmith.proving.preferences import refuse_others
from tunesmith.proving.record import Record
from tunesmith.proving.task import training_examples
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.views import Seen
    from tunesmith.predicting.fitting import Fitting
    from tunesmith.predicting.predictor import Predictor

METRICS = ["entity_f1", "entity_precision", "entity_recall", "entity_macro_f1"]
AGAINST = "dictionary"


@OUTPUTS.register
class Spans(Output):
    """Where entities are in a text, and what they are."""

    takes = frozenset({"questions"})
    best_by = frozenset({"spans"})
    not_best_by, by_heart = "classes.best_by", True
    unused = ("template", "system", "reasoning", "train_on")
    endpoints = frozenset({"classify"})
    lacks = "classes.no_row_text"

    def ask(self, predictor: Predictor, row: Any) -> list[tuple[str, int, Tokens]]:
        """Divides the text into parts that the model can read, each with where it begins."""
        example = predictor.rows.asks(row)
        assert isinstance(example, Tagged), "rows with entities are read by their own readers"
        words = example.words or words_of(example.text)
        return parts(predictor.render, example.text, words, predictor.loaded.limit)

    def answer(
        self, predictor: Predictor, asked: list[Any], progress: Progress | None
    ) -> list[JsonObject]:
        """Returns for each row its entities: start, end (characters), label, text, and the mean
        probability of the tags of their words.
        """
        names: list[str] = predictor.loaded.facts["outputs"]["names"]
        sequences = [tokens for row in asked for _, _, tokens in row]
        chances = iter(chances_of(predictor.loaded, sequences, progress=progress))
        return [
            {
                COLUMN: [
                    entity
                    for text, start, tokens in row
                    for entity in named(next(chances), tokens, names, text, start)
                ]
            }
            for row in asked
        ]

    def question(self, text: str) -> Tagged:
        """Makes a text without entities."""
        return Tagged(text)

    def reply(
        self, model: Any, asked: Sequence[Example], fitting: Fitting, stopped: Callable[[], bool]
    ) -> list[str]:
        """Returns the entities of each text, for a person to read."""
        render = fitting.render
        texts = [example.text for example in asked if isinstance(example, Tagged)]
        loaded = Loaded(model, render.tokenizer, "padded")
        sequences = [_read(render, text, words_of(text)) for text in texts]
        chances = chances_of(loaded, sequences, stopped=stopped)
        return [
            shown(text, self._spans(chances_WC, tokens))
            for text, chances_WC, tokens in zip(texts, chances, sequences, strict=True)
        ]

    def score(self, metric: Metric, watched: Watched) -> float:
        """Computes the metric over the entities that are found."""
        spans = self._found(watched.model, watched.items, watched.budget, stopped=watched.stopped)
        return metric.over([*map(plain, spans)], [plain(_right(item)) for item in watched.items])

    def prove(self, contest: Contest) -> Outcome:
        """Compares tuned with a dictionary of the training rows' entities, and with the base where
        its head has the same kinds.
        """
        from tunesmith.models.saved import load_run

        items, run = contest.items, contest.run
        given = list(dict.fromkeys(refuse_others(run, METRICS)))
        rows = training_examples(run, contest.prepared)
        dictionary = Dictionary.of([row for _, row in rows if isinstance(row, Tagged)])
        by_contender: dict[str, Sequence[Sequence[Span]]] = {
            AGAINST: [dictionary.find(_text(item)) for item in items]
        }
        contest.parts(2 if contest.tuned.facts["outputs"]["kept"] else 1)
        if contest.tuned.facts["outputs"]["kept"]:
            base = load_run(contest.folder, tuned=False)
            by_contender["base"] = self._found(base, items, progress=_teller("base", contest))
        by_contender[TUNED] = self._found(contest.tuned, items, progress=_teller(TUNED, contest))
        records = []
        for n, item in enumerate(items):
            text = _text(item)
            record = Record(item.id, _text(item), plain(_right(item)))
            record.predictions = {
                name: shown(text, spans[n]) for name, spans in by_contender.items()
            }
            record.choices = {name: plain(spans[n]) for name, spans in by_contender.items()}
            records.append(record)
        right = [record.reference for record in records]
        tables: JsonObject = {
            name: {"table": table([record.choices[name] for record in records], right)}
            for name in (TUNED, *(name for name in by_contender if name != TUNED))
        }
        facts = {"classes": tables | {"counted": "entities", "unreachable": _unreachable(items)}}
        names = given or METRICS
        reason = "given" if given else "spans"
        return Outcome(records, names, run.prove.primary or names[0], reason, AGAINST, facts)

    def right(self, item: Row) -> str:
        """Returns the entities that are in the text."""
        return shown(item["prompt"], [Span(*span) for span in item["reference"]])

    def _found(
        self, loaded: Loaded, items: Sequence[Item], budget: int = BUDGET, **how: Any
    ) -> list[tuple[Span, ...]]:
        sequences = [item.tokens[0] for item in items]
        chances = chances_of(loaded, sequences, budget=budget, **how)
        return [self._spans(*pair) for pair in zip(chances, sequences, strict=True)]

    def _spans(self, chances_WC: np.ndarray, tokens: Tokens) -> tuple[Span, ...]:
        assert self.objective.outputs is not None, "the rows were seen before"
        names = self.objective.outputs.names
        return spans_of([names[n] for n in chances_WC.argmax(-1).tolist()], tokens.columns["words"])


def chances_of(loaded: Loaded, sequences: Sequence[Tokens], **how: Any) -> list[np.ndarray]:
    """Computes the probability of each tag for each word of each sequence, [W, C]."""

    def look(seen: Seen) -> list[np.ndarray]:
        chances_TC = seen.outputs_TC.double().softmax(-1).cpu().numpy()
        sequences = [tokens for example in seen.batch.sequences for tokens in example]
        return [
            chances_TC[place_t[tokens.columns["label_T"] >= 0]]
            for tokens, place_t in zip(sequences, seen.batch.layout.places, strict=True)
        ]

    return forwards(loaded, [(tokens,) for tokens in sequences], look, **how)


def parts(
    render: Render, text: str, words: Sequence[tuple[int, int]], limit: int | None
) -> list[tuple[str, int, Tokens]]:
    """Divides a text into parts of at most ``limit`` tokens, each with the character at which it
    begins; cut at the word nearest to the middle, or at the end of a sentence if one is near there.
    """
    tokens = _read(render, text, words)
    fits = limit is None or len(tokens) <= limit
    if (fits and not tokens.lost) or len(words) < 2:
        return [(text, 0, tokens)]
    middle = len(words) // 2
    ends = [n + 1 for n, (start, end) in enumerate(words[:-1]) if text[start:end] in "。！？；.!?;"]
    near = [n for n in ends if len(words) // 4 <= n <= 3 * len(words) // 4]
    at = min(near, key=lambda n: abs(n - middle), default=middle)
    start = words[at][0]
    moved = [(begin - start, end - start) for begin, end in words[at:]]
    later = parts(render, text[start:], moved, limit)
    return [
        *parts(render, text[:start], words[:at], limit),
        *((part, start + begin, tokens) for part, begin, tokens in later),
    ]


def _read(render: Render, text: str, words: Sequence[tuple[int, int]]) -> Tokens:
    """Tokenises a text without known labels, with its words marked as the objective marks them."""
    tokens, first, places = render.marked(text, words)
    label_T = np.full(len(tokens), -1)
    label_T[first] = 0
    columns = tokens.columns | {"label_T": label_T, "words": places}
    return Tokens(tokens.ids_T, tokens.weights_T, columns, lost=tokens.lost)


def named(
    chances_WC: np.ndarray, tokens: Tokens, names: list[str], text: str, start: int
) -> list[JsonObject]:
    """Returns the entities, in their output form, of a part of a text that begins at ``start``."""
    words = tokens.columns["words"]
    said_W = chances_WC.argmax(-1)
    entities = []
    for span in spans_of([names[n] for n in said_W.tolist()], words):
        inside = [n for n, (begin, end) in enumerate(words) if span.start <= begin < span.end]
        entity = {"start": start + span.start, "end": start + span.end, "label": span.label}
        score = float(chances_WC[inside].max(-1).mean())
        entities.append({**entity, "text": text[span.start : span.end], "score": score})
    return entities


def shown(text: str, spans: Sequence[Span]) -> str:
    """Formats entities for a person."""
    return ", ".join(f"{text[span.start : span.end]} ({span.label})" for span in spans) or "–"


def plain(spans: Sequence[Span]) -> list[list[Any]]:
    """Returns spans in the form that a metric reads."""
    return [[span.start, span.end, span.label] for span in spans]


def _text(item: Item) -> str:
    assert isinstance(item.example, Tagged), f"{item.id} is held out and so keeps its example"
    return item.example.text


def _right(item: Item) -> tuple[Span, ...]:
    assert isinstance(item.example, Tagged), f"{item.id} is held out and so keeps its example"
    return item.example.spans


def _unreachable(items: Sequence[Item]) -> int:
    """Counts the entities that no tags of these tokens can express: they begin or end inside one,
    or were cut off.
    """
    lost = 0
    for item in items:
        words = item.tokens[0].columns["words"]
        lost += len({*_right(item)} - {*spans_of(tags_of(_right(item), words), words)})
    return lost


def _teller(name: str, contest: Contest) -> Progress:
    return contest.teller(say("tagged.phase", contender=say(f"prove.{name}")))
