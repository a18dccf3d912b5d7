"""Attention over a forest on unmodified Hugging Face models: each segment sees its ancestors and,
causally, itself.

The forest travels as a keyword of the model's call; without it this is plain sdpa. Shapes: H heads,
D head width, S segments of a bucket, Q their longest own part, K their longest ancestry plus Q.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import dropout as drop
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tunesmith.batches.forest import Forest, Segment
from tunesmith.batches.sending import sent_together
from tunesmith.errors import ModelError
from tunesmith.words import say

NAME = "forest"

# What models hand to attention beside the tensors, and what does not change the result of a forest
# call.
HARMLESS = {
    *("position_ids", "cache_position", "position_embeddings", "use_cache", "is_causal"),
    *("output_attentions", "output_hidden_states", "output_router_logits"),
}

CALL, KEY = 16_384, 0
"""Cost of one call of the kernel on a CPU, and of one key more to gather, in query-key pairs: what
padding a bucket may cost to save a call.
"""
GPU_CALL, GPU_KEY = 2**20, 32
"""The same on a GPU: some twenty launches of 5 us, forwards and backwards, at 0.1 ns a pair; a key
and its value are 4 KB to copy. An estimate, not measured.
"""


@dataclass(frozen=True)
class Bucket:
    """Segments of similar length, computed in one call."""

    queries: tuple[int, int]
    """Segments, and their own tokens with padding: S, Q."""
    keys: tuple[int, int]
    """S, K."""
    allowed_SQK: torch.Tensor | None
    """None where plain causal attention says the same."""


@dataclass(frozen=True)
class Calls:
    """All buckets of a forest, their indices into the flat row joined (of keys, after what is above
    it), and for each token where its output lies in their concatenation.
    """

    buckets: tuple[Bucket, ...]
    queries: torch.Tensor
    keys: torch.Tensor
    place_T: torch.Tensor


def register() -> None:
    """Makes ``attn_implementation="forest"`` known to transformers."""
    AttentionInterface.register(NAME, forest_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def no_mask(device: torch.device) -> torch.Tensor:
    """Returns the mask of a forest call: transformers passes a 4-D mask through, so none is
    built.
    """
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)


def forest_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    forest: Forest | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Computes attention outputs ``[1, T, H, D]`` for query, key and value ``[1, H, T, D]``; raises
    ModelError for a keyword that a forest cannot honour.
    """
    options: Any = {"scaling": scaling, "dropout": dropout, "softcap": softcap, "s_aux": s_aux}
    if forest is None:
        _refuse_lost_forest(query, attention_mask)
        if softcap is None and s_aux is None:
            if query.shape[2] == 1 and attention_mask is not None and attention_mask.shape[1] == 1:
                # The next token of each row: sdpa would copy every key for the heads that share it.
                out = _attend(query, key, value, attention_mask[:, 0], **options)
                return out.transpose(1, 2), None
            return sdpa_attention_forward(  # type: ignore[return-value]
                module,
                query,
                key,
                value,
                attention_mask,
                dropout=dropout,
                scaling=scaling,
                **others,
            )
        return _exact_without_forest(query, key, value, attention_mask, **options)
    _refuse_unknown(others)
    calls = _calls(forest, sliding_window, query.device)
    if forest.above:
        above = forest.above[module.layer_idx]  # type: ignore[index]
        key, value = (
            torch.cat([old.to(new), new], 2) for old, new in zip(above, (key, value), strict=True)
        )
    queries = _take(query, calls.queries, [bucket.queries for bucket in calls.buckets])
    keys, values = (
        _take(tensor, calls.keys, [bucket.keys for bucket in calls.buckets])
        for tensor in (key, value)
    )
    outputs = []
    for bucket, q, k, v in zip(calls.buckets, queries, keys, values, strict=True):
        out = _attend(q, k, v, bucket.allowed_SQK, **options)
        outputs.append(out.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs).index_select(0, calls.place_T).unsqueeze(0), None


def _refuse_lost_forest(query: torch.Tensor, mask: torch.Tensor | None) -> None:
    """Raises ModelError where the mask says that a forest was sent but none arrived."""
    if mask is not None and tuple(mask.shape) == (1, 1, 1, 1) and query.shape[2] > 1:
        raise ModelError(say("load.forest_lost"))


def _refuse_unknown(others: Mapping[str, object]) -> None:
    """Raises ModelError for a keyword that changes attention in a way that a forest does
    not know.
    """
    unknown = sorted(
        name for name, given in others.items() if given is not None and name not in HARMLESS
    )
    if unknown:
        raise ModelError(say("load.forest_keywords", names=", ".join(unknown)))


