"""The rows that a finished run learned from, read anew for another run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.events.stream import Events
from tunesmith.proving.judge import WINDOW

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.data.rows import Progress
    from tunesmith.settings.run import Run
    from tunesmith.storage.run_folder import RunFolder


def rows_of_run(
    folder: RunFolder, reads: Run, tokenizer: Any, progress: Progress | None
) -> Prepared:
    """Prepares the training rows of the finished run in ``folder`` for the objective of ``reads``,
    cut or left out as it does with long ones.

    Raises DataError where it is no longer known which these are.
    """
    from tunesmith.data.prepare_once import prepare_once
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.proving.contest import prepared_again

    old = folder.resolved().run
    before = prepared_again(folder, old, load_tokenizer(folder.model), Events())
    trained = {_row(item) for item in before.train}
    # A draw among rows that are read otherwise, of which more are too long, holds out others.
    lengths = {"max_length": reads.data.max_length, "too_long": reads.data.too_long}
    data = old.data.model_copy(update={"held_out": 0, **lengths})
    train = old.train.model_copy(update={"rows": None})
    run = reads.model_copy(update={"data": data, "train": train})
    prepared = prepare_once(run, tokenizer, seed=before.seed, progress=progress)
    prepared.train = [item for item in prepared.train if _row(item) in trained]
    return prepared


def _row(item: Item) -> str:
    """Returns file and row, without the number of a repetition or of a window."""
    return WINDOW.sub("", item.id.partition("#")[0])
