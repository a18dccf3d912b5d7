"""The contenders of a proof of classes: models beside the commonest answer and TF-IDF with a linear
model, on the same held-out rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Labelled, Outputs
from tunesmith.metrics import METRICS, names_of
from tunesmith.plain import JsonObject
from tunesmith.predicting.classes import Choice, Meaning, outputs_of
from tunesmith.proving import class_rivals
from tunesmith.proving.cloze import Reader, read_cloze, scores
from tunesmith.proving.contest import Contest
from tunesmith.proving.embedded import embedded
from tunesmith.proving.interrupted import digest_of
from tunesmith.proving.judge import metric
from tunesmith.proving.others import Other, OtherWriter
from tunesmith.proving.record import Record, called
from tunesmith.proving.task import training_examples
from tunesmith.settings.run import Run
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.models.loading.load import Loaded

FOR_CLASSES = ("accuracy", "macro_f1", "roc_auc", "calibration_error")
FOR_NUMBERS = ("mean_absolute_error", "pearson")


def metrics_of(run: Run, outputs: Outputs) -> tuple[list[str], str, str]:
    """Returns the metrics, the one that decides, and the key of the reason; raises SpecError for
    metrics that these labels do not allow.
    """
    usual = FOR_NUMBERS if outputs.problem == "regression" else FOR_CLASSES
    if outputs.problem == "multi_label_classification":
        usual = ("macro_f1", "accuracy", "roc_auc")
    reads = ("number",) if outputs.problem == "regression" else ("choice", "options")
    able = [name for name in METRICS.names() if METRICS.get(name).reads in reads]
    wanted = list(dict.fromkeys(run.prove.named))
    wrong = [name for name in wanted if name not in able]
    if wrong:
        allowed = ", ".join(able)
        raise SpecError(
            [
                Problem("prove.metrics", say("classes.metric", metric=name, known=allowed))
                for name in wrong
            ]
        )
    primary = run.prove.primary or (wanted or list(usual))[0]
    if not METRICS.get(primary).adds_up:
        raise SpecError(Problem("prove.primary", say("classes.no_interval", metric=primary)))
    return wanted or list(usual), primary, "given" if wanted else "classes"


def text_of(example: Labelled) -> str:
    """Returns the text of a row that rivals and readers see."""
    return example.text if example.second is None else f"{example.text}\n{example.second}"


def training_rows(run: Run, prepared: Prepared) -> tuple[list[str], list[Choice]]:
    """Returns texts and labels of the training rows."""
    assert prepared.objective.outputs is not None, "the rows were read again"
    meaning = Meaning(prepared.objective.outputs)
    rows = [
        (text_of(example), meaning.reference(item.tokens[0]))
        for item, example in training_examples(run, prepared)
        if isinstance(example, Labelled)
    ]
    return [text for text, _ in rows], [label for _, label in rows]


@dataclass
class ContenderClasses:
    """The contenders' answers, by contender and item, in the form of items.jsonl."""

    items: list[Item]
    meaning: Meaning
    choices: dict[str, list[Choice]] = field(default_factory=dict)
    options: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def references(self) -> list[Choice]:
        """The right answer, by item."""
        return [self.meaning.reference(item.tokens[0]) for item in self.items]

    @property
    def texts(self) -> list[str]:
        """The judged text, by item."""
        return [text_of(item.example) for item in self.items if isinstance(item.example, Labelled)]

    def cheap(self, texts: Sequence[str], labels: Sequence[Choice], *, seed: int) -> None:
        """Runs the rivals that need no model."""
        outputs = self.meaning.outputs
        start = time.perf_counter()
        self.choices["most_frequent"] = [class_rivals.most_frequent(labels, outputs)] * len(
            self.items
        )
        self.seconds["most_frequent"] = time.perf_counter() - start
        start = time.perf_counter()
        self.choices["tfidf"], options = class_rivals.tfidf(
            texts, labels, self.texts, outputs, seed=seed
        )
        if options:
            self.options["tfidf"] = options
        self.seconds["tfidf"] = time.perf_counter() - start

    def embedded(self, base: Loaded, contest: Contest) -> None:
        """Runs logistic regression on the base's hidden states of the training rows."""
        start = time.perf_counter()
        phase = say("prove.phase_embed", contender=called("embedded"))
        trained = [
            item.tokens[0]
            for item, example in training_examples(contest.run, contest.prepared)
            if isinstance(example, Labelled)
        ]
        answers, self.options["embedded"] = embedded(
            base,
            trained,
            [str(self.meaning.reference(tokens)) for tokens in trained],
            [item.tokens[0] for item in self.items],
            seed=contest.run.train.seed,
            progress=contest.teller(phase),
        )
        self.choices["embedded"] = [*answers]
        self.seconds["embedded"] = time.perf_counter() - start

    def _meaning_of(self, name: str) -> Meaning:
        """Returns the meaning for a contender: the threshold between two classes was fitted to the
        tuned model alone.
        """
        other = name != "tuned" and self.meaning.outputs.problem == "single_label_classification"
        return replace(self.meaning, thresholds=()) if other else self.meaning

    def model(self, name: str, loaded: Loaded, contest: Contest) -> None:
        """Collects a model's answers."""
        start = time.perf_counter()
        sequences = [item.tokens[0] for item in self.items]
        outputs_N = self._outputs(name, loaded, sequences, contest.identities[name], contest)
        self._take(name, outputs_N, start, self._meaning_of(name))

    def other(self, other: Other, contest: Contest) -> None:
        """Asks a contender from outside the run, by its own tokenizer and thresholds; raises
        SpecError for one that names other classes.
        """
        where = f"against: {other.name}"
        if isinstance(other, OtherWriter):
            raise SpecError(Problem(where, say("prove.other_writes")))
        start = time.perf_counter()
        loaded = other.load(contest.prepared.render)
        outputs = self.meaning.outputs
        their_outputs = loaded.facts.get("outputs", {})
        theirs = list(their_outputs.get("names", ()))
        same = theirs == list(outputs.names) and their_outputs["problem"] == outputs.problem
        if not same or loaded.render is None:
            names_of_both = (", ".join(names) for names in (theirs, outputs.names))
            values = dict(zip(("theirs", "ours"), names_of_both, strict=True))
            raise SpecError(Problem(where, say("prove.other_classes", **values)))
        render, encode = loaded.render, contest.objective.encode
        sequences = [
            tokens
            for item in self.items
            if item.example is not None
            for tokens in encode(item.example, render)
        ]
        outputs_N = self._outputs(other.name, loaded, sequences, other.identity, contest)
        fitted = loaded.facts.get("fitted", {})
        self._take(other.name, outputs_N, start, Meaning.of(outputs, fitted))

    def _outputs(
        self,
        name: str,
        loaded: Loaded,
        sequences: Sequence[Tokens],
        weights: str,
        contest: Contest,
    ) -> np.ndarray:
        kept = contest.kept.by_pieces(
            f"classes {weights}",
            sequences,
            lambda some, tell: outputs_of(loaded, some, progress=tell).tolist(),
            lambda some: digest_of([some]),
            contest.teller(say("classes.phase", contender=called(name))),
        )
        return np.array(kept)

    def _take(self, name: str, outputs_nC: np.ndarray, start: float, meaning: Meaning) -> None:
        self.outputs[name] = outputs_nC
        self.choices[name] = meaning.choices(outputs_nC)
        if self.meaning.outputs.problem != "regression":
            self.options[name] = self.meaning.options(outputs_nC)
        self.seconds[name] = time.perf_counter() - start

    def cloze(self, prompt: str, contest: Contest) -> JsonObject:
        """Runs the base under a hard prompt, as the run's checkpoint fills masks; returns what the
        proof says of it.
        """
        from tunesmith.models.finding.hub import folder_of
        from tunesmith.models.loading.tokenizer import load_tokenizer
        from tunesmith.models.structure.layers import longest_row
        from tunesmith.models.structure.masked import load_masked

        start = time.perf_counter()
        phase = say("cloze.phase", contender=say("prove.prompted"))
        run, tuned = contest.run, contest.tuned
        examples = [item.example for item in self.items if isinstance(item.example, Labelled)]
        cloze = read_cloze(prompt, self.meaning.outputs, pairs=examples[0].second is not None)
        base = folder_of(run.model)
        trust = run.model.trust_remote_code
        device = tuned.model.get_input_embeddings().weight.device
        model = load_masked(base, device=device, trust_remote_code=trust)
        tokenizer = load_tokenizer(base, trust_remote_code=trust)
        limit = (
            longest_row(model, model.config.get_text_config().to_dict())
            or tokenizer.model_max_length
        )
        reader = Reader(cloze, tokenizer, min(limit, tokenizer.model_max_length))
        logs_nC, lost = scores(model, reader, examples, progress=contest.teller(phase))
        self._take("prompted", logs_nC, start, self._meaning_of("prompted"))
        return {"words": {label: list(words) for label, words in cloze.words.items()}, "cut": lost}

    def records(self) -> list[Record]:
        """Returns the lines of items.jsonl."""
        records = []
        rows = zip(self.items, self.texts, self.references, strict=True)
        for index, (item, text, reference) in enumerate(rows):
            record = Record(item.id, text, reference)
            record.choices = {name: given[index] for name, given in self.choices.items()}
            record.predictions = {name: shown(choice) for name, choice in record.choices.items()}
            record.options = {name: given[index] for name, given in self.options.items()}
            records.append(record)
        return records

    def classes(self, fitted: JsonObject) -> JsonObject | None:
        """Returns precision, recall and F1 of each class, the confusions, and the effect of
        calibration; None for numbers.
        """
        if self.meaning.outputs.problem == "regression":
            return None
        contenders = [
            name for name in ("tuned", "tfidf", "base", "prompted") if name in self.choices
        ]
        tables: JsonObject = {name: self._table(self.choices[name]) for name in contenders}
        if fitted and self.meaning.outputs.problem == "single_label_classification":
            error = metric("calibration_error")
            calibrated = self.meaning.options(self.outputs["tuned"], calibrated=True)
            tables["calibration"] = {
                "rows": fitted["rows"],
                "temperature": fitted["temperature"],
                "before": error.over(self.options["tuned"], self.references),
                "after": error.over(calibrated, self.references),
            }
        if fitted.get("thresholds"):
            tables["thresholds"] = dict(
                zip(self.meaning.outputs.names, fitted["thresholds"], strict=True)
            )
        return tables

    def _table(self, choices: Sequence[Choice]) -> JsonObject:
        from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

        names = list(self.meaning.outputs.names)
        right = _membership(self.references, names)
        said = _membership(choices, names)
        parts = precision_recall_fscore_support(right, said, average=None, zero_division=0)  # type: ignore[arg-type]
        rows = zip(names, *(part.tolist() for part in parts), strict=True)  # type: ignore[union-attr]
        columns = ("label", "precision", "recall", "f1", "rows")
        results: dict[str, object] = {
            "table": [dict(zip(columns, row, strict=True)) for row in rows]
        }
        if self.meaning.outputs.problem == "single_label_classification":
            matrix = confusion_matrix(
                [str(choice) for choice in self.references],
                [str(choice) for choice in choices],
                labels=names,
            )
            results["confusion"] = matrix.tolist()
        return results


def _membership(choices: Sequence[Choice], names: Sequence[str]) -> np.ndarray:
    """Returns a matrix [items, classes]: 1 where the item has the class."""
    sets = [names_of(choice) for choice in choices]
    return np.array([[name in classes for name in names] for classes in sets], int)


def shown(choice: Choice) -> str:
    """Returns a choice as text."""
    if isinstance(choice, list):
        return ", ".join(choice)
    return choice if isinstance(choice, str) else f"{choice:.4g}"
