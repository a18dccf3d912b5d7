"""What a checkpoint holds: every value that the next step reads, as safetensors and JSON; no pickle
is written or read.
"""

from __future__ import annotations

import hashlib
import json
import platform
import random
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tunesmith.errors import CheckpointError
from tunesmith.machine.device import Device
from tunesmith.methods import Method
from tunesmith.settings.run import Run
from tunesmith.words import say

FACTS = "state.json"

# What may differ between a run and its continuation: where it lies, what is shown, and the machine.
FREE = (
    *("out", "lang", "track", "questions", "prove", "generate"),
    *("train.machine", "train.keep.keep", "train.keep.save", "train.keep.final"),
)


class Part(Protocol):
    """A piece of the run with a JSON state of its own."""

    def state(self) -> dict[str, Any]:
        """What the next step reads."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        ...


class State:
    """Writes and reads the whole state of one run. ``parts`` are its JSON states by name,
    ``identity`` whose run it is.
    """

    def __init__(
        self,
        named: list[tuple[str, torch.nn.Parameter]],
        optimizer: torch.optim.Optimizer,
        method: Method,
        device: Device,
        *,
        parts: Mapping[str, Part],
        identity: dict[str, Any],
    ) -> None:
        self.named, self.optimizer, self.method, self.device = named, optimizer, method, device
        self.parts, self.identity = parts, identity

    def capture(self) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, Any]]:
        """Tensors by file, and facts; all ranks must call it together, because each has its own
        random numbers.
        """
        moments, scalars = self._moments()
        generators, numbers = random_state(self.device)
        files = {
            "weights": {name: parameter.detach() for name, parameter in self.named},
            "optimizer": moments,
            "method": self.method.state(),
            "random": generators,
        }
        facts = {
            "identity": self.identity,
            "environment": environment(self.device),
            "optimizer": scalars,
            "random": numbers,
            "parts": {name: part.state() for name, part in self.parts.items()},
        }
        return files, facts

    def restore(self, folder: Path) -> dict[str, tuple[Any, Any]]:
        """Puts the run where ``folder`` was saved; gives what is different about the machine: name,
        then, now.

        CheckpointError that names each difference when it was saved by another run.
        """
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        differences = _differences(facts["identity"], self.identity)
        if differences:
            listed = "\n".join(
                f"  {name}: {then!r} -> {now!r}" for name, (then, now) in differences.items()
            )
            raise CheckpointError(say("train.other_run", folder=folder, differences=listed))
        weights = _read(folder / "weights.safetensors")
        assert set(weights) == {name for name, _ in self.named}, (
            "the checkpoint's weights are not those of this model"
        )
        with torch.no_grad():
            for name, parameter in self.named:
                parameter.copy_(weights[name])
        self._load_moments(_read(folder / "optimizer.safetensors"), facts["optimizer"])
        self.method.load_state(_read(folder / "method.safetensors"))
        for name, part in self.parts.items():
            part.load_state(facts["parts"][name])
        load_random_state(_read(folder / "random.safetensors"), facts["random"], self.device)
        return _differences(facts["environment"], environment(self.device))

    def _moments(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        tensors: dict[str, torch.Tensor] = {}
        scalars: dict[str, Any] = {}
        for name, parameter in self.named:
            for key, value in self.optimizer.state.get(parameter, {}).items():
                (tensors if isinstance(value, torch.Tensor) else scalars)[f"{key}:{name}"] = value
        return tensors, scalars

    def _load_moments(self, tensors: dict[str, torch.Tensor], scalars: dict[str, Any]) -> None:
        by_name = dict(self.named)
        for key, value in {**tensors, **scalars}.items():
            kind, _, name = key.partition(":")
            parameter = by_name[name]
            # AdamW's step counters stay where the optimizer made them: on the CPU unless its kernel
            # is fused.
            if isinstance(value, torch.Tensor) and (
                value.ndim or self.optimizer.defaults.get("fused")
            ):
                value = value.to(parameter.device)
            self.optimizer.state[parameter][kind] = value


def write(
    folder: Path, files: Mapping[str, dict[str, torch.Tensor]], facts: dict[str, Any]
) -> None:
    """Writes a captured state into ``folder``."""
    for name, tensors in files.items():
        save_file(_apart(tensors), folder / f"{name}.safetensors")
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous tensors, no two in the same memory, which safetensors refuses; 8-bit optimizers
    share their code books.
    """
    seen: set[int] = set()
    found = {}
    for key, value in tensors.items():
        place = value.data_ptr()
        found[key] = (
            value.clone(memory_format=torch.contiguous_format)
            if place in seen
            else value.contiguous()
        )
        seen.add(place)
    return found


def _read(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)


def random_state(device: Device) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The generators of torch on every rank, and those of Python and numpy."""
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
    rank = device.processes.rank
    if rank < len(tensors["torch"]):
        # A copy, because torch 2.13 reads a row of a tensor from the tensor's beginning.
        torch.set_rng_state(tensors["torch"][rank].clone())
        if device.place.type == "cuda" and "cuda" in tensors:
            torch.cuda.set_rng_state(tensors["cuda"][rank].clone(), device.place)
    kind, inner, gauss = numbers["python"]
    random.setstate((kind, tuple(inner), gauss))
    name, keys, position, has_gauss, cached = numbers["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), position, has_gauss, cached))


def seed_everything(seed: int, rank: int = 0) -> None:
    """Seeds Python, numpy and torch; ranks draw differently."""
    random.seed(seed + rank)
    np.random.seed((seed + rank) % 2**32)
    torch.manual_seed(seed + rank)


def environment(device: Device) -> dict[str, Any]:
    """What bit-equality depends on besides the settings."""
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
    }


def identity(run: Run, data: str, base: str, micro_tokens: int) -> dict[str, Any]:
    """Whose checkpoint it is: the settings that decide the result, and fingerprints of data and
    base.
    """
    settings = {
        name: value for name, value in _flat(run.model_dump(mode="json")).items() if not _free(name)
    }
    settings["train.micro_tokens"] = micro_tokens
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return {**settings, "settings": digest, "data": data, "base": base}


def _free(name: str) -> bool:
    return any(name == free or name.startswith(f"{free}.") for free in FREE)


def _flat(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= (
            _flat(item, f"{path}{key}.") if isinstance(item, Mapping) else {f"{path}{key}": item}
        )
    return found


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    # The digest says only that something differs; what does is listed where it is known.
    return {
        name: (then.get(name), now.get(name))
        for name in names
        if name != "settings" or len(names) == 1
    }


def base_fingerprint(folder: Path) -> str:
    """Hash over the config and, of every weights file, its size, header and 64 blocks spread
    evenly.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}".encode())
        with open(path, "rb") as file:
            for place in [0, *range(0, size, max(1, size // 64))]:
                file.seek(place)
                digest.update(file.read(1 << 16))
    return digest.hexdigest()
