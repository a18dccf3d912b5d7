"""Answers of a loaded model, for whoever judges them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.settings.run import Generate

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded


def written(
    loaded: Loaded,
    prompts: Sequence[np.ndarray],
    settings: Generate,
    stop_ids: Sequence[int],
    progress: Callable[[int, int], None],
) -> list[tuple[str, bool]]:
    """Writes each answer, and tells whether it ended by itself."""
    from tunesmith.models.calling.generate import generate

    answers = generate(
        loaded.model,
        loaded.tokenizer,
        prompts,
        settings,
        stop_ids=stop_ids,
        share=loaded.layout == "forest",
        progress=progress,
    )
    return [(answer.text, answer.stopped) for answer in answers]
