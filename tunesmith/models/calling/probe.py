"""Which layout a model may run in: settled by trying it, forest against padded, logits and
gradient.

A long window or chunk is never reached by short rows, so a small random model of the same class
with every window cut to 8 is tried first, then a few short rows of the real one.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.errors import ModelError
from tunesmith.models.calling.forest import NAME
from tunesmith.models.calling.views import inputs_of, makes_own_logits, see
from tunesmith.models.structure.kinds import head_of
from tunesmith.plain import JsonObject
from tunesmith.words import say

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The short rows of a probe never reach a window of 4 096, and a wrong mask would pass unseen.
CUT = 8
# Sizes of the small model, by the names that transformers' configs share.
SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 48,
    "shared_expert_intermediate_size": 48,
    "num_attention_heads": 4,
    "head_dim": 16,
    "vocab_size": 320,
    "max_position_embeddings": 256,
    "num_local_experts": 4,
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
}
# Largest model (weights) that is built at its real width where the small sizes do not fit together.
LARGEST_PROBE = 2 * 10**8


def settle(model: PreTrainedModel, tolerance: float) -> tuple[str, str]:
    """Chooses the layout for ``model``, ``forest`` or ``padded``, and gives the reason. Also finds
    heads that need the model's own logits.
    """
    windows = _windows(model.config.get_text_config().to_dict())
    language = head_of(model) == "language"
    small = _small_model(model)
    if small is None and windows:
        return "padded", say("load.no_small_copy", windows=", ".join(windows))
    for candidate, allowed in ((small, 1e-4), (model, tolerance)):
        if candidate is None:
            continue
        if language:
            own_head(candidate, allowed)
        try:
            difference = _difference(candidate)
        except ModelError as error:
            return "padded", str(error)
        except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            # Models differ in how they fail on a row they were not written for; any failure means
            # padded.
            return "padded", say("load.forest_failed", error=type(error).__name__)
        if not difference <= allowed:
            key = "load.forest_differs_small" if candidate is small else "load.forest_differs"
            return "padded", say(key, difference=f"{difference:.1e}", cut=CUT)
    return "forest", say("load.forest_exact", difference=f"{difference:.0e}")


def own_head(model: Any, tolerance: float) -> None:
    """Finds out whether the head and what we know to follow it give the model's own logits; where
    not, it makes them itself.
    """
    if _head_is_unknown(model, tolerance):
        makes_own_logits.add(model.get_output_embeddings())


def _windows(settings: JsonObject) -> list[str]:
    """Returns the config keys that limit how far attention reaches."""
    names = (
        "sliding_window",
        "attention_chunk_size",
        "window_size",
        "attention_window",
        "local_attention",
    )
    return [name for name in names if isinstance(settings.get(name), int) and settings[name] > 0]


def _small_model(model: PreTrainedModel) -> Any | None:
    """Builds a random model of the same class with two layers of each kind and shorter windows;
    None where this is not possible.
    """
    config = model.config
    if config.get_text_config() is not config:
        return None
    settings = config.to_dict()
    names = {config.attribute_map.get(name, name): size for name, size in SMALL.items()}
    changes = {
        name: min(size, settings[name])
        for name, size in names.items()
        if isinstance(settings.get(name), int)
    }
    heads = config.attribute_map.get("num_attention_heads", "num_attention_heads")
    if isinstance(settings.get("num_key_value_heads"), int):
        changes["num_key_value_heads"] = (
            changes[heads] if settings["num_key_value_heads"] == settings[heads] else 2
        )
    common = dict.fromkeys(_windows(settings), CUT) | _layers(config, settings)
    common |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"))
    if head_of(model) != "language":
        common["pad_token_id"] = 0  # a classifier takes no two rows without one
    for attempt in (changes | common, common):
        small = copy.deepcopy(config)
        for name, value in attempt.items():
            setattr(small, name, value)
        built = _build(type(model), small)
        if built is not None:
            return built
    return None


def _layers(config: Any, settings: JsonObject) -> JsonObject:
    name = config.attribute_map.get("num_hidden_layers", "num_hidden_layers")
    kinds = settings.get("layer_types")
    if kinds:
        chosen = list(dict.fromkeys(kinds)) * 2
        return {name: len(chosen), "layer_types": chosen}
    return {name: min(2, settings[name])}


def _build(cls: Any, config: Any) -> object | None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            with torch.device("meta"):
                if sum(weight.numel() for weight in cls(config).parameters()) > LARGEST_PROBE:
                    return None
            config._attn_implementation = NAME
            small = cls(config).float().eval()
            # A fresh model's weights are so small that attention hardly matters; wider ones make it
            # visible.
            for weight in small.parameters():
                if weight.dim() > 1:
                    torch.nn.init.normal_(weight, std=0.15)
            small(input_ids=torch.ones(1, 4, dtype=torch.long), use_cache=False)
        except (
            RuntimeError,
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            AssertionError,
            ZeroDivisionError,
        ):
            return None
    return small


def _rows(config: Any) -> list[list[Tokens]]:
    """Makes sequences with a shared beginning of 12 tokens, longer than a window of 8, and one that
    shares nothing.
    """
    draw = np.random.default_rng(0)
    vocabulary = config.get_text_config().vocab_size

    def tokens(*pieces: np.ndarray) -> Tokens:
        ids = np.concatenate(pieces).astype(np.int32)
        return Tokens(
            ids,
            np.ones(len(ids), np.float32),
            source_ids_T=ids[::-1].copy() if config.is_encoder_decoder else None,
        )

    shared = draw.integers(0, vocabulary, 12)
    return [
        [
            tokens(shared, draw.integers(0, vocabulary, 9)),
            tokens(shared, draw.integers(0, vocabulary, 15)),
        ],
        [tokens(draw.integers(0, vocabulary, 10))],
    ]


def _run(model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns log-probabilities, or what another head gives, and their gradient with respect to the
    embedded tokens, by id.
    """
    embedded: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_(True))
        return embedded[0]

    handle = model.get_input_embeddings().register_forward_hook(keep)
    try:
        seen = see(model, batch)
        if head_of(model) == "language":
            said_N = seen.logprobs_N
        else:
            rows = seen.own_outputs_BC
            said_N = (seen.features("ends") if rows is None else rows).flatten().float()
    finally:
        handle.remove()
    # Unequal factors, so that gradients of different sequences cannot cancel.
    factors_N = torch.linspace(0.5, 1.5, len(said_N), device=said_N.device)
    (gradient,) = torch.autograd.grad((said_N * factors_N).sum(), embedded)
    gradient_TD = gradient.reshape(-1, gradient.shape[-1])
    kinds, inverse_T = torch.unique(batch.ids_T[batch.mask_T.bool()], return_inverse=True)
    by_id = torch.zeros(len(kinds), gradient_TD.shape[1], device=gradient.device)
    return said_N.detach().float(), by_id.index_add_(
        0, inverse_T, gradient_TD[batch.mask_T.bool()].float()
    )


