"""A model with virtual tokens before every row: a soft prompt, or keys and values for every layer.

In a forest they are the root segment, shared by all rows; in padded rows and in generation they
stand beside each row, and positions never count padding. Saved in peft's format, which holds what
the virtual tokens came to, not how.
Shapes: P virtual tokens, W numbers each, L layers, H key heads, D width of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer
from transformers.modeling_layers import GradientCheckpointingLayer

from tunesmith.errors import ModelError, Problem
from tunesmith.models.adapters import prompt_in_encoder, prompt_slots
from tunesmith.models.adapters.layers.prompts import Table
from tunesmith.models.adapters.prompt_starts import width
from tunesmith.models.structure.heads import head_weights, place_head
from tunesmith.models.structure.kinds import kind_of
from tunesmith.words import say

KINDS: dict[str, Literal["words", "keys"]] = {
    "PROMPT_TUNING": "words",
    "P_TUNING": "words",
    "PREFIX_TUNING": "keys",
}
"""peft's names, and what their virtual tokens are: embedded words, or keys and values of every
layer.
"""


class Prompted(nn.Module):
    """``base`` with the virtual tokens that ``encoder()`` gives, saved with peft's ``config``; else
    it behaves as ``base``.
    """

    def __init__(
        self, base: Any, encoder: nn.Module, config: Any, *, first_slot: int | None = None
    ) -> None:
        super().__init__()
        self.base, self.encoder, self.peft_config = base, encoder, config
        self.kind = KINDS[config.peft_type.value]
        self.first_slot = first_slot
        """Id of the first virtual token, where these stand inside the rows; None where they stand
        before them.
        """
        self.on = True
        self.both_ways = kind_of(base.config) != "decoder" and self.kind == "words"
        """Whether the virtual tokens are words of what is read both ways: an encoder's row, or the
        source beside a decoder.
        """

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return attrgetter(name)(super().__getattr__("base"))

    @property
    def virtual_tokens(self) -> int:
        """The number of positions beside a row that the virtual tokens take."""
        return int(self.peft_config.num_virtual_tokens) if self.first_slot is None else 0

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Turns the virtual tokens off, so that the base answers alone."""
        was, self.on = self.on, False
        try:
            yield
        finally:
            self.on = was

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Turns gradient checkpointing on, as in transformers. The keys and values before a row are
        only read, so recomputing is exact.
        """
        self.base.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs=gradient_checkpointing_kwargs
        )
        for part in self.base.modules():
            if isinstance(part, GradientCheckpointingLayer):
                part._can_checkpoint_with_cache = True

    def forward(self, input_ids: torch.Tensor, **call: Any) -> Any:
        """Returns the base's output for the rows alone, without positions for the virtual
        tokens.
        """
        # A keyword that is None is not given: what is given is told by its name below.
        call = {name: value for name, value in call.items() if value is not None}
        cache = call.get("past_key_values")
        if self.first_slot is not None:
            return self.base(**(call | self._in_slots(input_ids, call.get("attention_mask"))))
        # A cache that has begun holds them already.
        if not self.on or (cache is not None and cache.get_seq_length() > 0):
            return self.base(input_ids=input_ids, **call)
        if self.both_ways:
            return prompt_in_encoder.read(self.base, input_ids, self.encoder(), call)
        count = self.virtual_tokens
        if "position_ids" in call:
            call["position_ids"] = call["position_ids"] + count
        if self.kind == "keys":
            return self.base(input_ids=input_ids, **self._before(call, len(input_ids)))
        words = self.base.get_input_embeddings()(input_ids)
        if "position_ids" in call:
            positions = torch.arange(count, device=words.device).expand(
                len(call["position_ids"]), -1
            )
            call["position_ids"] = torch.cat([positions, call["position_ids"]], 1)
        if "forest" in call:
            call["forest"] = call["forest"].under(count)
        elif "attention_mask" in call:
            call["attention_mask"] = _longer(call["attention_mask"], count)
        words = torch.cat([self.encoder().to(words).expand(len(words), -1, -1), words], 1)
        with _cut(self.base.get_output_embeddings(), words.shape[1], count):
            return self.base(inputs_embeds=words, **call)

    def _in_slots(
        self, input_ids: torch.Tensor, mask: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """Returns the keywords of the base's call for rows that hold virtual tokens."""
        assert self.first_slot is not None, "only called for slots"
        if self.on:
            return prompt_slots.call_of(
                input_ids, mask, self.encoder(), self.first_slot, self.base.get_input_embeddings()
            )
        return prompt_slots.without(
            input_ids, mask, self.first_slot, self.peft_config.num_virtual_tokens
        )

    def _before(self, call: dict[str, Any], rows: int) -> dict[str, Any]:
        """Adds keys and values before the rows of a call: in its forest, in its cache, or as a
        cache that is only read.
        """
        if "forest" in call:
            return call | {"forest": replace(call["forest"], above=self.layers(), cache={})}
        if "past_key_values" in call:
            for index, (keys, values) in enumerate(self.layers()):
                call["past_key_values"].update(*_rows(keys, values, rows), index)
        else:
            call["past_key_values"] = Cache(
                layers=[_Read(*_rows(keys, values, rows)) for keys, values in self.layers()]
            )
        if "attention_mask" in call:
            call["attention_mask"] = _longer(call["attention_mask"], self.virtual_tokens)
        return call

    def layers(self) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        """Returns keys and values ``[1, H, P, D]`` of each layer."""
        table_PW = self.encoder().to(self.base.dtype)
        heads = self.peft_config.num_attention_heads
        parts = (
            table_PW.view(len(table_PW), 2 * self.peft_config.num_layers, heads, -1)
            .permute(1, 2, 0, 3)
            .unsqueeze(1)
        )
        return tuple((parts[index], parts[index + 1]) for index in range(0, len(parts), 2))

    @torch.no_grad()
    def generate(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **how: Any
    ) -> torch.Tensor:
        """Generates as in transformers, for left-padded rows; what is returned begins with the
        prompt, without virtual tokens.
        """
        if self.first_slot is not None:
            call = self._in_slots(input_ids, attention_mask)
            call.pop("position_ids", None)  # generation counts them from the mask by itself
            clean = prompt_slots.cleaned(
                input_ids, self.first_slot, self.peft_config.num_virtual_tokens
            )
            output = self.base.generate(**({"input_ids": clean} | call), **how)
            return torch.cat([input_ids, output[:, input_ids.shape[1] :]], 1)
        if not self.on:
            return self.base.generate(input_ids=input_ids, attention_mask=attention_mask, **how)
        if self.both_ways:
            return self.base.generate(
                **prompt_in_encoder.call_of(
                    self.base, input_ids, self.encoder(), how | {"attention_mask": attention_mask}
                )
            )
        if "past_key_values" not in how and self.kind == "keys":
            how["past_key_values"] = DynamicCache(config=self.base.config)
            self._before(how, len(input_ids))
        if "past_key_values" in how:
            # Padding stands between virtual tokens and row; what counts places instead of positions
            # must not see it.
            plain = all(type(layer) is DynamicLayer for layer in how["past_key_values"].layers)
            if not plain and len(input_ids) > 1 and not bool(attention_mask.all()):
                return self._one_by_one(input_ids, attention_mask, how)
            places = torch.zeros(len(input_ids), dtype=torch.long, device=input_ids.device)
        else:
            places = (attention_mask == 0).sum(1)  # after the padding
            how["inputs_embeds"] = _inserted(
                self.base.get_input_embeddings()(input_ids),
                places,
                self.encoder().to(self.base.dtype),
            )
        # What stands for them among the ids is read by penalties alone: a token that the row has
        # anyway.
        first = input_ids.gather(1, (attention_mask.argmax(1, keepdim=True)))
        fill = first.expand(-1, self.virtual_tokens).unsqueeze(-1)
        ids = _inserted(input_ids.unsqueeze(-1), places, fill).squeeze(-1)
        mask = _inserted(attention_mask.unsqueeze(-1), places, torch.ones_like(fill)).squeeze(-1)
        output = self.base.generate(input_ids=ids, attention_mask=mask, **how)
        return torch.cat([input_ids, output[:, ids.shape[1] :]], 1)

    def _one_by_one(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, how: dict[str, Any]
    ) -> torch.Tensor:
        how = {name: value for name, value in how.items() if name != "past_key_values"}
        rows = []
        for ids, mask in zip(input_ids, attention_mask.bool(), strict=True):
            rows.append(
                self.generate(ids[mask][None], mask[mask][None].long(), **how)[0, int(mask.sum()) :]
            )
        pad = how["generation_config"].pad_token_id
        return torch.cat(
            [input_ids, nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)], 1
        )

    def merge_and_unload(self) -> Any:
        """Raises ModelError: virtual tokens are not weights and cannot be merged."""
        raise ModelError(
            Problem(
                "model",
                say("method.virtual_do_not_merge", method=self.peft_config.peft_type.value.lower()),
            )
        )

    def save_pretrained(self, folder: Path) -> None:
        """Saves peft's folder: its configuration, the current virtual tokens, and a classifier's
        head.

        What peft has no name for, or would put elsewhere, it is told by a name that it refuses.
        """
        self.peft_config.save_pretrained(str(folder))
        other = (
            {"peft_type": prompt_slots.PEFT_TYPE, "first_slot": self.first_slot}
            if self.first_slot is not None
            else {}
        )
        if self.both_ways and prompt_in_encoder.first_stays(self.base.config):
            other = {
                "peft_type": prompt_in_encoder.PEFT_TYPE,
                "kind": self.peft_config.peft_type.value,
            }
        if other:
            config = (
                json.loads((Path(folder) / "adapter_config.json").read_text(encoding="utf-8"))
                | other
            )
            (Path(folder) / "adapter_config.json").write_text(
                json.dumps(config, indent=2), encoding="utf-8"
            )
        with torch.no_grad():
            kept = {"prompt_embeddings": self.encoder()} | {
                f"base_model.{n}": weight for n, weight in head_weights(self.base).items()
            }
        kept = {name: kept[name].detach().cpu().contiguous() for name in kept}
        save_file(kept, Path(folder) / "adapter_model.safetensors", metadata={"format": "pt"})


