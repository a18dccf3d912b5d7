"""A model whose weights are divided over the processes of a run (``train.machine.shard``).

With ``fsdp`` each process holds its part of every weight, and the whole of one block at a time,
while that block computes: torch's FSDP2 (Zhao et al. 2023, "PyTorch FSDP"). With ``tensor`` each
computes with its part, as transformers' plan for the model says (Shoeybi et al. 2019,
"Megatron-LM"); ``load_model`` has divided them, and all processes see the same rows.
"""

from __future__ import annotations

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from tunesmith.machine.device import Device
from tunesmith.models.structure.divided import whole_on_first
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
    kept = set() if trained_too else {one for one in model.parameters() if one.requires_grad}
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


def gathered(
    model: torch.nn.Module, device: Device, *, trained_too: bool
) -> dict[str, torch.Tensor] | None:
    """Returns all weights of a divided model by name, whole, in the host's memory of the first
    process (none in the others); None where what is trained is whole anyway. Of weights that are
    divided by transformers' plan, an adapter's are returned alone. Every process enters it, and can
    then write the model alone.
    """
    if device.processes.alike:
        return _of_parts(model, device, trained_only=not trained_too)
    # The process that writes would divide it again, and then gather it while the others do not.
    divided_again(model)
    if not trained_too:
        return None
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    found = get_model_state_dict(model, options=options)
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def _of_parts(
    model: torch.nn.Module, device: Device, *, trained_only: bool
) -> dict[str, torch.Tensor]:
    trained = {name for name, one in model.named_parameters() if one.requires_grad}
    found: dict[str, torch.Tensor] = {}
    known: dict[int, torch.Tensor] = {}  # tied weights stay one
    for name, value in model.state_dict(keep_vars=True).items():
        if name in trained or not trained_only:
            if id(value) not in known:
                whole = whole_on_first(value.detach(), first=device.processes.first)
                known[id(value)] = whole.cpu()
            found[name] = known[id(value)]
    return found
