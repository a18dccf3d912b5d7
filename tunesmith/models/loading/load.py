"""Models from local folders: safetensors only, one attention implementation, the layout settled by
a probe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.errors import ModelError, Problem, first_line
from tunesmith.examples import Outputs
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.structure import added_tokens
from tunesmith.models.structure.kinds import HEADS, kind_of, language_class, load_config
from tunesmith.plain import JsonObject
from tunesmith.words import say

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.data.rendering.tokenizers import Tokenizer


@dataclass
class Loaded:
    """A model ready to run. ``layout`` says how batches must be laid out, ``reasons`` why."""

    model: Any
    tokenizer: Tokenizer
    layout: Literal["forest", "padded"]
    reasons: dict[str, str] = field(default_factory=dict)
    quantize: str | None = None
    """How its linear layers are rounded."""
    render: Render | None = None
    """The run's own renderer, for models that come from a run."""
    kept_head: bool = False
    """Whether the classification head is the checkpoint's own, trained for these very classes."""
    facts: JsonObject = field(default_factory=dict)
    """What tunesmith.json tells, for models that come from a run."""

    @property
    def limit(self) -> int | None:
        """The longest row with its answer that the model takes (tokens); None where it says
        none.
        """
        from tunesmith.models.structure.layers import places

        return places(self.model)

    def lay(self, batch: Any) -> Any:
        """Puts ``batch`` into this model's layout, on its device."""
        batch = batch if self.layout == "forest" else batch.padded()
        return batch.to(self.model.get_input_embeddings().weight.device)


def load_model(
    folder: Path,
    *,
    dtype: torch.dtype,
    device: Any,
    trust_remote_code: bool = False,
    quantize: str | None = None,
    add_tokens: tuple[str, ...] = (),
    head: str = "language",
    outputs: Outputs | None = None,
    parts: int = 1,
    fill: Callable[[Any], Any] | None = None,
) -> Loaded:
    """Loads the model of a folder under the head asked for, all weights without gradient, in
    evaluation mode.

    ``outputs`` are those of a head of classes. Of ``parts`` processes that compute together, by
    transformers' plan, each reads its own part of the weights. Where ``fill`` is given, the model
    is built without memory for its weights, which ``fill`` gives them, with gradient or without.
    ModelError where the model is of a kind that cannot carry the head.
    """
    import torch

    from tunesmith.models.calling.probe import own_head, settle
    from tunesmith.models.structure.heads import told_of_head
    from tunesmith.models.structure.quantize import make_steady

    config = load_config(folder, trust_remote_code=trust_remote_code)
    if fill is not None:
        bare = outline(folder, config, head, trust_remote_code=trust_remote_code)
        model, kept = fill(bare).eval(), False
    else:
        options = _places(quantize, dtype, device, head=head, parts=parts)
        options |= {"dtype": dtype, "use_safetensors": True, "local_files_only": True}
        options["trust_remote_code"] = trust_remote_code
        model, kept = weights_under(folder, config, head, outputs, options)
        if quantize:
            make_steady(model)
        elif parts == 1:
            model = model.to(device)
        model.eval().requires_grad_(False)
    tokenizer = load_tokenizer(folder, trust_remote_code=trust_remote_code)
    if add_tokens:
        added_tokens.grow(model, tokenizer, add_tokens)
    layout, reason = "padded", say("load.own_attention")
    # Wide in bf16, which keeps 8 bits: what finds a wrong mask there is the small copy in fp32.
    tolerance = 1e-3 if dtype == torch.float32 else 0.1
    if config.is_encoder_decoder:
        reason = say("load.reads_whole")
        own_head(model, tolerance)
    elif kind_of(config) == "encoder":
        reason = say("heads.layout_encoder")
    elif take_over_attention(model):
        layout, reason = settle(model, tolerance)
    if head != "language":
        _pad_token(model, tokenizer)
    reasons = {"layout": reason}
    if outputs is not None:
        reasons["head"] = told_of_head(outputs, kept)
    return Loaded(model, tokenizer, layout, reasons, quantize, kept_head=kept)  # type: ignore[arg-type]


def _places(
    quantize: str | None, dtype: torch.dtype, device: Any, *, head: str, parts: int
) -> dict[str, Any]:
    """Returns transformers' keywords for where the weights go as they are read."""
    import torch

    from tunesmith.models.structure.heads import PARTS
    from tunesmith.models.structure.quantize import placed

    if parts > 1:
        from transformers.distributed import DistributedConfig

        return {"distributed_config": DistributedConfig(tp_size=parts)}
    if quantize:
        return placed(quantize, dtype, device, whole=PARTS if HEADS[head].named else ())
    # Tensor by tensor, never whole in the host's memory.
    return {} if torch.device(device).type == "cpu" else {"device_map": {"": device}}


def forget_plan(model: Any) -> None:
    """Takes from a model whose weights were divided by transformers' plan what says so, once a
    method was put on it: saving would else gather, in every process, what the first alone writes.
    """
    for part in model.modules():
        config = getattr(part, "config", None)
        if config is not None and hasattr(config, "distributed_config"):
            del config.distributed_config
        if getattr(part, "_tp_size", None) is not None:
            part._tp_size, part._device_mesh = None, None  # type: ignore[assignment]


def _pad_token(model: Any, tokenizer: Tokenizer) -> None:
    """Sets a padding token: transformers finds a row's last token by its id, so whoever loads the
    saved model needs one.
    """
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id


def weights_under(
    folder: Path, config: Any, head: str, outputs: Outputs | None, how: dict[str, Any]
) -> tuple[Any, bool]:
    """Loads the model, and tells whether its classification head is the checkpoint's own."""
    from transformers.utils import logging

    from tunesmith.models.structure.heads import load_headed, quiet, refuse_kind
    from tunesmith.models.structure.whole import refuse_other_weights

    logging.disable_progress_bar()  # ours says what is loading
    refuse_kind(folder, config, head)
    try:
        if head != "language":
            return load_headed(folder, config, head, outputs, **how)
        # Other shapes are taken here, and refused below with all else that does not fit.
        with quiet():
            model, info = language_class(config).from_pretrained(
                folder,
                config=config,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **how,
            )
    except ValueError as error:
        key = "load.not_causal" if head == "language" else "heads.no_class"
        raise ModelError(Problem(str(folder), say(key, error=first_line(error)))) from None
    except OSError as error:
        raise ModelError(
            Problem(str(folder), say("load.no_weights", error=first_line(error)))
        ) from None
    refuse_other_weights(folder, model, head, info)
    return model, False


def outline(
    folder: Path,
    config: Any,
    head: str,
    outputs: Outputs | None = None,
    *,
    trust_remote_code: bool = False,
) -> Any:
    """Builds the model without memory for its weights, as loading makes it from the headers of its
    files; raises ModelError where the weights are not those of this model.
    """
    options = {
        "device_map": "meta",
        "use_safetensors": True,
        "local_files_only": True,
        "trust_remote_code": trust_remote_code,
    }
    model, _ = weights_under(folder, config, head, outputs if HEADS[head].named else None, options)
    return model


def take_over_attention(model: Any) -> bool:
    """Sets the model's attention to the forest's, once; False for a class older than the attention
    interface.

    Such a class would take the name, or another mask with it, and compute something else without a
    word.
    """
    from tunesmith.models.calling.forest import NAME, register

    if not getattr(model, "_supports_attention_backend", False):
        return False
    register()
    model.set_attn_implementation(NAME)
    return True
