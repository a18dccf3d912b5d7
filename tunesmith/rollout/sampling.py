"""Samples answers with the model in memory, from the whole distribution at one temperature.

Which token is drawn follows from the seed, the step, the prompt and the answer alone: not from what
else is in the batch, nor from how many processes there are. Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList
from transformers.cache_utils import DynamicLayer

from tunesmith.batches.rollout import Sampled
from tunesmith.models.calling.drawing import drawn
from tunesmith.models.calling.generate import BUDGET, as_given, explicit
from tunesmith.models.calling.padding import left_padded
from tunesmith.models.loading.load import Loaded
from tunesmith.settings.run import Generate


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn."""

    samples: int
    """Answers to each prompt."""
    most: int
    """Longest answer (tokens)."""
    temperature: float
    stop_ids: tuple[int, ...]
    seed: int

    def uniform_T(self, step: int, prompt: int, answer: int) -> np.ndarray:
        """Draws the random numbers of one answer, in [0, 1): one for every token that it
        may have.
        """
        generator = np.random.Generator(np.random.PCG64([self.seed, step, prompt, answer]))
        return generator.random(self.most)


@dataclass
class _Row:
    """One answer while it is drawn."""

    uniform_T: np.ndarray
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    stopped: bool = False

    def sampled(self) -> Sampled:
        """Returns the answer in its current state."""
        return Sampled(
            np.array(self.ids, np.int32),
            np.array(self.logprobs, np.float32),
            np.array(self.entropies, np.float32),
            self.stopped,
        )


@torch.no_grad()
def sample(
    policy: Loaded,
    prompts: Mapping[int, np.ndarray],
    settings: Sampling,
    *,
    step: int,
    budget: int = BUDGET,
) -> dict[int, list[Sampled]]:
    """Samples the answers of each prompt, by its place in the step. A prompt is computed once for
    all of them; ``budget`` bounds the tokens whose keys and values are in memory at once.
    """
    by_prompt: dict[int, list[Sampled]] = {}
    with as_given(policy.model):
        for part in _parts(prompts, settings, budget):
            rows = [
                [
                    _Row(settings.uniform_T(step, prompt, answer))
                    for answer in range(settings.samples)
                ]
                for prompt in part
            ]
            flat = [row for answers in rows for row in answers]
            chosen = [prompts[prompt] for prompt in part]
            if not (policy.layout == "forest" and _share_prompts(policy, chosen, flat, settings)):
                _one_by_one(policy, chosen, flat, settings)
            for prompt, answers in zip(part, rows, strict=True):
                by_prompt[prompt] = [row.sampled() for row in answers]
    return by_prompt


def _parts(prompts: Mapping[int, np.ndarray], how: Sampling, budget: int) -> Iterator[list[int]]:
    """Yields the prompts that are answered together, longest first; at least one."""
    # Longest first: the first of a part then says how much room each of it may need.
    order = sorted(prompts, key=lambda prompt: (-len(prompts[prompt]), prompt))
    while order:
        size = max(1, budget // (how.samples * (len(prompts[order[0]]) + how.most)))
        yield order[:size]
        order = order[size:]


def _share_prompts(
    policy: Loaded, prompts: list[np.ndarray], rows: list[_Row], how: Sampling
) -> bool:
    """Draws all rows over one cache: a prompt is computed once, and rows that have ended leave.
    False, with nothing drawn, where a layer keeps something else than keys and values of all
    tokens.
    """
    model = policy.model
    ids, mask = (tensor.to(model.device) for tensor in left_padded(prompts, 0, 0))
    cache = DynamicCache(config=model.config)
    # The padding on the left gets position 0; -1 is in no table of positions.
    logits_BV = _last_logits(model, ids, mask, mask.cumsum(-1).sub(1).clamp(min=0), cache)
    # Not isinstance: layers with a window, or with states, are subclasses that keep less.
    if not all(type(layer) is DynamicLayer for layer in cache.layers):
        return False
    cache.batch_repeat_interleave(how.samples)
    logits_BV, mask = (tensor.repeat_interleave(how.samples, 0) for tensor in (logits_BV, mask))
    live = list(rows)
    while True:
        drawn = _draw(logits_BV, live, how)
        going = [index for index, row in enumerate(live) if not _ended(row, how)]
        if not going:
            return True
        if len(going) < len(live):
            kept = torch.tensor(going, device=model.device)
            cache.batch_select_indices(kept)
            mask, live = mask.index_select(0, kept), [live[index] for index in going]
            drawn = [drawn[index] for index in going]
        mask = torch.cat([mask, mask.new_ones(len(live), 1)], 1)
        ids = torch.tensor(drawn, device=model.device)[:, None]
        logits_BV = _last_logits(model, ids, mask, mask.sum(-1, keepdim=True) - 1, cache)


def _last_logits(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache
) -> torch.Tensor:
    """Computes logits ``[B, V]`` after the last token of each row."""
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1]


def _draw(logits_BV: torch.Tensor, rows: Sequence[_Row], how: Sampling) -> list[int]:
    """Draws the next token of each row by inverting its cumulative distribution."""
    logprobs_BV = (logits_BV.float() / how.temperature).log_softmax(-1)
    entropies_B = torch.special.entr(logprobs_BV.exp()).sum(-1)
    ids_B1 = drawn(logprobs_BV, [row.uniform_T[len(row.ids)] for row in rows])
    logprobs_B = logprobs_BV.gather(1, ids_B1.to(logprobs_BV.device))[:, 0]
    ids = ids_B1[:, 0].tolist()
    values = zip(rows, ids, logprobs_B.tolist(), entropies_B.tolist(), strict=True)
    for row, token, logprob, entropy in values:
        row.ids.append(token)
        row.logprobs.append(logprob)
        row.entropies.append(entropy)
        row.stopped = token in how.stop_ids
    return ids


def _ended(row: _Row, how: Sampling) -> bool:
    return row.stopped or len(row.ids) == how.most


class _Drawing(LogitsProcessor):
    """A processor that leaves only the drawn token, so that the likeliest of what is left is the
    one.
    """

    def __init__(self, rows: list[_Row], how: Sampling) -> None:
        self.rows, self.how = rows, how

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        live = [index for index, row in enumerate(self.rows) if not _ended(row, self.how)]
        kept = torch.tensor(live, device=scores.device)
        drawn = _draw(scores.index_select(0, kept), [self.rows[index] for index in live], self.how)
        only = torch.full_like(scores, -torch.inf)
        only[:, 0] = 0.0  # of rows that have ended, whose tokens nobody reads
        only[kept, 0] = -torch.inf
        only[kept, torch.tensor(drawn, device=scores.device)] = 0.0
        return only  # type: ignore[return-value]


def _one_by_one(policy: Loaded, prompts: list[np.ndarray], rows: list[_Row], how: Sampling) -> None:
    """Draws all rows through the model's own ``generate``, each with its prompt: right for virtual
    tokens, windows and recurrent states too.
    """
    model, pad = policy.model, how.stop_ids[0]
    repeated = [prompt for prompt in prompts for _ in range(how.samples)]
    ids, mask = left_padded(repeated, 0, pad)
    settings = Generate(max_new_tokens=how.most)
    model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=explicit(settings, stop_ids=how.stop_ids, pad_id=pad),
        logits_processor=LogitsProcessorList([_Drawing(rows, how)]),
    )
