"""A GGUF file run by llama.cpp itself, through cyllama."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.predicting.engine import likelihood_of
from tunesmith.settings.run import Generate

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.models.calling.generate import Answer

PACKAGE = "cyllama"
SHORTEST = 1024
"""Tokens that the memory holds at first; it grows with the longest text."""


def installed() -> bool:
    """Tells whether llama.cpp can be run here."""
    return importlib.util.find_spec(PACKAGE) is not None


class LlamaCpp:
    """A model that llama.cpp runs, on as many threads as torch has."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        from cyllama.llama import llama_cpp

        llama_cpp.disable_logging()
        self.name = f"llama.cpp ({PACKAGE} {importlib.metadata.version(PACKAGE)})"
        self.tokenizer = tokenizer
        self._cpp: Any = llama_cpp

        class Model(llama_cpp.LlamaModel):
            # get_logits_ith asks the model for it, and 0.2.18 forgot to give it one.
            @property
            def n_vocab(self) -> int:
                return self.get_vocab().n_vocab

        self._model: Any = Model(str(path), verbose=False)
        self.vocabulary: Any = self._model.get_vocab()
        self._length = 0
        self._make_room(SHORTEST)

    def _make_room(self, length: int) -> None:
        """Makes a memory of at least ``length`` tokens."""
        import torch

        if length <= self._length:
            return
        self._length = max(length, 2 * self._length)
        self._held: list[int] = []
        params = self._cpp.LlamaContextParams()
        params.n_ctx = params.n_batch = self._length
        params.n_threads = params.n_threads_batch = torch.get_num_threads()
        self._context: Any = self._cpp.LlamaContext(self._model, params=params, verbose=False)
        self._batch: Any = self._cpp.LlamaBatch(n_tokens=self._length, embd=0, n_seq_max=1)

    def tokens(self, text: str) -> list[int]:
        """Returns the ids of a text with its special tokens, as a server reads a filled
        template.
        """
        return list(self.vocabulary.tokenize(text, False, True))

    def ends(self, token: int) -> bool:
        """Tells whether an answer ends at this token."""
        return bool(self.vocabulary.is_eog(token))

    def logits(self, prompts: Sequence[np.ndarray], last: int) -> list[np.ndarray]:
        """Computes them one prompt at a time."""
        return [self._seen(ids, range(max(0, len(ids) - last), len(ids))) for ids in prompts]

    def write(
        self, prompts: Sequence[np.ndarray], settings: Generate, stop_ids: Sequence[int]
    ) -> list[Answer]:
        """Writes greedy answers one after the other, to a stop token of the run or of the file."""
        return [self._answer(ids, settings, stop_ids) for ids in prompts]

    def likelihoods(self, examples: Sequence[Sequence[Tokens]]) -> list[np.ndarray]:
        """Computes them one sequence at a time."""
        return [
            np.array([likelihood_of(sequence, self._seen) for sequence in some])
            for some in examples
        ]

    def outputs(self, sequences: Sequence[Tokens]) -> np.ndarray:
        """Raises AssertionError: a GGUF file of ours has no head over rows."""
        raise AssertionError("a model in GGUF writes text")

    def _run(self, ids: Sequence[int], start: int, shown: Sequence[int]) -> None:
        """Computes ``ids`` behind the ``start`` tokens that are in memory; logits are kept at the
        places ``shown``.
        """
        wanted = set(shown)
        self._batch.reset()
        for index, token in enumerate(ids):
            self._batch.add(int(token), start + index, [0], index in wanted)
        self._context.decode(self._batch)

    def _seen(self, ids: np.ndarray, shown: Sequence[int]) -> np.ndarray:
        self._make_room(len(ids))
        start = self._kept(ids.tolist(), min(shown))
        places = [index - start for index in shown]
        self._run(ids[start:].tolist(), start, places)
        rows = [self._context.get_logits_ith(index) for index in places]
        return np.array(rows, dtype=np.float32)

    def _kept(self, ids: list[int], most: int) -> int:
        """Forgets what is in memory but for the beginning that ``ids`` have in common with it, at
        most ``most`` tokens; returns its length. Options after one prompt share it.
        """
        same = 0
        # Not beyond ``most``: llama.cpp keeps keys and values, and no logits.
        while same < min(most, len(self._held)) and ids[same] == self._held[same]:
            same += 1
        self._context.memory_seq_rm(0, same, -1)
        self._held = ids
        return same

    def _answer(self, ids: np.ndarray, settings: Generate, stop_ids: Sequence[int]) -> Answer:
        from tunesmith.models.calling.generate import finished

        self._make_room(len(ids) + settings.max_new_tokens)
        self._context.kv_cache_clear()
        self._held = []
        sampler = self._cpp.LlamaSampler()
        sampler.add_greedy()
        new: list[int] = []
        self._run(ids.tolist(), 0, [len(ids) - 1])
        while len(new) < settings.max_new_tokens:
            token = sampler.sample(self._context, -1)
            new.append(token)
            if token in stop_ids or len(new) == settings.max_new_tokens:
                break
            self._run([token], len(ids) + len(new) - 1, [0])
        return finished(self.tokenizer, new, settings, stop_ids)
