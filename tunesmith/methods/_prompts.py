"""What the methods that train virtual tokens do alike: where these begin, and what peft is told of
them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.errors import Problem, SpecError, first_line
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.models.adapters.soft_prompt import Prompted

Kind = Literal["words", "keys"]


def with_prompt(
    model: torch.nn.Module,
    config: Any,
    kind: Kind,
    encoder: Callable[[torch.Tensor], torch.nn.Module],
    **told: object,
) -> Prompted:
    """Puts virtual tokens, from ``encoder(start)``, before every row of ``model``; ``told`` is what
    peft calls their kind.

    SpecError where the model keeps its keys and values in a form that cannot be given.
    """
    from peft import get_peft_config

    from tunesmith.methods._peft import task_type
    from tunesmith.models.adapters import prompt_in_encoder
    from tunesmith.models.adapters.prompt_starts import drawn, key_shape, started, told_shape, width
    from tunesmith.models.adapters.soft_prompt import Prompted
    from tunesmith.models.structure.heads import train_head
    from tunesmith.models.structure.kinds import kind_of

    try:
        ids = drawn(model, config.tokens, _ids(model, config.init))
        both_ways = kind_of(model.config) != "decoder" and kind == "words"
        layers, heads, _ = told_shape(model.config) if both_ways else key_shape(model)
        if both_ways:
            prompt_in_encoder.refuse_other_words(model)
        start = started(model, kind, ids)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = first_line(error).rstrip(".")
        raise SpecError(
            Problem("method", say("method.cannot_take", method=config.name, error=reason))
        ) from None
    told |= {
        "num_virtual_tokens": config.tokens,
        "num_layers": layers,
        "num_attention_heads": heads,
    }
    told |= {
        "token_dim": width(model, kind) // (2 * layers if kind == "keys" else 1),
        "num_transformer_submodules": 1,
    }
    told |= {
        "task_type": task_type(model),
        "base_model_name_or_path": model.name_or_path,
        "inference_mode": True,
    }
    train_head(model)
    return Prompted(model, encoder(start), get_peft_config(told))


def _ids(model: Any, text: str | None) -> list[int] | None:
    """Returns the tokens of a text; raises SpecError when it has none."""
    if text is None:
        return None
    from tunesmith.models.loading.tokenizer import load_tokenizer

    ids = load_tokenizer(Path(model.name_or_path))(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise SpecError(Problem("method.init", say("method.empty_prompt")))
    return ids


def first_slot(model: Any) -> int:
    """Returns the id of the first ``[P]``, which follows the base's own tokens."""
    from tunesmith.models.loading.tokenizer import load_tokenizer

    return len(load_tokenizer(Path(model.name_or_path)))
