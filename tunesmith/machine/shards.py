"""Divided tensors on the disk: each process writes what it holds of them, as safetensors that say
where each part belongs, and any number of processes reads them (torch's distributed checkpoint).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from torch.distributed.checkpoint import (
    CheckpointException,
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
    load,
    save,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from tunesmith.machine.parallel import Processes, reaching_all
from tunesmith.models.structure.divided import own_part

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

FILE_BYTES = 2**30
"""Bytes of one process in one file: torch holds the content of a file once more while it writes."""


def write_shards(tensors: Mapping[str, DTensor], folder: Path, processes: Processes) -> list[Path]:
    """Writes what this process holds of each tensor into ``folder``, and returns its files; every
    process enters it. Raises OSError, in all of them, where the disk refuses one.
    """
    writer = HuggingFaceStorageWriter(
        str(folder), fqn_to_index_mapping=_file_of_each(tensors), save_distributed=True
    )
    try:
        with reaching_all():
            save(dict(tensors), storage_writer=writer)
    except CheckpointException as error:
        raise _first(error) from None
    # torch counts the processes in the names of their files from 1.
    return sorted(folder.glob(f"shard-{processes.rank + 1:05d}-*"))


def _file_of_each(tensors: Mapping[str, DTensor]) -> dict[str, int]:
    number, size, file_of = 1, 0, {}
    for name, tensor in tensors.items():
        part = own_part(tensor).nbytes
        if size and size + part > FILE_BYTES:
            number, size = number + 1, 0
        file_of[name] = number
        size += part
    return file_of


def read_shards(folder: Path, like: Callable[[str], torch.Tensor]) -> dict[str, torch.Tensor]:
    """Reads the tensors in ``folder``, each divided as the weight ``like(name)`` of its shape is:
    this process's parts alone are read, or the whole where the weight is whole. No process waits
    for another.
    """
    reader = HuggingFaceStorageReader(str(folder))
    tensors = {
        name: torch.empty_like(like(name).detach(), dtype=stored.properties.dtype)
        for name, stored in reader.read_metadata().state_dict_metadata.items()
        if isinstance(stored, TensorStorageMetadata)  # these files hold nothing else
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # as it is asked to be
        try:
            load(tensors, storage_reader=reader, no_dist=True)
        except CheckpointException as error:
            raise _first(error) from None
    return tensors


def tensors_in(file: Path) -> dict[str, torch.Tensor]:
    """Returns the tensors of a safetensors file, mapped: they are read when they are used."""
    with safe_open(file, "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (it is no mapping)


def _first(error: CheckpointException) -> BaseException:
    """Returns the error itself, of the first process that has one."""
    return error.failures[min(error.failures)][0]
