"""Classes: one for a row, several, or a number, by a classification head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.prepare import Item
from tunesmith.examples import Example, Labelled
from tunesmith.metrics import Metric
from tunesmith.models.loading.load import Loaded
from tunesmith.outputs import COLUMN, OUTPUTS, Output, Progress, Watched
from tunesmith.plain import JsonObject
from tunesmith.predicting.classes import (
    FEWEST,
    Meaning,
    best_cut,
    best_threshold,
    outputs_of,
    temperature,
)
from tunesmith.proving.classes import ContenderClasses, metrics_of, training_rows
from tunesmith.proving.contest import Contest, Outcome
from tunesmith.proving.parity_rows import named_classes
from tunesmith.proving.speed import reading_speed

if TYPE_CHECKING:
    from tunesmith.data.prepare import Prepared
    from tunesmith.predicting.engine import Engine
    from tunesmith.predicting.fitting import Fitting
    from tunesmith.predicting.predictor import Predictor
    from tunesmith.settings.run import Run

AGAINST = "tfidf"
"""The rival that tuned must beat: it costs a second, and needs no model."""


@OUTPUTS.register
class ClassesOfRows(Output):
    """What a row is, with the probability of each class."""

    takes = frozenset({"questions", "prompt", "others"})
    names_rows = True
    fits = True
    best_by = frozenset({"choice", "options", "number"})
    not_best_by, by_heart = "classes.best_by", True
    unused = ("template", "system", "reasoning", "train_on")
    endpoints = frozenset({"classify"})
    lacks = "classes.no_row_text"

    def ask(self, predictor: Predictor, row: Any) -> Tokens:
        """Returns the classifier's input for one row."""
        example = predictor.rows.asks(row)
        assert isinstance(example, Labelled), "a classifier's rows are read by its own readers"
        fitting = predictor.fitting
        tokens = predictor.render.sequence(example.text, example.second, limit=fitting.limit)
        return fitting.counted(tokens)

    def answer(
        self, predictor: Predictor, asked: list[Any], progress: Progress | None
    ) -> list[JsonObject]:
        """Returns for each row its class (classes, number); where there are classes also their
        probabilities, as the model gives them, and, where the watched rows allowed calibration, the
        calibrated probability of the class.
        """
        from tunesmith.models.structure.heads import head_in

        facts = predictor.loaded.facts
        fitted = facts.get("fitted", {})
        meaning = Meaning.of(head_in(facts)["outputs"], fitted)
        outputs = outputs_of(predictor.loaded, asked, progress=progress)
        choices = meaning.choices(outputs)
        names = meaning.outputs.names
        if meaning.outputs.problem == "regression":
            return [{COLUMN: choice} for choice in choices]
        rows = [
            dict(zip(names, row.tolist(), strict=True)) for row in meaning.probabilities(outputs)
        ]
        answers: list[JsonObject] = [
            {COLUMN: choice, "probabilities": row}
            for choice, row in zip(choices, rows, strict=True)
        ]
        if "temperature" in fitted and meaning.outputs.problem == "single_label_classification":
            calibrated = meaning.probabilities(outputs, calibrated=True)
            answers = [
                answer | {"confidence": float(row.max())}
                for answer, row in zip(answers, calibrated, strict=True)
            ]
        return answers

    def question(self, text: str) -> Labelled:
        """Makes a text without a label."""
        return Labelled(text)

    def reply(
        self, model: Any, asked: Sequence[Example], fitting: Fitting, stopped: Callable[[], bool]
    ) -> list[str]:
        """Returns the class of each text with its probability; its number where a number is
        learned.
        """
        assert self.objective.outputs is not None, "the rows were seen before the training began"
        meaning = Meaning(self.objective.outputs)
        render = fitting.render
        texts = [example for example in asked if isinstance(example, Labelled)]
        loaded = Loaded(model, render.tokenizer, "padded")
        sequences = [
            render.sequence(example.text, example.second, limit=loaded.limit) for example in texts
        ]
        outputs = outputs_of(loaded, sequences, stopped=stopped)
        highest = meaning.probabilities(outputs).max(-1)
        if meaning.outputs.problem == "regression":
            return [f"{value:.3g}" for value in highest]
        shown = [
            ", ".join(example) if isinstance(example, list) else str(example)
            for example in meaning.choices(outputs)
        ]
        return [f"{name or '–'} ({share:.0%})" for name, share in zip(shown, highest, strict=True)]

    def score(self, metric: Metric, watched: Watched) -> float:
        """Computes the metric over the classes that are given."""
        assert self.objective.outputs is not None, "the rows were seen before the training began"
        meaning = Meaning(self.objective.outputs)
        sequences = [item.tokens[0] for item in watched.items]
        options: Any = {"budget": watched.budget, "stopped": watched.stopped}
        predictions = meaning.given(metric, outputs_of(watched.model, sequences, **options))
        return metric.over(predictions, [meaning.reference(tokens) for tokens in sequences])

    def fit(self, loaded: Loaded, items: Sequence[Item]) -> JsonObject:
        """Fits the temperature, and the thresholds where they are wanted, to the watched rows;
        nothing where these are too few.
        """
        outputs, wanted = self.objective.outputs, self.objective.threshold
        assert outputs is not None, "the rows were seen before the training began"
        if len(items) < FEWEST or outputs.problem == "regression":
            return {}
        sequences = [item.tokens[0] for item in items]
        outputs_N = outputs_of(loaded, sequences)
        labels = np.array([tokens.columns["label"] for tokens in sequences])
        fitted: JsonObject = {"rows": len(items), "temperature": temperature(outputs_N, labels)}
        chances = Meaning(outputs).probabilities(outputs_N)
        if outputs.problem == "multi_label_classification" and wanted != "half":
            fitted["thresholds"] = [
                best_threshold(chances[:, c], labels[:, c]) for c in range(len(outputs.names))
            ]
        elif wanted == "fitted":
            cut = best_cut(chances[:, 1], labels)
            fitted["thresholds"] = [round(1 - cut, 6), cut]
        return fitted

    def measure(
        self,
        run: Run,
        prepared: Prepared,
        items: list[Item],
        engines: Mapping[str, Engine],
        fitted: Mapping[str, object],
    ) -> Outcome | None:
        """Scores the classes that are named."""
        return named_classes(run, prepared, items, engines, fitted)

    def prove(self, contest: Contest) -> Outcome:
        """Compares tuned with the commonest answer and with TF-IDF and a linear model.

        The base is a contender only where its checkpoint was trained for these very classes; a head
        drawn at random measures nothing. Under a hard prompt it is scored as the masked language
        model that it was.
        """
        from tunesmith.models.saved import load_run

        run, tuned, outputs = contest.run, contest.tuned, self.objective.outputs
        assert outputs is not None, "the rows were read again"
        fitted = tuned.facts.get("fitted", {})
        names, primary, reason = metrics_of(run, outputs)
        contenders = ContenderClasses(contest.items, Meaning.of(outputs, fitted))
        contenders.cheap(*training_rows(run, contest.prepared), seed=run.train.seed)
        kept = bool(tuned.facts["outputs"]["kept"])
        asked = contest.prompt is not None
        single = outputs.problem == "single_label_classification"
        embedded = run.prove.embeddings and single
        contest.parts(1 + kept + embedded + asked + len(contest.others))
        if kept:
            # Loaded anew: an adapter that is switched off may leave its trained head in place.
            contenders.model("base", load_run(contest.folder, tuned=False), contest)
        if embedded:
            contenders.embedded(load_run(contest.folder, tuned=False), contest)
        facts: JsonObject = {}
        if contest.prompt is not None:
            cloze = contenders.cloze(contest.prompt, contest)
            facts = {"prompt": contest.prompt, "cloze": cloze}
        for other in contest.others:
            contenders.other(other, contest)
        contenders.model("tuned", tuned, contest)
        facts |= {
            "seconds": contenders.seconds,
            "options": list(outputs.names),
            "classes": contenders.classes(fitted),
        }
        rows = [item.tokens[0] for item in contest.items]
        speed = {"tuned": reading_speed(tuned, rows, partial(outputs_of, tuned))}
        return Outcome(contenders.records(), names, primary, reason, AGAINST, facts, speed)