def _difference(model: PreTrainedModel) -> float:
    """Computes the largest difference between forest and padded, relative to the largest value, in
    log-probabilities and gradient.
    """
    training = model.training
    model.eval()
    device = model.get_input_embeddings().weight.device
    batch = Batch.grow(_rows(model.config)).to(device)
    try:
        padded = _run(model, batch.padded())
        forest = _run(model, batch)
    finally:
        model.train(training)
    return max(
        float((a - b).abs().max() / b.abs().max().clamp(min=1e-6))
        for a, b in zip(forest, padded, strict=True)
    )


def _head_is_unknown(model: PreTrainedModel, allowed: float) -> bool:
    """Tells whether the head, with what we know to follow it, fails to give the model's own
    logits.
    """
    model.eval()
    device = model.get_input_embeddings().weight.device
    batch = Batch.grow(_rows(model.config)[1:]).to(device).padded()
    with torch.no_grad():
        theirs = (
            model(**inputs_of(batch)).logits.flatten(0, 1).index_select(0, batch.scored_N).float()
        )
        seen = see(model, batch)
        ours = seen.head.logits(seen.features("scored"))
    return ours.shape != theirs.shape or float((ours - theirs).abs().max()) > allowed * max(
        1.0, float(theirs.abs().max())
    )
