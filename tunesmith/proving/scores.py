"""prove for reward models: how often the better answer of a held-out pair scores higher, beside
taking the longer one.

The base is a contender only where it was a reward model already; a head drawn at random measures
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.data.prepare import Item
from tunesmith.examples import Preference, question_of
from tunesmith.predicting.classes import outputs_of
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

METRIC, AGAINST = "pair_accuracy", "length"


def prove_scores(folder: RunFolder, *, items: int, progress: Progress | None = None) -> Proof:
    """Scores the pairs of the proof rows, writes items.jsonl and proof.json, and gives the verdict
    against the longer answer.
    """
    from tunesmith.models.saved import load_run

    run = folder.resolved().run
    refuse_others(run, [METRIC])
    tuned = load_run(folder)
    prepared = prepared_again(folder, run, tuned.tokenizer, progress)
    chosen = evenly(prepared.proof, items)
    tell = progress or (lambda phase, done, of: None)
    pairs = {AGAINST: [_lengths(item) for item in chosen]}
    if tuned.facts["outputs"]["kept"]:
        with base_of(folder, run, tuned) as base:
            pairs["base"] = _scores(base, chosen, tell)
    pairs[TUNED] = _scores(tuned, chosen, tell)
    records = [
        _record(item, {name: found[n] for name, found in pairs.items()})
        for n, item in enumerate(chosen)
    ]
    told = {"primary_reason": "scored", "fingerprint": prepared.fingerprint}
    return conclude(folder, run, records, [METRIC], METRIC, against=AGAINST, **told)


def _scores(
    loaded: Loaded, items: Sequence[Item], tell: Callable[[str, int, int], None]
) -> list[list[float]]:
    """For each pair the score of its chosen answer and of its rejected one."""
    sequences = [tokens for item in items for tokens in item.tokens]
    found = outputs_of(
        loaded, sequences, progress=lambda done, of: tell(say("reward.phase"), done, of)
    )
    assert found is not None, "nothing stops this"
    return found.reshape(-1, 2).tolist()


def _lengths(item: Item) -> list[float]:
    """Characters of the two answers."""
    assert isinstance(item.example, Preference)
    return [
        float(sum(len(turn.content) for turn in side))
        for side in (item.example.chosen, item.example.rejected)
    ]


def _record(item: Item, pairs: dict[str, list[float]]) -> dict[str, Any]:
    example = item.example
    assert isinstance(example, Preference)
    record: dict[str, Any] = {
        "id": item.id,
        "prompt": question_of(example.prompt),
        "reference": example.sides[0].answer,
        "answers": [side.answer for side in example.sides],
        "pairs": pairs,
        **{
            key: {}
            for key in (
                "predictions",
                "thoughts",
                "choices",
                "nll",
                "options",
                "stopped",
                "rewards",
            )
        },
    }
    record["scores"] = item_scores(record, {METRIC: metric(METRIC)})
    return record
