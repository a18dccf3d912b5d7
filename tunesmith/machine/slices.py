"""The weights of a divided model, read part by part: each process reads from the files what it
holds, and never the whole.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import torch
from safetensors import safe_open
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from tunesmith.errors import ModelError, Problem
from tunesmith.machine.device import Device
from tunesmith.machine.sharding import divide
from tunesmith.models.structure.divided import is_divided, own_part
from tunesmith.storage.headers import headers
from tunesmith.words import say


def in_files(model: torch.nn.Module, folder: Path) -> bool:
    """Tells whether every weight of ``model`` stands in the folder's safetensors under its own name
    and in its own shape; where transformers renames or joins what it reads, they do not.
    """
    shapes = {name: shape for name, shape, _ in headers(folder)}
    return all(
        shapes.get(name) == list(weight.shape)
        for name, weight in [*model.named_parameters(), *_kept_buffers(model)]
    )


def read_parts(
    model: torch.nn.Module, folder: Path, device: Device, *, dtype: torch.dtype, trained: bool
) -> torch.nn.Module:
    """Divides a model that has no memory for its weights yet, and reads this process's part of each
    from the files.
    """
    model = model.to(dtype).eval().requires_grad_(trained)
    divide(model, device, trained_too=True)
    model.to_empty(device=device.place)
    _compute_tables(model)  # first, because a module may draw its weights with them
    files: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            files |= dict.fromkeys(opened.keys(), file)
    wanted = defaultdict(list)
    for name, weight in [*model.named_parameters(), *_kept_buffers(model)]:
        wanted[files[name]].append((name, weight))
    for file, weights in wanted.items():
        with safe_open(file, "pt") as opened, torch.no_grad():
            for name, weight in weights:
                _read(opened.get_slice(name), weight)
    _refuse_not_finite(model, folder, device)
    return model


def _read(stored: object, weight: torch.Tensor) -> None:
    part = own_part(weight.detach())
    if not part.numel():
        return
    cut = tuple(slice(0, size) for size in weight.shape)
    if is_divided(weight):
        shape, start = compute_local_shape_and_global_offset(
            weight.shape,
            weight.device_mesh,  # type: ignore[attr-defined]
            weight.placements,  # type: ignore[attr-defined]
        )
        cut = tuple(slice(at, at + size) for at, size in zip(start, shape, strict=True))
    part.copy_(stored[cut or ...])  # type: ignore[index]


def _kept_buffers(model: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Returns the buffers that are saved with a model."""
    saved = model.state_dict(keep_vars=True)
    return [(name, buffer) for name, buffer in model.named_buffers() if name in saved]


def _compute_tables(model: torch.nn.Module) -> None:
    """Computes again what no file holds, such as the frequencies of rotary positions."""
    for module in model.modules():
        if module._non_persistent_buffers_set:
            model._init_weights(module)  # type: ignore[operator]


def _refuse_not_finite(model: torch.nn.Module, folder: Path, device: Device) -> None:
    not_finite = [
        name
        for name, weight in model.named_parameters()
        if not bool(torch.isfinite(own_part(weight.detach())).all())
    ]
    names = sorted({name for part in device.processes.everyones(not_finite) for name in part})
    if names:
        text = say("load.not_finite", names=", ".join(names[:4]), count=len(names))
        raise ModelError(Problem(str(folder), text))
