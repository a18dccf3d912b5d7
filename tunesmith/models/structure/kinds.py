"""Tells what kind of model a configuration describes, and which class of transformers holds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.errors import ModelError, Problem, first_line
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

Head = Literal["language", "classes", "embedding"]


def kind_of(config: Any) -> str:
    """Which kind of model this is, as ``Method.kinds`` names it: it reads both ways (encoder),
    writes, or has a side for each.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

    if config.is_encoder_decoder:
        return "encoder-decoder"
    return (
        "encoder"
        if type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
        else "decoder"
    )


def language_class(config: Any) -> Any:
    """transformers' class for a model that writes text: with an encoder beside its decoder, or a
    decoder alone.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def load_config(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The folder's config; ModelError where there is none."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            Problem(str(folder), say("load.no_config", error=first_line(error)))
        ) from None


def plain(model: torch.nn.Module) -> Any:
    """The model of transformers inside adapters."""
    from transformers import PreTrainedModel

    return next(part for part in model.modules() if isinstance(part, PreTrainedModel))


def virtual_tokens(model: torch.nn.Module) -> int:
    """The tokens that a trained prompt puts before each row; 0 for a model without one."""
    return int(getattr(model, "virtual_tokens", 0))


def head_of(model: torch.nn.Module) -> Head:
    """Which head a model has."""
    inner = plain(model)
    if inner.get_output_embeddings() is not None:
        return "language"
    return "classes" if type(inner).__name__.endswith("ForSequenceClassification") else "embedding"


def class_of(config: Any, head: Head) -> Any:
    """transformers' class for a model of this config under the head."""
    from transformers import AutoModel, AutoModelForSequenceClassification

    if head == "language":
        return language_class(config)
    return AutoModelForSequenceClassification if head == "classes" else AutoModel
