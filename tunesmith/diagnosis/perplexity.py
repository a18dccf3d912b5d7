"""The perplexity of texts under a base: what ``tunesmith data clean`` filters by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown

LONGEST = 1024
"""Of a longer text the beginning is looked at (tokens), or what the model reads where that is
less.
"""


class Perplexities:
    """A base that is asked for the perplexity of texts; its weights are loaded then."""

    def __init__(self, model: str, progress: Shown | None = None) -> None:
        from tunesmith.models.finding.hub import folder_of

        self.run = Run.model_validate({"model": model, "data": "-", "out": "-"})
        self.folder, self.progress = folder_of(self.run.model), progress

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """Returns the perplexity of each text: e to the mean loss of its tokens behind the first;
        NaN where it has fewer than two.
        """
        from tunesmith.data.rendering.text_to_ids import PlainTokenizer
        from tunesmith.machine.device import choose
        from tunesmith.predicting.likelihoods import likelihoods
        from tunesmith.training.preparing import load_base

        objective = OBJECTIVES.make(OBJECTIVES.config("pretrain"))
        loaded = load_base(self.folder, self.run, choose(self.run.train.machine), objective)
        pieces, most = PlainTokenizer(loaded.tokenizer), min(LONGEST, loaded.limit or LONGEST)
        examples: list[tuple[Tokens, ...]] = []
        for text in texts:
            ids = [*pieces.bos, *pieces.start(text)][:most]
            weights_T = np.ones(len(ids), np.float32)
            weights_T[:1] = 0  # nothing precedes the first token
            examples.append((Tokens(np.array(ids, np.int32), weights_T),))
        known = [place for place, (one,) in enumerate(examples) if len(one.ids_T) > 1]
        told = None
        if self.progress is not None:
            shown = self.progress
            told = lambda done, total: shown(say("check.phase_base"), done, total)  # noqa: E731
        sums = likelihoods(loaded, [examples[place] for place in known], progress=told)
        found = [math.nan] * len(texts)
        for place, sums_12 in zip(known, sums, strict=True):
            loss, weight = sums_12[0]
            found[place] = float(np.exp(loss / weight))
        return found