def holds_prompt(config: Mapping[str, object]) -> bool:
    """Tells whether an adapter's configuration describes virtual tokens, saved by us or by peft."""
    return config.get("peft_type") in (*KINDS, prompt_slots.PEFT_TYPE, prompt_in_encoder.PEFT_TYPE)


def prompted(base: Any, place: Path) -> Prompted | None:
    """Returns ``base`` with the virtual tokens saved in ``place``, by us or by peft; None where it
    holds another kind of adapter.
    """
    from peft import PeftConfig, get_peft_config

    config_told = json.loads((place / "adapter_config.json").read_text(encoding="utf-8"))
    first = config_told.pop("first_slot", None)
    if not holds_prompt(config_told):
        return None
    if config_told["peft_type"] in KINDS:
        config: Any = PeftConfig.from_pretrained(str(place))
    else:
        config = get_peft_config(config_told | {"peft_type": config_told.pop("kind", "P_TUNING")})
    saved = load_file(place / "adapter_model.safetensors")
    table = saved.pop("prompt_embeddings").float()
    place_head(base, {name.removeprefix("base_model."): weight for name, weight in saved.items()})
    model = Prompted(
        base, Table(table.to(base.device)).requires_grad_(False), config, first_slot=first
    )
    if (
        model.both_ways
        and prompt_in_encoder.first_stays(base.config)
        and config_told["peft_type"] in KINDS
    ):
        raise ValueError(
            "its virtual tokens stand before the row's first token, where a classifier reads"
        )
    if table.shape[1] != (wanted := width(base, model.kind)):
        raise ValueError(
            f"virtual tokens of {table.shape[1]} numbers, where this base takes {wanted}"
        )
    return model.eval()


