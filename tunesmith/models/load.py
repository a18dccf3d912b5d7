"""Models and tokenizers from local folders: safetensors only, one attention implementation, the layout settled by a probe."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.data.sides import KEY
from tunesmith.errors import ModelError, Problem, SpecError
from tunesmith.examples import Outputs
from tunesmith.models import tokens
from tunesmith.spec import METHODS, OBJECTIVES
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.data.render import Render
    from tunesmith.folder import RunFolder
    from tunesmith.models.heads import Head
    from tunesmith.run import Data

FACTS = "tunesmith.json"
"""The file beside a saved model that says how it was made and how it is asked."""


@dataclass
class Loaded:
    """A model ready to run. ``layout`` says how batches must be laid out, ``reasons`` why."""

    model: Any
    tokenizer: Any
    layout: Literal["forest", "padded"]
    reasons: dict[str, str] = field(default_factory=dict)
    quantize: str | None = None
    """How its linear layers are rounded."""
    render: Render | None = None
    """The run's own renderer, for models that come from a run."""
    kept_head: bool = False
    """Whether the classification head is the checkpoint's own, trained for these very classes."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What tunesmith.json tells, for models that come from a run."""

    @property
    def limit(self) -> int | None:
        """The longest row with its answer that the model takes (tokens); None where it says none."""
        limit: int | None = self.model.config.get_text_config().to_dict().get("max_position_embeddings")
        return limit - getattr(self.model, "virtual_tokens", 0) if limit is not None else None

    def lay(self, batch: Any) -> Any:
        """``batch`` in this model's layout, on its device."""
        batch = batch if self.layout == "forest" else batch.padded()
        return batch.to(self.model.get_input_embeddings().weight.device)


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False, add_tokens: tuple[str, ...] = ()) -> Any:
    """The folder's tokenizer with ``add_tokens``; ModelError where there is none."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(Problem(str(folder), say("load.no_tokenizer", error=_first_line(error)))) from None
    if (folder / "config.json").is_file():
        try:
            config = load_config(folder, trust_remote_code=trust_remote_code)
        except ModelError:
            config = None  # what is wrong with it is said where the model is loaded or planned
        if config is not None:
            _tell_sides(tokenizer, config)
    if add_tokens:
        tokens.add_to(tokenizer, add_tokens)
    return tokenizer


def _tell_sides(tokenizer: Any, config: Any) -> None:
    """Gives the tokenizer what the renderer of an encoder–decoder model must know of its config."""
    if not config.is_encoder_decoder:
        return
    names = ("decoder_start_token_id", "bos_token_id")
    start = next((token for name in names if (token := getattr(config, name, None)) is not None), None)
    if start is None:
        raise ModelError(Problem("model.path", say("sides.no_start")))
    end = config.eos_token_id[0] if isinstance(config.eos_token_id, list) else config.eos_token_id
    tokenizer.init_kwargs[KEY] = {"start": start, "end": end}


def load_config(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The folder's config; ModelError where there is none."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(Problem(str(folder), say("load.no_config", error=_first_line(error)))) from None


def kind_of(config: Any) -> str:
    """Which kind of model this is, as ``Method.kinds`` names it: it reads both ways (encoder), writes, or has a side for each."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

    if config.is_encoder_decoder:
        return "encoder-decoder"
    return "encoder" if type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False) else "decoder"


def language_class(config: Any) -> Any:
    """transformers' class for a model that writes text: with an encoder beside its decoder, or a decoder alone."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def load_model(
    folder: Path,
    *,
    dtype: torch.dtype,
    device: Any,
    trust_remote_code: bool = False,
    quantize: str | None = None,
    add_tokens: tuple[str, ...] = (),
    head: Head = "language",
    outputs: Outputs | None = None,
) -> Loaded:
    """The model of a folder under the head asked for, all weights without gradient, in evaluation mode.

    ``outputs`` are those of a head of classes. ModelError where the model is of a kind that cannot carry the head.
    """
    import torch

    from tunesmith.models.heads import HEADS, told_of_head
    from tunesmith.models.probe import own_head, settle
    from tunesmith.models.quantize import make_steady, placed

    config = load_config(folder, trust_remote_code=trust_remote_code)
    how = {"dtype": dtype, "use_safetensors": True, "local_files_only": True, "trust_remote_code": trust_remote_code}
    how |= placed(quantize, dtype, device, whole=HEADS if head == "classes" else ()) if quantize else {}
    model, kept = _weights(folder, config, head, outputs, how)
    if quantize:
        make_steady(model)
    else:
        model = model.to(device)
    model.eval().requires_grad_(False)
    tokenizer = load_tokenizer(folder, trust_remote_code=trust_remote_code)
    if add_tokens:
        tokens.grow(model, tokenizer, add_tokens)
    layout, reason = "padded", say("load.own_attention")
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
    reasons = {"layout": reason} | ({"head": told_of_head(outputs, kept)} if outputs is not None else {})
    return Loaded(model, tokenizer, layout, reasons, quantize, kept_head=kept)  # type: ignore[arg-type]


def _pad_token(model: Any, tokenizer: Any) -> None:
    """transformers finds a row's last token by the padding's id, so whoever loads the saved model needs one."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id


