"""Adapters of our own beside a base: switched off like peft's, saved with a small config, made
again by their method.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

import torch

from tunesmith.models.adapters.layers.hooked import HookedLayer
from tunesmith.models.structure.heads import train_head
from tunesmith.settings.family import METHODS
from tunesmith.settings.spec import Spec

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FORMAT = "tunesmith_adapter"
"""The key that marks our config; its value is the version of the format."""


ROUNDED = {
    "nf4": "load_in_4bit=True, bnb_4bit_quant_type='nf4', bnb_4bit_use_double_quant=True",
    "int8": "load_in_8bit=True",
}
"""How transformers is told to round a base as ``model.quantize`` does."""


def switchable(model: Any) -> Any:
    """Gives ``model`` a ``disable_adapter()`` that, like peft's, restores the base for as long as
    it is entered.

    A classifier's head is trained beside the adapter, and stays as trained when that is off.
    """
    train_head(model)
    model.disable_adapter = MethodType(_off, model)
    return model


@contextmanager
def _off(model: torch.nn.Module) -> Iterator[None]:
    from peft import PeftModel

    layers = [layer for layer in model.modules() if isinstance(layer, HookedLayer)]
    with ExitStack() as stack:
        if isinstance(model, PeftModel):
            stack.enter_context(PeftModel.disable_adapter(model))
        for layer in layers:
            layer.on = False
        try:
            yield
        finally:
            for layer in layers:
                layer.on = True


def save(model: Any, method: Spec, folder: Path) -> None:
    """Writes the method's settings and every tensor that is trained, or drawn at random, by its
    name in ``model``.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        FORMAT: 1,
        "base_model_name_or_path": model.config.name_or_path,
        "method": method.model_dump(mode="json"),
    }
    (folder / CONFIG).write_text(json.dumps(facts, indent=2, ensure_ascii=False), encoding="utf-8")
    save_file(
        {name: tensor.contiguous() for name, tensor in _tensors(model).items()},
        folder / WEIGHTS,
        {"format": "pt"},
    )


def is_own(folder: Path) -> bool:
    """Tells whether ``folder`` holds an adapter in this format."""
    path = folder / CONFIG
    return path.is_file() and FORMAT in json.loads(path.read_text(encoding="utf-8"))


def method_of(folder: Path) -> Any:
    """Returns the method that made the adapter in ``folder``, with its settings; raises ValueError
    for the format of a later version.
    """
    facts = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if facts[FORMAT] != 1:
        raise ValueError(f"{FORMAT} {facts[FORMAT]}")
    return METHODS.make(METHODS.config(facts["method"]))


def serving(
    base: Path,
    folder: Path,
    *,
    loader: str = "AutoModelForCausalLM",
    labels: int = 0,
    quantize: str | None = None,
) -> tuple[str, ...]:
    """Returns the lines of Python that put the adapter in ``folder`` on its base, loaded with
    transformers' ``loader``.
    """
    options = f", num_labels={labels}" if labels else ""
    options += (
        f", quantization_config=transformers.BitsAndBytesConfig({ROUNDED[quantize]})"
        if quantize
        else ""
    )
    base_, folder_ = (json.dumps(str(path), ensure_ascii=False) for path in (base, folder))
    return (
        "import tunesmith, transformers",
        f"base = transformers.{loader}.from_pretrained({base_}{options})",
        f"model = tunesmith.attach(base, {folder_})",
    )


def load(model: torch.nn.Module, folder: Path) -> Any:
    """Returns ``model`` with the adapter in ``folder``, without gradient; raises ValueError that
    names the tensors that do not fit.
    """
    from safetensors.torch import load_file

    model = method_of(folder).apply(model.requires_grad_(False))
    saved = load_file(folder / WEIGHTS)
    places = dict(model.named_parameters()) | dict(model.named_buffers())
    odd = [name for name in _tensors(model) if name not in saved]
    odd += [
        name
        for name, tensor in saved.items()
        if name not in places or tensor.shape != places[name].shape
    ]
    if odd:
        raise ValueError(", ".join(sorted(odd)[:3]))
    with torch.no_grad():
        for name, tensor in saved.items():
            places[name].copy_(tensor)
    return model.requires_grad_(False).eval()


def merge(model: torch.nn.Module) -> Any:
    """Folds all adapters into the base, one after the other, and returns it."""
    from peft import PeftModel

    while isinstance(model, PeftModel):
        _place_heads(model.get_base_model())
        model = model.merge_and_unload()  # type: ignore[operator]
    for part in list(model.modules()):
        for child in list(part.children()):
            if isinstance(child, HookedLayer):
                child.fold(part)
    return model


def _place_heads(inner: torch.nn.Module) -> None:
    """Puts a head that was trained whole into its place; peft does so only for single layers, and
    RoBERTa's head has several.
    """
    from peft.utils.other import ModulesToSaveWrapper

    for name, part in list(inner.named_modules()):
        if isinstance(part, ModulesToSaveWrapper):
            parent, _, name_of_part = name.rpartition(".")
            setattr(
                inner.get_submodule(parent),
                name_of_part,
                part.modules_to_save[part.active_adapters[0]],
            )


def _tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    trained = {
        name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad
    }
    kept = model.state_dict().keys()
    return trained | {name: buffer for name, buffer in model.named_buffers() if name in kept}
