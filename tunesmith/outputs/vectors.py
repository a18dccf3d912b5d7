"""Vectors: a text as numbers, proved by finding each text's partner among all held-out ones, or by
ranking graded pairs; tuned, base and TF-IDF.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.prepare import Item
from tunesmith.examples import TextPair
from tunesmith.models.calling.forwards import forwards
from tunesmith.models.loading.load import Loaded
from tunesmith.outputs import COLUMN, OUTPUTS, Output, Progress
from tunesmith.plain import JsonObject
from tunesmith.proving import rivals
from tunesmith.proving.contest import Contest, Outcome
from tunesmith.proving.judge import TUNED
from tunesmith.proving.preferences import refuse_others
from tunesmith.proving.record import Record
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.models.calling.views import Seen
    from tunesmith.predicting.predictor import Predictor

FOR_PARTNERS, FOR_GRADES = ("recall_at_1", "recall_at_10", "mrr"), ("spearman", "pearson")
CHEAP = "tfidf_cosine"


@OUTPUTS.register
class Vectors(Output):
    """Where a text lies among others."""

    unused = ("template", "system", "reasoning", "train_on")
    endpoints = frozenset({"embeddings"})
    lacks = "embed.no_text"

    def ask(self, predictor: Predictor, row: Any) -> dict[str, Tokens]:
        """Returns the texts of one row by the name of their vector; a text longer than the model
        reads is cut, as is usual there.
        """
        example, _ = predictor.rows.example(row)
        assert isinstance(example, TextPair), (
            "rows of a model of embeddings are read by its own readers"
        )
        texts = [text for text in (example.text, example.second) if text.strip()]
        if not texts:
            raise predictor.rows.lacking(row)
        fitting = predictor.fitting
        return {
            name: fitting.counted(predictor.render.sequence(text, limit=fitting.longest))
            for name, text in zip((COLUMN, f"{COLUMN}_second"), texts, strict=False)
        }

    def answer(
        self, predictor: Predictor, asked: list[Any], progress: Progress | None
    ) -> list[JsonObject]:
        """Returns for each row the vector of its text; for a pair both vectors and their cosine."""
        sequences = [tokens for texts in asked for tokens in texts.values()]
        vectors = iter(vectors_of(predictor.loaded, self.objective, sequences, progress))
        answers = []
        for texts in asked:
            named = {name: next(vectors) for name in texts}
            answer: JsonObject = {name: vector_D.tolist() for name, vector_D in named.items()}
            if len(named) == 2:
                first_D, second_D = named.values()
                lengths = float(np.linalg.norm(first_D) * np.linalg.norm(second_D))
                answer[f"{COLUMN}_cosine"] = float(first_D @ second_D) / lengths
            answers.append(answer)
        return answers

    def prove(self, contest: Contest) -> Outcome:
        """Ranks or compares the pairs: TF-IDF, base and tuned."""
        run, objective = contest.run, contest.objective
        graded = objective.loss_name == "cosent"  # type: ignore[attr-defined]
        usual = FOR_GRADES if graded else FOR_PARTNERS
        names = list(dict.fromkeys([*refuse_others(run, usual), *usual]))
        pairs = _Pairs(contest.items, graded)
        pairs.add(CHEAP, pairs.cheap())
        contest.parts(2)
        with contest.base() as base:
            pairs.add("base", pairs.cosines(base, objective, _teller("base", contest)))
        pairs.add(TUNED, pairs.cosines(contest.tuned, objective, _teller(TUNED, contest)))
        reason = "graded" if graded else "partners"
        if run.prove.primary or run.prove.metrics:
            reason = "given"
        return Outcome(pairs.records(), names, run.prove.primary or names[0], reason)


def _teller(name: str, contest: Contest) -> Progress:
    return contest.teller(say("embed.phase", contender=say(f"prove.{name}")))


def vectors_of(
    loaded: Loaded, objective: Any, sequences: Sequence[Tokens], progress: Progress | None = None
) -> np.ndarray:
    """Computes a vector for each sequence, [n, D], pooled as the objective says."""

    def look(seen: Seen) -> np.ndarray:
        return objective.pooled(seen).cpu().numpy()

    examples = [(tokens,) for tokens in sequences]
    return np.stack(forwards(loaded, examples, look, progress=progress))


class _Pairs:
    """The held-out pairs, and for each contender the rank of each text's partner, or the cosine of
    each graded pair.
    """

    def __init__(self, items: Sequence[Item], graded: bool) -> None:
        self.items, self.graded = items, graded
        self.choices: dict[str, list[float]] = {}
        self.sequences = [tokens for item in items for tokens in item.tokens]

    @property
    def examples(self) -> list[TextPair]:
        """The pairs."""
        return [item.example for item in self.items if isinstance(item.example, TextPair)]

    def facts(self) -> Any:
        """Returns the facts as the loss sees them."""
        import torch

        from tunesmith.objectives._contrast import Facts

        names = ("role", "similarity", "key")
        values = [[tokens.columns[name] for name in names] for tokens in self.sequences]
        return Facts(torch.tensor(values, dtype=torch.float64))

    def cheap(self) -> np.ndarray:
        """Computes cosines [P, C] of TF-IDF vectors."""
        pairs = self.examples
        candidates = [pair.second for pair in pairs] + [
            text for pair in pairs for text in pair.negatives
        ]
        return rivals.nearness([pair.text for pair in pairs], candidates)

    def cosines(
        self, loaded: Loaded, objective: object, progress: Callable[[int, int], None]
    ) -> np.ndarray:
        """Computes cosines [P, C] of a model's vectors."""
        import torch

        from tunesmith.objectives._contrast import cosines

        vectors_SD = vectors_of(loaded, objective, self.sequences, progress)
        return cosines(torch.from_numpy(vectors_SD), self.facts()).numpy()

    def add(self, name: str, cosines_PC: np.ndarray) -> None:
        """Takes up a contender."""
        import torch

        from tunesmith.objectives._contrast import no_negatives, ranks

        if self.graded:
            self.choices[name] = cosines_PC.diagonal().tolist()
        else:
            self.choices[name] = ranks(
                torch.from_numpy(cosines_PC), no_negatives(self.facts())
            ).tolist()

    def records(self) -> list[Record]:
        """Returns the lines of items.jsonl."""
        records = []
        for index, (item, pair) in enumerate(zip(self.items, self.examples, strict=True)):
            prompt = f"{pair.text}\n{pair.second}" if self.graded else pair.text
            record = Record(item.id, prompt, pair.similarity if self.graded else pair.second)
            record.choices = {name: values[index] for name, values in self.choices.items()}
            records.append(record)
        return records
