"""A model whose weights are divided over the processes of a run (``train.machine.shard: fsdp``).

Each process holds its part of every weight, and the whole of one block at a time, while that block
computes: torch's FSDP2 (Zhao et al. 2023, "PyTorch FSDP").
"""

from __future__ import annotations

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from tunesmith.machine.device import Device
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


def gathered(model: torch.nn.Module, *, trained_too: bool) -> dict[str, torch.Tensor] | None:
    """Returns all weights of a divided model by name, whole, in the host's memory of the first
    process (none in the others); None where what is trained is whole anyway. Every process enters
    it, and can then write the model alone.
    """
    # After an evaluation the outermost group is still whole. The process that writes divides it
    # again, and would then gather it while the others do not.
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()
    if not trained_too:
        return None
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    found = get_model_state_dict(model, options=options)
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
