"""Tells what kind of model a configuration describes, and which class of transformers holds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import ModelError, Problem, first_line
from tunesmith.words import say

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class HeadKind:
    """What can stand on a trunk."""

    loader: str
    """transformers' class that loads it; of a vocabulary the one for a decoder."""
    ending: str
    """How the names of the loaded classes end."""
    kinds: frozenset[str]
    """The kinds of model that can carry it."""
    task: str
    """peft's name for it; of a vocabulary the one for a decoder."""
    named: bool = False
    """Whether it has an output for each of the names that ``Outputs`` lists, and is trained
    whatever the method.
    """
    own: bool = False
    """Whether it is the base's own head, the vocabulary's, whose weights its files hold."""


_READS = frozenset({"decoder", "encoder"})
HEADS: dict[str, HeadKind] = {
    "language": HeadKind(
        "AutoModelForCausalLM",
        "ForCausalLM",
        frozenset({"decoder", "encoder-decoder"}),
        "CAUSAL_LM",
        own=True,
    ),
    "classes": HeadKind(
        "AutoModelForSequenceClassification",
        "ForSequenceClassification",
        _READS,
        "SEQ_CLS",
        named=True,
    ),
    "tokens": HeadKind(
        "AutoModelForTokenClassification",
        "ForTokenClassification",
        _READS,
        "TOKEN_CLS",
        named=True,
    ),
    "embedding": HeadKind("AutoModel", "Model", _READS, "FEATURE_EXTRACTION"),
}
"""A vocabulary; an output for each class of a row (or one number), or of a token; or nothing."""


def kind_of(config: Any) -> str:
    """Returns the kind of a model, as ``Method.kinds`` names it: it reads both ways (encoder),
    writes (decoder), or has a side for each.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

    if config.is_encoder_decoder:
        return "encoder-decoder"
    return (
        "encoder"
        if type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
        else "decoder"
    )


def language_class(config: PreTrainedConfig) -> Any:
    """Returns transformers' class for a model that writes text: with an encoder beside its decoder,
    or a decoder alone.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def load_config(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """Loads the folder's config; raises ModelError where there is none."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        ArithmeticError,
        StrictDataclassError,
    ) as error:
        # What a class of settings refuses stands in the cause: heads that do not divide the width.
        cause = error.__cause__ if isinstance(error, StrictDataclassError) else None
        text = say("load.no_config", error=first_line(cause or error))
        raise ModelError(Problem(str(folder), text)) from None


def plain(model: torch.nn.Module) -> Any:
    """Returns the model of transformers inside adapters."""
    from transformers import PreTrainedModel

    return next(part for part in model.modules() if isinstance(part, PreTrainedModel))


def virtual_tokens(model: torch.nn.Module) -> int:
    """Counts the tokens that a trained prompt puts before each row; 0 for a model without one."""
    return int(getattr(model, "virtual_tokens", 0))


def head_of(model: torch.nn.Module) -> str:
    """Returns which of HEADS a model has."""
    inner = plain(model)
    if inner.get_output_embeddings() is not None:
        return "language"
    called = type(inner).__name__
    ends = (name for name, head in HEADS.items() if head.named and called.endswith(head.ending))
    return next(ends, "embedding")


def named(name: str) -> Any:
    """Returns transformers' class of this name."""
    import transformers

    return getattr(transformers, name)


def class_of(config: PreTrainedConfig, head: str) -> Any:
    """Returns transformers' class for a model of this config under one of HEADS."""
    return language_class(config) if head == "language" else named(HEADS[head].loader)


def blocks_and_width(config: PreTrainedConfig) -> tuple[int, int]:
    """Returns how many blocks a model has and how wide they are; 0 where its config says neither by
    the usual names.
    """
    text = config.get_text_config()
    blocks, width = (getattr(text, name, 0) for name in ("num_hidden_layers", "hidden_size"))
    return blocks or 0, width or 0


def heads_of_plan(config: PreTrainedConfig) -> int | None:
    """Returns how many key-value heads a model has that transformers has a plan for, by which
    several processes compute with their parts of its weights; None where there is no plan.
    """
    text = config.get_text_config()
    if not getattr(text, "base_model_tp_plan", None):
        return None
    return getattr(text, "num_key_value_heads", None) or text.num_attention_heads
