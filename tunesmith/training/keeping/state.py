"""What a checkpoint holds: every value that the next step reads, as safetensors and JSON; no pickle
is written or read.
"""

from __future__ import annotations

import hashlib
import json
import platform
import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from safetensors.torch import save_file

from tunesmith.errors import CheckpointError
from tunesmith.machine.device import Device
from tunesmith.machine.parallel import Processes
from tunesmith.machine.shards import read_shards, tensors_in, write_shards
from tunesmith.models.structure.divided import divided_like, is_divided, whole_on_first
from tunesmith.plain import JsonObject, Named
from tunesmith.settings.run import Run
from tunesmith.words import say

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

FACTS = "state.json"

# What may differ between a run and its continuation: where it lies, what is shown, and the machine.
FREE = (
    *("out", "lang", "track", "questions", "prove", "generate", "launch", "processes"),
    *("train.machine", "train.keep.keep", "train.keep.save", "train.keep.final", "source.server"),
)


class Part(Protocol):
    """A piece of the run that the next step reads."""

    def state(self) -> dict[str, Any]:
        """Returns its tensors and its facts by name; a fact is what JSON holds."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        ...


@dataclass(frozen=True)
class Captured:
    """A state as it is written: whole tensors by part, facts, and the tensors by part of which each
    process writes what it holds.
    """

    files: dict[str, dict[str, torch.Tensor]]
    facts: dict[str, Any]
    divided: dict[str, dict[str, DTensor]]

    def write(self, folder: Path) -> None:
        """Writes what is whole, in one process."""
        for name, tensors in self.files.items():
            save_file(_apart(tensors), folder / f"{name}.safetensors")
        (folder / FACTS).write_text(json.dumps(self.facts), encoding="utf-8")

    def write_shards(self, folder: Path, processes: Processes) -> list[Path]:
        """Writes what this process holds of what is divided, and returns its files; every process
        enters it. Raises OSError, in all of them, where the disk refuses one.
        """
        return [
            file
            for name, tensors in self.divided.items()
            for file in write_shards(tensors, folder / name, processes)
        ]


class State:
    """The whole state of one run: the parts by name, each with its tensors in its own file and its
    facts among those of all. ``identity`` says whose run it is, ``weights`` are the trained ones by
    name. What is divided is written by each process for itself where it is ``in_shards``, else
    whole by the first.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        device: Device,
        *,
        identity: JsonObject,
        weights: Mapping[str, torch.Tensor],
        in_shards: bool = False,
    ) -> None:
        # What draws while it loads must not move the generators, so they come last.
        self.parts = {**parts, "random": Generators(device)}
        self.device, self.identity = device, identity
        self.weights, self.in_shards = weights, in_shards

    def capture(self) -> Captured:
        """Returns the state as it is now; all ranks must call it together, because each has its own
        random numbers.
        """
        files: dict[str, dict[str, torch.Tensor]] = {}
        divided: dict[str, dict[str, DTensor]] = {}
        facts_of: dict[str, JsonObject] = {}
        for name, part in self.parts.items():
            tensors, facts_of[name] = _split(part.state())
            for key, tensor in tensors.items():
                if self.in_shards and is_divided(tensor):
                    divided.setdefault(name, {})[key] = tensor
                else:
                    whole = whole_on_first(tensor, first=self.device.processes.first)
                    files.setdefault(name, {})[key] = whole
        facts = {
            "identity": self.identity,
            "environment": environment(self.device),
            "parts": facts_of,
        }
        return Captured(files, facts, divided)

    def restore(self, folder: Path) -> dict[str, tuple[Any, Any]]:
        """Puts the run where ``folder`` was saved; returns what is different about the machine:
        name, then, now.

        CheckpointError that names each difference when it was saved by another run.
        """
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        # An older checkpoint names what was not free yet.
        theirs = {name: value for name, value in facts["identity"].items() if not _free(name)}
        differences = _differences(theirs, self.identity)
        if differences:
            listed = "\n".join(
                f"  {name}: {then!r} -> {now!r}" for name, (then, now) in differences.items()
            )
            raise CheckpointError(say("train.other_run", folder=folder, differences=listed))
        # Older checkpoints hold the facts of optimizer and generators beside those of the parts.
        by_part = {**facts, **facts["parts"]}
        for name, part in self.parts.items():
            part.load_state({**self._tensors(folder, name), **by_part.get(name, {})})
        return _differences(facts["environment"], environment(self.device))

    def _tensors(self, folder: Path, name: str) -> dict[str, torch.Tensor]:
        file = folder / f"{name}.safetensors"
        shards = folder / name
        tensors = tensors_in(file) if file.is_file() else {}
        if shards.is_dir():
            # What the optimizer remembers of a weight is divided as that is, and named after it.
            tensors |= read_shards(shards, lambda key: self.weights[key.rpartition(":")[2]])
        return tensors


@dataclass(frozen=True)
class Weights:
    """The trained weights as a part, those of trained roles included."""

    named: list[tuple[str, torch.nn.Parameter]]

    def state(self) -> dict[str, Any]:
        """Returns the weights by name."""
        return {name: parameter.detach() for name, parameter in self.named}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        assert set(state) == {name for name, _ in self.named}, (
            "the checkpoint's weights are not those of this model"
        )
        with torch.no_grad():
            for name, parameter in self.named:
                parameter.copy_(divided_like(state[name], parameter))


