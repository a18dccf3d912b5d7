"""A soft prompt in what a model reads both ways: the row of an encoder, or the source of an encoder
with a decoder.

In a source it stands in front (Lester et al. 2021 on T5). In an encoder's row it stands behind the
first token: classes read that one ([CLS]), which so keeps its place. peft would put the prompt
first, and then the head would read a virtual token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tunesmith.models.structure.kinds import head_of
from tunesmith.plain import JsonObject

PEFT_TYPE = "TUNESMITH_BEHIND_FIRST"
"""What the adapter's configuration says instead of one of peft's types, so that peft refuses it by
name.
"""


def first_stays(config: Any) -> bool:
    """Tells whether the prompt is inserted after a row's first token."""
    return not config.is_encoder_decoder


def is_there(folder: Path) -> bool:
    """Tells whether ``folder`` holds a prompt that is inserted after the first token."""
    return (
        json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("peft_type")
        == PEFT_TYPE
    )


def call_of(
    base: Any, input_ids: torch.Tensor, table_PD: torch.Tensor, call: dict[str, Any]
) -> JsonObject:
    """Returns the keywords of a call whose rows hold the virtual tokens."""
    after = int(first_stays(base.config))
    count = len(table_PD)
    words = base.get_input_embeddings()(input_ids)
    rows = table_PD.to(words).expand(len(words), -1, -1)
    call = call | {"inputs_embeds": torch.cat([words[:, :after], rows, words[:, after:]], 1)}
    for name, value in (("attention_mask", 1), ("token_type_ids", 0)):
        if name in call:
            inserted = call[name].new_full((len(words), count), value)
            call[name] = torch.cat([call[name][:, :after], inserted, call[name][:, after:]], 1)
    return call


def read(
    base: Any, input_ids: torch.Tensor, table_PD: torch.Tensor, call: dict[str, object]
) -> Any:
    """Returns the base's output; for a model without a head the hidden states are those of the rows
    alone.
    """
    call = call_of(base, input_ids, table_PD, call)
    if base.config.is_encoder_decoder or head_of(base) != "embedding":
        return base(**call)
    with _rows_alone(base.base_model, int(first_stays(base.config)), len(table_PD)):
        return base(**call)


@torch.no_grad()
def refuse_other_words(base: Any) -> None:
    """Raises ValueError where an encoder treats embedded words differently from their ids, for
    instance because it scales them.
    """
    if base.device.type == "meta":
        return
    encoder = base.get_encoder() if base.config.is_encoder_decoder else base.base_model
    ids = torch.full(
        (1, 4), (base.config.get_text_config().pad_token_id or 0) + 1, device=base.device
    )
    by_ids = encoder(input_ids=ids).last_hidden_state
    by_words = encoder(inputs_embeds=base.get_input_embeddings()(ids)).last_hidden_state
    if not torch.allclose(by_ids, by_words, rtol=1e-3, atol=1e-3):
        raise ValueError(f"{type(encoder).__name__} does not take words as it embeds them")


@contextmanager
def _rows_alone(trunk: torch.nn.Module, after: int, count: int) -> Iterator[None]:
    """Takes the virtual tokens' hidden states out of what the trunk gives, before anybody else sees
    them.
    """

    def cut(_: torch.nn.Module, __: object, output: Any) -> Any:
        hidden = output.last_hidden_state
        output.last_hidden_state = torch.cat([hidden[:, :after], hidden[:, after + count :]], 1)
        return output

    handle = trunk.register_forward_hook(cut, prepend=True)
    try:
        yield
    finally:
        handle.remove()
