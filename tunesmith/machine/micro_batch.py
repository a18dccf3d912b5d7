"""Chooses how many tokens one forward holds, and whether activations are computed again in the
backward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunesmith.machine.device import Device
from tunesmith.machine.memory import GIB, free_memory
from tunesmith.models.calling.chunks import chunk_bytes
from tunesmith.settings.run import Machine
from tunesmith.words import say


@dataclass(frozen=True)
class Room:
    """How many tokens a micro-batch may hold, and whether activations are computed again in the
    backward pass.
    """

    micro_tokens: int
    checkpointing: bool
    reasons: dict[str, str]


LEAST_TOKENS, MOST_TOKENS = 512, 16384
"""A micro-batch below the first keeps no device busy; above the second it gains nothing more."""


def room(
    device: Device,
    machine: Machine,
    *,
    trainable: int,
    kept: tuple[float, float],
    longest: int,
    micro_tokens: int | None,
) -> Room:
    """Fits micro-batches into the memory left beside the loaded model, of which ``trainable``
    weights are trained.

    ``kept`` are the numbers that a token keeps for the backward pass, as they are and with gradient
    checkpointing; ``longest`` is the longest row (tokens).
    """
    free = machine.memory * GIB if machine.memory else free_memory(device.place)
    # Gradient and two moments in fp32, then a fifth for what an estimate misses.
    free = free - 12.0 * trainable
    if device.place.type != "cpu":
        free -= 4.0 * chunk_bytes(device.place)  # the head's logits, their exponents and gradients
    free = max(0.0, free) * 0.8
    width = 4 if device.precision == "fp32" else 2
    plain = kept[0] * width
    again = kept[1] * width
    checkpointing = machine.checkpointing
    need = max(longest, LEAST_TOKENS, micro_tokens or 0)
    if checkpointing == "auto":
        checkpointing = plain * need > free
    used = again if checkpointing else plain
    fits = int(free / used)
    reasons = {
        "train.machine.checkpointing": say(
            "train.checkpointing_on" if checkpointing else "train.checkpointing_off",
            tokens=need,
            need=f"{plain * need / GIB:.1f}",
            free=f"{free / GIB:.1f}",
        )
    }
    if micro_tokens is None:
        micro_tokens = LEAST_TOKENS
        # A power of two, so that a little more or less free memory does not change the cuts.
        while micro_tokens * 2 <= min(fits, MOST_TOKENS):
            micro_tokens *= 2
        reasons["train.micro_tokens"] = say(
            "train.micro_tokens", free=f"{free / GIB:.1f}", each=f"{used / 2**20:.2f}"
        )
    return Room(micro_tokens, bool(checkpointing), reasons)


def activation_bytes(config: Any, width: int) -> tuple[float, float]:
    """Estimates the bytes that a token keeps for the backward pass: plain, and with gradient
    checkpointing.

    A block keeps about ten vectors of the model's width and four of the feed-forward's. A token of
    an encoder–decoder goes through the blocks of its own side; the decoder's keep four vectors
    more, for what they read of the encoder.
    """
    text = config.get_text_config()
    # A config with names of its own is taken for one of GPT-2's size.
    wide = getattr(text, "hidden_size", None) or getattr(text, "n_embd", 768)
    layers = getattr(text, "num_hidden_layers", None) or getattr(text, "n_layer", 12)
    names = ("intermediate_size", "d_ff", "decoder_ffn_dim")
    inner = next((size for name in names if (size := getattr(text, name, None))), 4 * wide)
    sides = [getattr(text, name, None) or 0 for name in ("num_decoder_layers", "decoder_layers")]
    layers = max(layers, *sides) if config.is_encoder_decoder else layers
    block = ((14 if config.is_encoder_decoder else 10) * wide + 4 * inner) * width
    return float(layers * block), float(layers * wide * width + block)