@dataclass(frozen=True)
class Moments:
    """What the optimizer remembers of each trained weight, as a part."""

    named: list[tuple[str, torch.nn.Parameter]]
    optimizer: torch.optim.Optimizer

    def state(self) -> dict[str, Any]:
        """Returns each value as ``kind:weight``."""
        return {
            f"{kind}:{name}": value
            for name, parameter in self.named
            for kind, value in self.optimizer.state.get(parameter, {}).items()
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        by_name = dict(self.named)
        for key, value in state.items():
            kind, _, name = key.partition(":")
            parameter = by_name[name]
            # AdamW's step counters stay where the optimizer made them: on the CPU unless its kernel
            # is fused.
            if isinstance(value, torch.Tensor) and (
                value.ndim or self.optimizer.defaults.get("fused")
            ):
                value = divided_like(value.to(parameter.device), parameter)
            self.optimizer.state[parameter][kind] = value


@dataclass(frozen=True)
class Generators:
    """The random numbers of torch on every rank, and those of Python and numpy, as a part."""

    device: Device

    def state(self) -> dict[str, Any]:
        """Returns the state of each generator."""
        tensors, numbers = random_state(self.device)
        return {**tensors, **numbers}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        load_random_state(*_split(state), self.device)


def _split(state: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Splits a part's state into its tensors and its facts."""
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    return tensors, {name: value for name, value in state.items() if name not in tensors}


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns contiguous tensors, no two in the same memory, which safetensors refuses; 8-bit
    optimizers share their code books.
    """
    seen: set[int] = set()
    own_memory = {}
    for key, value in tensors.items():
        address = value.data_ptr()
        own_memory[key] = (
            value.clone(memory_format=torch.contiguous_format)
            if address in seen
            else value.contiguous()
        )
        seen.add(address)
    return own_memory


def random_state(device: Device) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Returns the random states of torch on every rank, and those of Python and numpy."""
    tensors = {"torch": device.processes.stack(torch.get_rng_state())}
    if device.place.type == "cuda":
        tensors["cuda"] = device.processes.stack(torch.cuda.get_rng_state(device.place))
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return tensors, {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, gauss],
    }


def load_random_state(
    tensors: dict[str, torch.Tensor], numbers: dict[str, Any], device: Device
) -> None:
    """Restores ``random_state``; a rank that was not there keeps its seed."""
    rank = device.processes.share[0]
    if rank < len(tensors["torch"]):
        # A copy, because torch 2.13 reads a row of a tensor from the tensor's beginning.
        torch.set_rng_state(tensors["torch"][rank].clone())
        if device.place.type == "cuda" and "cuda" in tensors:
            torch.cuda.set_rng_state(tensors["cuda"][rank].clone(), device.place)
    kind, inner, gauss = numbers["python"]
    # JSON made lists of the tuples, which setstate refuses.
    random.setstate((kind, tuple(inner), gauss))
    name, keys, position, has_gauss, cached = numbers["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), position, has_gauss, cached))


def seed_everything(seed: int, rank: int = 0) -> None:
    """Seeds Python, numpy and torch; ranks draw differently."""
    random.seed(seed + rank)
    # numpy takes 32 bits.
    np.random.seed((seed + rank) % 2**32)
    torch.manual_seed(seed + rank)


def environment(device: Device) -> JsonObject:
    """Returns what bit-equality depends on besides the settings."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "peft": version("peft"),
        "threads": device.threads,
        "device": device.place.type,
        "precision": device.precision,
        "ranks": device.processes.world,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        **({} if device.exact else {"exact": False}),
    }


def identity(run: Run, data: str, base: str, micro_tokens: int) -> JsonObject:
    """Identifies a checkpoint: the settings that decide the result, which of them are not the
    default, and fingerprints of data and base.
    """
    given = _flat(run.model_dump(mode="json", exclude_defaults=True))
    settings = {
        name: value for name, value in _flat(run.model_dump(mode="json")).items() if not _free(name)
    }
    settings["train.micro_tokens"] = micro_tokens
    return {**settings, "given": sorted(given), "data": data, "base": base}


def _free(name: str) -> bool:
    return any(name == free or name.startswith(f"{free}.") for free in FREE)


def _flat(value: Named, path: str = "") -> JsonObject:
    flat: JsonObject = {}
    for key, item in value.items():
        flat |= (
            _flat(item, f"{path}{key}.") if isinstance(item, Mapping) else {f"{path}{key}": item}
        )
    return flat


def _differences(then: Named, now: Named) -> dict[str, tuple[Any, Any]]:
    names = {**then, **now}.keys() - {"given", "settings"}
    # A checkpoint that is older than a setting was made with its default, or as if it were off.
    new = {
        name for name in now.keys() - then.keys() if name not in now["given"] or now[name] is False
    }
    return {
        name: (then.get(name), now.get(name))
        for name in sorted(names - new)
        if then.get(name) != now.get(name)
    }


def base_fingerprint(folder: Path) -> str:
    """Hashes the config and, of every weights file, its size, header and 64 evenly spread
    blocks.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}".encode())
        with open(path, "rb") as file:
            # At most 65 blocks of 64 KiB: all of a large base would take as long as loading it, at
            # every start.
            for offset in [0, *range(0, size, max(1, size // 64))]:
                file.seek(offset)
                digest.update(file.read(1 << 16))
    return digest.hexdigest()
