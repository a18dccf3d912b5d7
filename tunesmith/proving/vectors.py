"""prove for embeddings: finding each text's partner among all held-out ones, or ranking graded
pairs; tuned, base and TF-IDF.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.prepare import Item
from tunesmith.examples import TextPair
from tunesmith.predicting.vectors import vectors_of
from tunesmith.proving import rivals
from tunesmith.proving.answers import Progress, base_of, prepared_again
from tunesmith.proving.judge import TUNED, item_scores, metric
from tunesmith.proving.preferences import refuse_others
from tunesmith.proving.proof import Proof
from tunesmith.proving.task import evenly
from tunesmith.proving.write import conclude
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded

FOR_PARTNERS, FOR_GRADES = ("recall_at_1", "recall_at_10", "mrr"), ("spearman", "pearson")
CHEAP = "tfidf_cosine"


def prove_vectors(folder: RunFolder, *, items: int, progress: Progress | None = None) -> Proof:
    """Ranks or compares the pairs of the proof rows, writes items.jsonl and proof.json, and judges
    tuned against the base.
    """
    from tunesmith.models.saved import load_run

    run = folder.resolved().run
    tuned = load_run(folder)
    prepared = prepared_again(folder, run, tuned.tokenizer, progress)
    graded = prepared.objective.loss_name == "cosent"
    usual = FOR_GRADES if graded else FOR_PARTNERS
    names = list(dict.fromkeys([*refuse_others(run, usual), *usual]))
    primary = run.prove.primary or names[0]
    chosen = evenly(prepared.proof, items)
    tell = progress or (lambda phase, done, of: None)
    told = _Pairs(chosen, graded)
    told.add(CHEAP, told.cheap())
    with base_of(folder, run, tuned) as base:
        told.add("base", told.cosines(base, prepared.objective, _teller("base", tell)))
    told.add(TUNED, told.cosines(tuned, prepared.objective, _teller(TUNED, tell)))
    reason = (
        "given" if run.prove.primary or run.prove.metrics else "graded" if graded else "partners"
    )
    return conclude(
        folder,
        run,
        told.records(names),
        names,
        primary,
        primary_reason=reason,
        fingerprint=prepared.fingerprint,
    )


def _teller(name: str, tell: Progress) -> Callable[[int, int], None]:
    phase = say("embed.phase", contender=say(f"prove.{name}"))
    return lambda done, of: tell(phase, done, of)


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
        """As the loss sees them."""
        import torch

        from tunesmith.objectives._contrast import Facts

        names = ("role", "similarity", "key")
        values = [[tokens.columns[name] for name in names] for tokens in self.sequences]
        return Facts(torch.tensor(values, dtype=torch.float64))

    def cheap(self) -> np.ndarray:
        """[P, C] cosines of TF-IDF vectors."""
        pairs = self.examples
        candidates = [pair.second for pair in pairs] + [
            text for pair in pairs for text in pair.negatives
        ]
        return rivals.nearness([pair.text for pair in pairs], candidates)

    def cosines(
        self, loaded: Loaded, objective: Any, progress: Callable[[int, int], None]
    ) -> np.ndarray:
        """[P, C] cosines of a model's vectors."""
        import torch

        from tunesmith.objectives._contrast import cosines

        vectors_SD = vectors_of(loaded, objective, self.sequences, progress=progress)
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

    def records(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The lines of items.jsonl."""
        metrics = {name: metric(name) for name in names}
        found = []
        for index, (item, pair) in enumerate(zip(self.items, self.examples, strict=True)):
            record: dict[str, Any] = {
                "id": item.id,
                "prompt": pair.text if not self.graded else f"{pair.text}\n{pair.second}",
                "reference": pair.similarity if self.graded else pair.second,
                "choices": {name: values[index] for name, values in self.choices.items()},
                **{
                    key: {}
                    for key in (
                        "predictions",
                        "thoughts",
                        "nll",
                        "options",
                        "stopped",
                        "pairs",
                        "rewards",
                    )
                },
            }
            record["scores"] = item_scores(record, metrics)
            found.append(record)
        return found
