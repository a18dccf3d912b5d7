"""A second device for machines without a GPU: its arithmetic is the CPU's, its rules are CUDA's.

Tensors on ``strict`` and on ``cpu`` do not mix (those without dimensions may, as on CUDA). What
makes CUDA wait is counted with the line that asked for it: ``.item()``, ``float(t)``, ``nonzero``,
boolean indices, copies to the CPU. Copies from it are counted apart.

    with StrictMode():
        place(model)                  # parameters become new objects: build the optimizer after it
        step()
    waits(), copies()                 # {"tunesmith/machine/device.py:138": 1, ...}

It is no test of CUDA's kernels. It stands on torch's hook for private devices, which is marked
experimental: where a new torch drops it, the tests that import this module say so.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME = "strict"


class _Module(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16, torch.float32]


_setup_privateuseone_for_python_backend(NAME, _Module())  # once a process
DEVICE = torch.device(f"{NAME}:0")

WAITING = {
    *("aten._local_scalar_dense", "aten.equal", "aten.nonzero", "aten.masked_select"),
    *("aten._unique2", "aten.unique_dim", "aten.is_nonzero", "aten.bincount"),
}
COPYING = {"aten._to_copy", "aten.copy_"}
INDEXING = {"aten.index", "aten.index_put", "aten.index_put_"}
_waits: Counter[str] = Counter()
_copies: Counter[str] = Counter()


def waits() -> dict[str, int]:
    """How often each line has made the device wait since the last ``reset``."""
    return dict(_waits)


def copies() -> dict[str, int]:
    """How often each line has sent a tensor to the device since the last ``reset``."""
    return dict(_copies)


def reset() -> None:
    """Forgets what was counted."""
    _waits.clear()
    _copies.clear()


class Strict(torch.Tensor):
    """Says that it is on ``strict``, and keeps its numbers in ``raw`` on the CPU."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> Strict:
        how: Any = {"dtype": raw.dtype, "device": DEVICE}
        how |= {"strides": raw.stride(), "storage_offset": raw.storage_offset()}
        made = torch.Tensor._make_wrapper_subclass(cls, raw.size(), **how)
        made.raw = raw
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Strict({self.raw!r})"

    def tolist(self) -> Any:
        """Torch has none for tensors of a class of their own."""
        _waits[_line()] += 1
        return self.raw.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """Catches ``torch.tensor(numbers, device="strict")``, which no dispatch mode sees."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and _on_strict(named.get("device")):
            return func(*args, **{**named, "device": "cpu"}).to(DEVICE)
        return func(*args, **named)


class StrictMode(TorchDispatchMode):
    """Catches what makes tensors on the device, and what moves them there."""

    def __enter__(self) -> StrictMode:
        self._numbers = _FromNumbers()
        self._numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._numbers.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def place(module: torch.nn.Module) -> torch.nn.Module:
    """Moves weights and buffers to the device; weights that are tied stay tied."""
    moved: dict[int, torch.nn.Parameter] = {}
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None and not isinstance(weight.data, Strict):
                if id(weight) not in moved:
                    moved[id(weight)] = torch.nn.Parameter(
                        Strict(weight.data), requires_grad=weight.requires_grad
                    )
                part._parameters[name] = moved[id(weight)]
        for name, buffer in part._buffers.items():
            if buffer is not None and not isinstance(buffer, Strict):
                part._buffers[name] = Strict(buffer)
    return module


def _line() -> str:
    """The innermost line of tunesmith, else of whoever called torch."""
    frame, fallback = sys._getframe(2), ""
    while frame is not None:
        file = frame.f_code.co_filename
        if "/tunesmith/" in file and "site-packages" not in file and "/tests/" not in file:
            return f"{file.rpartition('/tunesmith/')[2]}:{frame.f_lineno}"
        if not fallback and ("/transformers/" in file or "/peft/" in file):
            fallback = f"{file.rpartition('site-packages/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return fallback or "?"


def _on_strict(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _count(name: str, args: Any, asked: Any, here: list[Any], there: list[Any]) -> None:
    """Counts a wait or a copy; RuntimeError where tensors of two places mix."""
    if here and name in WAITING:
        _waits[_line()] += 1
    if name in COPYING:
        if name == "aten._to_copy":
            stays = asked is None
            to_strict, from_strict = _on_strict(asked), bool(here)
        else:
            stays = False
            to_strict, from_strict = isinstance(args[0], Strict), isinstance(args[1], Strict)
        if from_strict and not to_strict and not stays:
            _waits[_line()] += 1
        if to_strict and not from_strict:
            _copies[_line()] += 1
        return
    if name in INDEXING and here:
        index = [one for one in args[1] if one is not None]
        # CUDA takes an index on the CPU and waits for its copy; a mask becomes places, and waits.
        if any(one.dtype == torch.bool or not isinstance(one, Strict) for one in index):
            _waits[_line()] += 1
        there = [one for one in there if not any(one is other for other in index)]
    if here and there:
        raise RuntimeError(f"{name}: tensors on {NAME} and on cpu, at {_line()}")


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    leaves = tree_leaves((args, kwargs))
    here = [leaf for leaf in leaves if isinstance(leaf, Strict)]
    there = [
        leaf
        for leaf in leaves
        if isinstance(leaf, torch.Tensor) and not isinstance(leaf, Strict) and leaf.dim() > 0
    ]
    name, asked = str(func).rpartition(".")[0], kwargs.get("device")
    _count(name, args, asked, here, there)
    to_strict = _on_strict(asked)
    to_cpu = name == "aten._to_copy" and bool(here) and asked is not None and not to_strict
    if name == "aten.copy_" and not isinstance(args[0], Strict):
        to_cpu = True
    plain, named = tree_map(
        lambda leaf: leaf.raw if isinstance(leaf, Strict) else leaf, (args, dict(kwargs))
    )
    if to_strict:
        named["device"] = torch.device("cpu")
    if "pin_memory" in named:
        named["pin_memory"] = False
    out = func(*plain, **named)
    if not ((here and not to_cpu) or to_strict):
        return out
    in_place = func._schema.is_mutable and args and isinstance(args[0], Strict)
    if in_place and (out is args[0].raw or name == "aten.copy_"):
        return args[0]
    return tree_map(lambda one: Strict(one) if isinstance(one, torch.Tensor) else one, out)
