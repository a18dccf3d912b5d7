"""A model whose weights are divided over the processes of a run (``train.machine.shard``).

With ``fsdp`` each process holds its part of every weight, and the whole of one block at a time,
while that block computes: torch's FSDP2 (Zhao et al. 2023, "PyTorch FSDP"). With ``tensor`` each
computes with its part, as transformers' plan for the model says (Shoeybi et al. 2019,
"Megatron-LM"); ``load_model`` has divided them, and all processes see the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from tunesmith.machine.device import Device
from tunesmith.machine.parallel import Processes
from tunesmith.machine.shards import FILE_BYTES, tensors_in
from tunesmith.models.structure.divided import is_divided, whole_on_first
from tunesmith.models.structure.layers import stacks


def divide(model: torch.nn.Module, device: Device, *, trained_too: bool) -> None:
    """Divides the weights of ``model`` over the processes, in place, on the run's device.

    Every block is gathered by itself. Embeddings, last norm and head are one group with the
    outermost module: in a group of its own, the head loses its gradient or ends the process (torch
    2.13). Trained weights stay whole on every process unless ``trained_too``: an adapter is small,
    and its gradients are then summed as without division.
    """
    processes = device.processes
    mesh = init_device_mesh(device.place.type, (processes.world,))
    kept = (
        set()
        if trained_too
        else {
            weight_trained for weight_trained in model.parameters() if weight_trained.requires_grad
        }
    )
    for weight in kept:
        # FSDP moves what it divides; what it is told to ignore stays where it was loaded.
        weight.data = weight.data.to(device.place)
    for _, stack in stacks(model):
        for block in stack.children():
            fully_shard(block, mesh=mesh, ignored_params=kept)
    fully_shard(model, mesh=mesh, ignored_params=kept)
    for part in model.modules():
        if isinstance(part, FSDPModule):
            # Our gradient is a sum over the processes, FSDP's an average. gloo knows sums alone.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)


def is_divided_model(model: torch.nn.Module) -> bool:
    """Tells whether ``divide`` was called for it, before a method was put on it."""
    return any(isinstance(part, FSDPModule) for part in model.modules())


def divided_again(model: torch.nn.Module) -> None:
    """Divides what a forward without gradient has left whole: the outermost group."""
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def one_by_one(optimizer: torch.optim.Optimizer) -> None:
    """Makes torch's optimizer move each weight by itself: its joint kernels take no divided weights
    beside whole ones.
    """
    for group in (optimizer.defaults, *optimizer.param_groups):
        group |= {name: False for name in ("fused", "foreach") if name in group}


@contextmanager
def gathered(
    model: torch.nn.Module, device: Device, place: Path, *, trained_too: bool
) -> Iterator[dict[str, torch.Tensor] | None]:
    """Yields all weights of a divided model by name, whole, to the first process (none to the
    others), which can then write the model alone; None where what is trained is whole anyway. Of
    weights that are divided by transformers' plan, an adapter's are yielded alone.

    They are mapped from files in ``place``, which are removed at the end: the first process holds
    ``FILE_BYTES`` of them at once, or one weight. Every process enters it. Raises OSError or
    SafetensorError, in all of them, where the first cannot write.
    """
    if not device.processes.alike:
        # The process that writes would divide it again, and then gather it while the others do not.
        divided_again(model)
        if not trained_too:
            yield None
            return
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    # Parameters themselves, with keep_vars, because tied ones are told by their identity.
    weights = {
        name: value
        for name, value in model.state_dict(keep_vars=True).items()
        if trained_too or name in trained
    }
    with ExitStack() as stack:

        def begin() -> str:
            made = TemporaryDirectory(".files", ".weights.tmp-", place, ignore_cleanup_errors=True)
            return stack.enter_context(made)

        folder = Path(device.processes.on_first(begin))
        yield _through_files(weights, folder, device.processes)


def _through_files(
    weights: Mapping[str, torch.Tensor], folder: Path, processes: Processes
) -> dict[str, torch.Tensor]:
    names: dict[int, str] = {}
    for name, weight in weights.items():
        names.setdefault(id(weight), name)  # tied ones stay one
    mapped: dict[str, torch.Tensor] = {}
    joined: dict[str, torch.Tensor] = {}
    size = 0

    def put_away() -> None:
        file = folder / f"{len(mapped)}.safetensors"
        save_file(joined, file)
        joined.clear()
        mapped.update(tensors_in(file))

    for name, weight in weights.items():
        if names[id(weight)] != name:
            continue
        value = whole_on_first(weight.detach(), first=processes.first)
        if processes.first:
            joined[name] = value.to("cpu", copy=not is_divided(weight)).contiguous()
        size += weight.nbytes
        if size >= FILE_BYTES:
            processes.on_first(put_away)
            size = 0
    if size:
        processes.on_first(put_away)
    kept = {name: names[id(weight)] for name, weight in weights.items()}
    return {name: mapped[first] for name, first in kept.items() if first in mapped}
