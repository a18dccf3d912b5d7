"""The perplexity of texts under a base: what ``tunesmith data clean`` filters by. What is known is
kept beside the file that is written, so that an interrupted call goes on from there.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.events.stream import notice
from tunesmith.plain import JsonObject
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.training.keeping.state import base_fingerprint
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.text_to_ids import PlainTokenizer
    from tunesmith.display.progress import Shown
    from tunesmith.models.loading.load import Loaded

LONGEST = 1024
"""Of a longer text the beginning is looked at (tokens), or what the model reads where that is
less.
"""
BLOCK = 16
"""Texts that are scored together, and kept together: the sums of a batch depend on what is in it,
and an interrupted call shall give the same as one that was not. Of the starter on one core 16 pages
take two minutes, of which no more is lost.
"""


class Perplexities:
    """A base that is asked for the perplexity of texts; its weights are loaded then."""

    def __init__(self, model: str, out: Path, progress: Shown | None = None) -> None:
        from tunesmith.models.finding.hub import folder_of

        self.run = Run.model_validate({"model": model, "data": "-", "out": "-"})
        self.folder, self.progress = folder_of(self.run.model), progress
        target = Path(os.path.realpath(out))
        self.path = target.with_name(f"{target.name}.perplexities")

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """Returns the perplexity of each text: e to the mean loss of its tokens behind the first;
        NaN where it has fewer than two.
        """
        blocks = [texts[first : first + BLOCK] for first in range(0, len(texts), BLOCK)]
        kept = self._kept()
        keys = [sha256(json.dumps(block).encode()).hexdigest() for block in blocks]
        done = sum(len(block) for block, key in zip(blocks, keys, strict=True) if key in kept)
        if done:
            notice(say("transforms.perplexity_kept", done=done, rows=len(texts), path=self.path))
        self._tell(done, len(texts))
        score: _Scorer | None = None
        for block, key in zip(blocks, keys, strict=True):
            if key not in kept:
                score = score or _Scorer(self.run, self.folder)
                kept[key] = score(block)
                self._keep({"texts": key, "perplexities": kept[key]})
                done += len(block)
                self._tell(done, len(texts))
        return [value for key in keys for value in kept[key]]

    def clear(self) -> None:
        """Removes what is kept, once the new file stands."""
        self.path.unlink(missing_ok=True)

    def _tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(say("check.phase_base"), done, total)

    def _kept(self) -> dict[str, list[float]]:
        """Reads the values of an interrupted call by the texts of their block. A file of another
        base begins anew, and so does one that somebody changed: all in it can be made again.
        """
        base = {"base": base_fingerprint(self.folder), "longest": LONGEST, "block": BLOCK}
        kept: dict[str, list[float]] = {}
        end = 0
        try:
            for number, line in enumerate(self.path.read_bytes().splitlines(keepends=True)):
                entry = json.loads(line)
                if not line.endswith(b"\n") or (not number and entry != base):
                    break  # a process was killed while it wrote, or another base was asked
                if number:
                    kept[entry["texts"]] = list(map(float, entry["perplexities"]))
                end += len(line)
        except (FileNotFoundError, ValueError, TypeError, LookupError):
            pass
        if end:
            os.truncate(self.path, end)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"")
            self._keep(base)
        return kept

    def _keep(self, told: JsonObject) -> None:
        with open(self.path, "ab") as file:
            file.write(json.dumps(told).encode() + b"\n")


class _Scorer:
    """The base with its weights."""

    def __init__(self, run: Run, folder: Path) -> None:
        from tunesmith.data.rendering.text_to_ids import PlainTokenizer
        from tunesmith.machine.device import choose
        from tunesmith.training.preparing import load_base

        objective = OBJECTIVES.make(OBJECTIVES.config("pretrain"))
        self.loaded: Loaded = load_base(folder, run, choose(run.train.machine), objective)
        self.pieces: PlainTokenizer = PlainTokenizer(self.loaded.tokenizer)
        self.most = min(LONGEST, self.loaded.limit or LONGEST)

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """Computes the perplexity of each text of a block."""
        from tunesmith.predicting.likelihoods import likelihoods

        examples: list[tuple[Tokens, ...]] = []
        for text in texts:
            ids = [*self.pieces.bos, *self.pieces.start(text)][: self.most]
            weights_T = np.ones(len(ids), np.float32)
            weights_T[:1] = 0  # nothing precedes the first token
            examples.append((Tokens(np.array(ids, np.int32), weights_T),))
        known = [index for index, (one,) in enumerate(examples) if len(one.ids_T) > 1]
        sums = likelihoods(self.loaded, [examples[index] for index in known])
        perplexities = [math.nan] * len(texts)
        for index, sums_12 in zip(known, sums, strict=True):
            loss, weight = sums_12[0]
            perplexities[index] = float(np.exp(loss / weight))
        return perplexities