class _Read(DynamicLayer):
    """Keys and values before a row, which no call adds to: a layer that is computed again finds
    them unchanged.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True
        self.dtype, self.device = keys.dtype, keys.device

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> Any:
        """Returns the keys and values that attention sees."""
        assert self.keys is not None and self.values is not None, "given when it was made"
        return torch.cat([self.keys.to(key_states), key_states], -2), torch.cat(
            [self.values.to(value_states), value_states], -2
        )


def _rows(keys: torch.Tensor, values: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    return keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)


def _longer(mask: torch.Tensor, count: int) -> torch.Tensor:
    return torch.cat([mask.new_ones(len(mask), count), mask], 1)


def _inserted(
    values_BTX: torch.Tensor, places_B: torch.Tensor, virtual: torch.Tensor
) -> torch.Tensor:
    """Inserts ``virtual`` (``[P, X]``, or one for each row) into each row at the row's own
    index.
    """
    virtual = virtual.expand(len(values_BTX), -1, -1)
    rows = zip(values_BTX, places_B.tolist(), virtual, strict=True)
    return torch.stack([torch.cat([row[:at], ours, row[at:]]) for row, at, ours in rows])


@contextmanager
def _cut(head: nn.Module | None, length: int, count: int) -> Iterator[None]:
    """Takes the virtual tokens' hidden states off before the output head."""

    def cut(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = inputs[0]
        return (hidden[:, count:], *inputs[1:]) if hidden.shape[1] == length else inputs

    if head is None:
        yield
        return
    handle = head.register_forward_pre_hook(cut, prepend=True)
    try:
        yield
    finally:
        handle.remove()