def _take(
    tensor: torch.Tensor, index: torch.Tensor, parts: Sequence[tuple[int, int]]
) -> list[torch.Tensor]:
    """Gathers rows of ``[1, H, T, D]`` as ``[S, H, Q, D]``, one for each bucket of S times Q
    indices, which ``index`` joins.
    """
    # One gather for all buckets, because the gradient of each is as long as the row. The tensor
    # lies token by token in memory, so this copies whole tokens. index_select, because the backward
    # of h[index] is not deterministic on CPU.
    heads, width = tensor.shape[1], tensor.shape[3]
    rows = (
        tensor[0]
        .transpose(0, 1)
        .flatten(1)
        .index_select(0, index)
        .split([count * length for count, length in parts])
    )
    return [
        row.view(*part, heads, width).transpose(1, 2) for row, part in zip(rows, parts, strict=True)
    ]


def _attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    allowed: torch.Tensor | None,
    *,
    scaling: float | None,
    dropout: float,
    softcap: float | None,
    s_aux: torch.Tensor | None,
) -> torch.Tensor:
    repeat = q.shape[1] // k.shape[1]
    plain = softcap is None and s_aux is None
    if plain and allowed is not None:
        # Heads that share a key lie under each other as more queries, so that no key is copied.
        folded = q.unflatten(1, (k.shape[1], repeat)).flatten(2, 3)
        mask = allowed.repeat(1, repeat, 1).unsqueeze(1)
        out = scaled_dot_product_attention(
            folded, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling
        )
        return out.unflatten(2, (repeat, q.shape[2])).flatten(1, 2)
    if plain:
        # On a CPU copies are faster than heads that share; on CUDA flash takes them as they are.
        if repeat > 1 and q.device.type == "cpu":
            k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        return scaled_dot_product_attention(
            q,
            k,
            v,
            dropout_p=dropout,
            is_causal=True,
            scale=scaling,
            enable_gqa=k.shape[1] != q.shape[1],
        )
    if repeat > 1:
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    if allowed is None:
        allowed = (
            torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device)
            .tril()
            .unsqueeze(0)
        )
    bias = (
        torch.zeros_like(allowed, dtype=q.dtype)
        .masked_fill(~allowed, torch.finfo(q.dtype).min)
        .unsqueeze(1)
    )
    return _by_hand(q, k, v, bias, scaling=scaling, dropout=dropout, softcap=softcap, s_aux=s_aux)


def _by_hand(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    scaling: float | None,
    dropout: float,
    softcap: float | None,
    s_aux: torch.Tensor | None,
) -> torch.Tensor:
    """Computes attention with capped scores (Gemma 2, section 2) or a learned sink beside the keys
    (gpt-oss).
    """
    scores = q @ k.transpose(2, 3) * (scaling if scaling is not None else q.shape[-1] ** -0.5)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias
    if s_aux is not None:
        sink = (
            s_aux.view(1, -1, 1, 1).expand(scores.shape[0], -1, scores.shape[2], 1).to(scores.dtype)
        )
        weights = torch.cat([scores, sink], -1).softmax(-1, dtype=torch.float32)[..., :-1]
    else:
        weights = scores.softmax(-1, dtype=torch.float32)
    return drop(weights.to(v.dtype), dropout) @ v


def _exact_without_forest(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    **how: Any,
) -> tuple[torch.Tensor, None]:
    """Computes attention for padded rows and generation of models whose attention sdpa cannot
    express.
    """
    repeat = query.shape[1] // key.shape[1]
    if repeat > 1:
        key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
    queries, keys = query.shape[2], key.shape[2]
    if mask is None:
        mask = (
            torch.ones(queries, keys, dtype=torch.bool, device=query.device)
            .tril(keys - queries)
            .view(1, 1, queries, keys)
        )
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(
            ~mask, torch.finfo(query.dtype).min
        )
    return _by_hand(query, key, value, mask[..., :keys], **how).transpose(1, 2), None


def _calls(forest: Forest, window: int | None, device: torch.device) -> Calls:
    """Returns the buckets of a forest, derived once for each batch and window, for all layers."""
    calls = forest.cache.get((window, device))
    if calls is None:
        before = forest.above[0][0].shape[2] if forest.above else 0
        segments = forest.under(before).segments if before else forest.segments
        longest = max(segment.depth + segment.stop - segment.start for segment in segments)
        # A window that every token's ancestry fits into hides nothing, and needs no mask.
        reach = None if window is None or window >= longest else window
        groups = _group(segments[1:] if before else segments, device)
        place_T = np.empty(segments[-1].stop - before, np.int64)
        start, parts = 0, []
        for group in groups:
            width = max(segment.stop - segment.start for segment in group)
            for row, segment in enumerate(group):
                length = segment.stop - segment.start
                place_T[segment.start - before : segment.stop - before] = (
                    start + row * width + np.arange(length)
                )
            start += len(group) * width
            parts.append(_indices(group, segments, reach, before=before))
        calls = forest.cache[window, device] = _sent(parts, place_T, device)
    return calls


