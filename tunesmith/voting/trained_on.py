"""The prompts that a contender was trained on: who has seen the question may know the answer by
heart, and a vote on it says little of any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.data.texts.duplicates import Clusters, fold, join_near, question, sketch_of
from tunesmith.errors import TunesmithError
from tunesmith.events.stream import Events
from tunesmith.models.finding.parent import parent_of
from tunesmith.proving.contest import prepared_again
from tunesmith.proving.file_items import seen_examples
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

Question = list[str]
"""The turns before an answer, without the system's."""


def trained_on(asked: Sequence[Question], contender: str, events: Events) -> set[int]:
    """Returns which of the questions are, word for word or nearly, among the rows that a contender
    was trained on or chosen by; those of the runs that it goes on from count too. A run whose rows
    are gone is told, and so is what was not looked up.
    """
    rows: set[int] = set()
    path = contender
    while parent := parent_of(path):
        try:
            seen = list(_questions(parent.folder, events))
        except TunesmithError as error:
            fields = {"run": path, "reason": error.problems[0].text if error.problems else error}
            events.tell(say("arena.trained_unknown", **fields))
        else:
            rows |= _among(asked, seen)
        path = parent.folder.resolved().run.model.path
    return rows


def _questions(folder: RunFolder, events: Events) -> Iterator[Question]:
    """Yields the question of each row that was trained or watched; proof rows are none of them."""
    from tunesmith.models.loading.tokenizer import load_tokenizer

    run = folder.resolved().run
    prepared = prepared_again(folder, run, load_tokenizer(folder.model), events)
    for _, _, example in seen_examples(run, prepared):
        asked = question(example)
        if asked:
            yield asked


def _among(asked: Sequence[Question], seen: Sequence[Question]) -> set[int]:
    """Returns the places of ``asked`` that are copies or near copies of one that was seen."""
    together = [*seen, *asked]
    clusters = Clusters(len(together))
    clusters.join_equal([fold(parts) for parts in together])
    join_near(clusters, [sketch_of("\n".join(parts)) for parts in together])
    # A cluster is named by its first row.
    roots = clusters.roots()[len(seen) :]
    return {index for index, root in enumerate(roots) if root < len(seen)}
