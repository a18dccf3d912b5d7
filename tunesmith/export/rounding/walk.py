"""A walk through the blocks of a decoder: each is seen with the inputs that it gets once those
before it are rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch

Rounds = Callable[[str, torch.nn.Linear, torch.Tensor], None]


class _Enough(Exception):
    """The end of a forward that has given the first block's inputs."""


def block_list(model: Any) -> torch.nn.ModuleList | None:
    """Returns the list of a decoder's blocks; None where there is not exactly one."""
    count = model.config.get_text_config().num_hidden_layers
    lists = [
        part
        for part in model.modules()
        if isinstance(part, torch.nn.ModuleList) and len(part) == count
    ]
    return lists[0] if len(lists) == 1 else None


@torch.no_grad()
def walk(
    model: Any,
    rows: Sequence[np.ndarray],
    do: Rounds,
    *,
    only: str = "",
    width: int | None = None,
    tell: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Calls ``do(name, layer, hessian)`` for every linear layer in the blocks whose name ends in
    ``only``, in their order; it may change the weight. ``hessian`` [I, I] is the mean over the
    tokens of ``rows`` (ids) of the products of inputs; with ``width`` it is [I / width, width,
    width], of inputs that stand beside each other alone, which costs so many times less. ``tell``
    hears how many of the blocks are done.
    """
    blocks = block_list(model)
    assert blocks is not None, "the blocks were looked for before"
    inputs = _first_inputs(model, blocks[0], rows)
    names = {part: name for name, part in model.named_modules()}
    for done, block in enumerate(blocks, 1):
        layers = {
            names[part]: part
            for part in block.modules()
            if isinstance(part, torch.nn.Linear) and names[part].endswith(only)
        }
        sums = _hessians(block, layers, inputs, width)
        for name, layer in layers.items():
            do(name, layer, sums.pop(name))
        inputs = [(_first(block(hidden, **options)), options) for hidden, options in inputs]
        tell(done, len(blocks))


def _first_inputs(
    model: Any, block: torch.nn.Module, rows: Sequence[np.ndarray]
) -> list[tuple[torch.Tensor, dict[str, Any]]]:
    """Collects what the first block is given for each row: its hidden states and all else."""
    calls: list[tuple[torch.Tensor, dict[str, Any]]] = []

    def caught(_: torch.nn.Module, args: tuple[Any, ...], how: dict[str, Any]) -> None:
        calls.append((args[0] if args else how.pop("hidden_states"), how))
        raise _Enough

    handle = block.register_forward_pre_hook(caught, with_kwargs=True)
    try:
        for row in rows:
            try:
                model(input_ids=torch.as_tensor(row, dtype=torch.long)[None], use_cache=False)
            except _Enough:
                continue
    finally:
        handle.remove()
    return calls


def _hessians(
    block: torch.nn.Module,
    layers: dict[str, torch.nn.Linear],
    inputs: list[tuple[torch.Tensor, dict[str, Any]]],
    width: int | None,
) -> dict[str, torch.Tensor]:
    """Averages the products of inputs of each layer over all tokens."""
    sums = {name: _none(layer.in_features, width) for name, layer in layers.items()}
    tokens = sum(hidden.shape[1] for hidden, _ in inputs)

    def watch(name: str) -> Callable[..., None]:
        def seen(_: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            flat = args[0].reshape(-1, args[0].shape[-1])
            if width is None:
                sums[name].addmm_(flat.T, flat, alpha=1 / tokens)
            else:
                apart = flat.reshape(len(flat), -1, width)
                sums[name].baddbmm_(apart.permute(1, 2, 0), apart.transpose(0, 1), alpha=1 / tokens)

        return seen

    with ExitStack() as stack:
        for name, layer in layers.items():
            handle = layer.register_forward_pre_hook(watch(name))
            stack.callback(handle.remove)
        for hidden, options in inputs:
            block(hidden, **options)
    return sums


def _none(inputs: int, width: int | None) -> torch.Tensor:
    """Returns sums of nothing yet."""
    return (
        torch.zeros(inputs, inputs) if width is None else torch.zeros(inputs // width, width, width)
    )


def _first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output