def _sent(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]],
    place_T: np.ndarray,
    device: torch.device,
) -> Calls:
    """Sends the indices and masks of all buckets to the device in one transfer."""
    flat = [
        np.concatenate([part[0].ravel() for part in parts]),
        np.concatenate([part[1].ravel() for part in parts]),
    ]
    masks = [part[2] for part in parts if part[2] is not None]
    queries, keys, place, *there = sent_together(
        [torch.from_numpy(array) for array in (*flat, place_T, *masks)], device
    )
    allowed = iter(there)
    buckets = [
        Bucket(part[0].shape, part[1].shape, None if part[2] is None else next(allowed))
        for part in parts
    ]
    return Calls(tuple(buckets), queries, keys, place)


def _group(segments: tuple[Segment, ...], device: torch.device) -> list[list[Segment]]:
    """Groups segments of similar size, as long as padding costs less than another call."""
    call, key = (CALL, KEY) if device.type == "cpu" else (GPU_CALL, GPU_KEY)

    def cost(length: int, depth: int) -> int:
        return (length + key) * (length + depth)

    groups: list[list[Segment]] = []
    real = 0
    # Only roots go without a mask, by plain causal attention; so they have calls of their own.
    for segment in sorted(segments, key=lambda s: (s.depth > 0, s.stop - s.start, s.depth)):
        length = segment.stop - segment.start
        group = groups[-1] if groups else []
        depth = max([segment.depth, *(s.depth for s in group)])
        same_kind = bool(group) and (group[0].depth > 0) == (segment.depth > 0)
        if (
            same_kind
            and (len(group) + 1) * cost(length, depth) <= real + cost(length, segment.depth) + call
        ):
            group.append(segment)
            real += cost(length, segment.depth)
        else:
            groups.append([segment])
            real = cost(length, segment.depth)
    return groups


def _indices(
    group: list[Segment], segments: tuple[Segment, ...], window: int | None, *, before: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Returns for one bucket the indices of its queries ``[S, Q]`` and keys ``[S, K]``, and which
    keys each query may see ``[S or 1, Q, K]``; None where it sees all before it.
    """
    longest = max(segment.stop - segment.start for segment in group)
    above = max(segment.depth for segment in group)
    queries_SQ = np.zeros((len(group), longest), np.int64)
    keys_SK = np.zeros((len(group), above + longest), np.int64)
    # Depth of each key, ancestors right-aligned before the own part; a padded ancestor has a
    # negative one.
    depths_SK = np.full((len(group), above + longest), -1, np.int64)
    for row, segment in enumerate(group):
        # A short segment repeats its last token as padding; the copies' outputs are never taken.
        tokens = np.minimum(segment.start + np.arange(longest), segment.stop - 1)
        queries_SQ[row], keys_SK[row, above:] = tokens - before, tokens
        depths_SK[row, above:] = segment.depth + np.arange(longest)
        if segment.depth:
            keys_SK[row, above - segment.depth : above] = _ancestors(segment, segments)
            depths_SK[row, above - segment.depth : above] = np.arange(segment.depth)
    allowed = None
    if above or window is not None:
        query_depths = depths_SK[:, above:, None]
        allowed_SQK = (depths_SK[:, None] >= 0) & (depths_SK[:, None] <= query_depths)
        if window is not None:
            allowed_SQK &= query_depths - depths_SK[:, None] < window
        # One mask for all segments is broadcast, instead of a copy each.
        if (allowed_SQK == allowed_SQK[:1]).all():
            allowed_SQK = allowed_SQK[:1]
        allowed = np.ascontiguousarray(allowed_SQK)
    return queries_SQ, keys_SK, allowed


def _ancestors(segment: Segment, segments: tuple[Segment, ...]) -> np.ndarray:
    """Returns the flat indices of the tokens above a segment, by depth."""
    pieces = []
    parent = segment.parent
    while parent >= 0:
        above = segments[parent]
        pieces.append(np.arange(above.start, above.stop))
        parent = above.parent
    return np.concatenate(pieces[::-1])
