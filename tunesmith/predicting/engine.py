"""A model as some library runs it: what a proof asks of ours, and of one that was exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.predicting.classes import outputs_of
from tunesmith.predicting.likelihoods import likelihoods
from tunesmith.settings.run import Generate

if TYPE_CHECKING:
    from tunesmith.models.calling.generate import Answer
    from tunesmith.models.loading.load import Loaded


def likelihood_of(
    tokens: Tokens, logits: Callable[[np.ndarray, Sequence[int]], np.ndarray]
) -> list[float]:
    """Computes the weighted negative log-likelihood of the scored tokens (nats) and their weight,
    from what ``logits(ids, places)`` gives.
    """
    from scipy.special import log_softmax

    scored = np.flatnonzero(tokens.weights_T[1:])
    if not len(scored):
        return [0.0, 0.0]
    rows = logits(tokens.ids_T, scored.tolist()).astype(np.float64)
    weights = tokens.weights_T[scored + 1].astype(np.float64)
    logprobs = log_softmax(rows, -1)[np.arange(len(scored)), tokens.ids_T[scored + 1]]
    return [float(-(weights * logprobs).sum()), float(weights.sum())]


class Engine(Protocol):
    """What can be asked of a model, whatever runs it. One that writes no text is asked for its
    outputs alone.
    """

    name: str
    """The library and its version."""

    def logits(self, prompts: Sequence[np.ndarray], last: int) -> list[np.ndarray]:
        """Computes logits ``[at most last, V]`` in fp32 at the last positions of each prompt; for a
        head over rows ``[1, C]``; for vectors those of the last tokens.
        """
        ...

    def write(
        self, prompts: Sequence[np.ndarray], settings: Generate, stop_ids: Sequence[int]
    ) -> list[Answer]:
        """Writes a greedy answer to each prompt."""
        ...

    def likelihoods(self, examples: Sequence[Sequence[Tokens]]) -> list[np.ndarray]:
        """Computes for each example ``[sequences, 2]``: weighted negative log-likelihood of the
        scored tokens (nats), and their weight.
        """
        ...

    def outputs(self, sequences: Sequence[Tokens]) -> np.ndarray:
        """Computes the outputs ``[n, C]`` of a head over rows."""
        ...


class TorchEngine:
    """A model that torch runs."""

    def __init__(self, loaded: Loaded) -> None:
        import transformers

        self.name = f"transformers {transformers.__version__}"
        self.loaded = loaded

    def logits(self, prompts: Sequence[np.ndarray], last: int) -> list[np.ndarray]:
        """Computes them one prompt at a time: no padding that could differ."""
        import torch

        from tunesmith.models.structure.kinds import head_of

        model, by_prompt = self.loaded.model, []
        writes = head_of(model) == "language"
        two_sides = writes and model.config.is_encoder_decoder
        with torch.no_grad():
            for prompt in prompts:
                ids = torch.as_tensor(prompt, dtype=torch.long)[None]
                # Any tokens show what a decoder does with what its encoder read.
                more = {"use_cache": False} if writes else {}
                more |= {"decoder_input_ids": ids[:, :last]} if two_sides else {}
                output = model(input_ids=ids, **more)
                rows = output.logits if "logits" in output else output.last_hidden_state
                # A row for each token, or one for the text.
                rows = rows[0, -last:] if rows.dim() == 3 else rows
                # Copied, for a view keeps all positions: 330 MiB for the starter's 24 probes.
                by_prompt.append(np.array(rows.float().numpy()))
        return by_prompt

    def write(
        self, prompts: Sequence[np.ndarray], settings: Generate, stop_ids: Sequence[int]
    ) -> list[Answer]:
        """Writes as ``tunesmith predict`` does."""
        from tunesmith.models.calling.generate import generate

        loaded = self.loaded
        return generate(loaded.model, loaded.tokenizer, prompts, settings, stop_ids=stop_ids)

    def likelihoods(self, examples: Sequence[Sequence[Tokens]]) -> list[np.ndarray]:
        """Computes them in batches."""
        return likelihoods(self.loaded, examples)

    def outputs(self, sequences: Sequence[Tokens]) -> np.ndarray:
        """Computes them in batches."""
        return outputs_of(self.loaded, sequences)