def _weights(folder: Path, config: Any, head: Head, outputs: Outputs | None, how: dict[str, Any]) -> tuple[Any, bool]:
    """The model, and whether its classification head is the checkpoint's own."""
    from transformers.utils import logging

    from tunesmith.models.heads import load_headed, refuse_kind

    logging.disable_progress_bar()  # ours says what is loading
    refuse_kind(folder, config, head)
    try:
        if head != "language":
            return load_headed(folder, config, head, outputs, **how)
        return language_class(config).from_pretrained(folder, config=config, **how), False
    except ValueError as error:
        key = "load.not_causal" if head == "language" else "heads.no_class"
        raise ModelError(Problem(str(folder), say(key, error=_first_line(error)))) from None
    except OSError as error:
        raise ModelError(Problem(str(folder), say("load.no_weights", error=_first_line(error)))) from None


def take_over_attention(model: Any) -> bool:
    """Sets the model's attention to the forest's, once; False for a class older than the attention interface.

    Such a class would take the name, or another mask with it, and compute something else without a word.
    """
    from tunesmith.models.forest import NAME, register

    if not getattr(model, "_supports_attention_backend", False):
        return False
    register()
    model.set_attn_implementation(NAME)
    return True


def load_run(folder: RunFolder, *, tuned: bool = True, dtype: torch.dtype | None = None) -> Loaded:
    """A run's model with its adapter attached, or its base (``tuned=False``), and the run's own renderer.

    ``dtype`` is the base's; that of the run when not given.
    """
    from tunesmith.models.heads import head_in
    from tunesmith.models.hub import folder_of

    run = folder.resolved().run
    place = folder.model
    if not (place / FACTS).is_file():
        key = "load.still_training" if folder.busy else "load.no_run_model"
        raise ModelError(Problem(str(place), say(key, folder=str(folder.path))))
    device, own = _place(run.train.machine)
    adapter = (place / "adapter_config.json").is_file()
    source = folder_of(run.model) if adapter or not tuned else place
    told = json.loads((place / FACTS).read_text(encoding="utf-8"))
    how = {"trust_remote_code": run.model.trust_remote_code, **head_in(told)}
    how |= {"quantize": run.model.quantize, "add_tokens": run.model.add_tokens} if source != place else {}
    loaded = load_model(source, dtype=dtype or own, device=device, **how)
    if adapter and (tuned or METHODS.make(run.method).slots):
        loaded.model = attach(loaded.model, place)
    if METHODS.make(run.method).slots:
        # Rows with virtual tokens inside them mean nothing to a base that does not know how to leave them out.
        loaded.layout, loaded.model.on = "padded", tuned
    loaded.tokenizer = load_tokenizer(place)
    loaded.render, loaded.facts = renderer(place, loaded.tokenizer, run.data), told
    return loaded


def attach(model: Any, place: Path) -> Any:
    """``model`` with the adapter in ``place``; ModelError when that was made for another base."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    from tunesmith.models import own, rounding
    from tunesmith.models.prompted import prompted

    try:
        if own.is_own(place):
            return own.load(model, place)
        with_prompt = prompted(model, place)
        if with_prompt is not None:
            return with_prompt
        model = rounding.with_adapter(model, place).eval()
        with safe_open(place / "adapter_model.safetensors", "pt") as file:
            odd = set(file.keys()) ^ set(get_peft_model_state_dict(model))
    except (RuntimeError, ValueError, KeyError, SpecError) as error:
        raise ModelError(Problem(str(place), say("load.other_base", error=" ".join(str(error).split("\n")[:2])[:300]))) from None
    if odd:
        # peft leaves such a layer at its start, or leaves it out.
        raise ModelError(Problem(str(place), say("load.other_base", error=", ".join(sorted(odd)[:3]))))
    return model


def gates(model: Any) -> list[tuple[Any, int]]:
    """The routers of a mixture of experts, each with the place of its logits in what it gives, as the class says it."""
    found: dict[Any, int] = {}
    for part in model.modules():
        told = (getattr(part, "_can_record_outputs", None) or {}).get("router_logits")
        for recorder in told if isinstance(told, list) else [told] if told else []:
            kind, index = (getattr(recorder, "target_class", recorder), getattr(recorder, "index", 0))
            found |= {gate: index for gate in part.modules() if isinstance(gate, kind)}
    return list(found.items())


def renderer(place: Path, tokenizer: Any, data: Data) -> Render:
    """The renderer of a saved model; ModelError when it gives other tokens than in training."""
    from tunesmith.data.render import Render

    told = json.loads((place / FACTS).read_text(encoding="utf-8"))
    objective = OBJECTIVES.get(told["objective"])
    render = Render(tokenizer, data, max_length=data.max_length, head=objective.head, eats=objective.eats)
    if render.fingerprint != told["template_fingerprint"]:
        raise ModelError(Problem(str(place), say("load.template_changed")))
    return render


def _place(machine: Any) -> tuple[torch.device, torch.dtype]:
    """The run's device and type where this machine has it; a CPU computes in fp32, which is faster there than bf16."""
    import torch

    if machine.device == "cuda" and torch.cuda.is_available():
        types = {"bf16": torch.bfloat16, "fp16": torch.float16}
        return torch.device("cuda"), types.get(machine.precision, torch.float32)
    return torch.device("cpu"), torch.float32


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
