"""Where and how the arithmetic runs: device, precision, threads. Each choice comes with its
reason.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from tunesmith.errors import Problem, SpecError
from tunesmith.machine.allocator import handed_out, keep_freed
from tunesmith.machine.energy import Meter, meter
from tunesmith.machine.memory import GIB
from tunesmith.machine.parallel import Processes, join, local_rank, start_cuda
from tunesmith.models.structure.divided import is_divided, norm_of, scale
from tunesmith.settings.run import Machine
from tunesmith.words import say

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# Those of torch.amp.GradScaler.
FIRST_SCALE, GROW_AFTER = 2.0**16, 2000


@dataclass
class LossScale:
    """Dynamic loss scaling for fp16 (Micikevicius et al. 2018, 3.2): halved on overflow, doubled
    after 2000 clean steps.
    """

    value: float = FIRST_SCALE
    clean: int = 0
    overflows: int = 0

    def overflow(self) -> bool:
        """Halves the scale; returns False when it is already 1, and the gradient itself is at
        fault.
        """
        if self.value <= 1.0:
            return False
        self.value, self.clean, self.overflows = self.value / 2, 0, self.overflows + 1
        return True

    def step(self) -> None:
        """Counts a clean step."""
        self.clean += 1
        if self.clean == GROW_AFTER:
            self.value, self.clean = self.value * 2, 0

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return dict(vars(self))

    def load_state(self, state: Mapping[str, object]) -> None:
        """Restores ``state()``."""
        vars(self).update(state)


@dataclass
class Device:
    """One process's device, and what the loop does on it."""

    place: torch.device
    precision: str
    threads: int
    processes: Processes = field(default_factory=Processes)
    reasons: dict[str, str] = field(default_factory=dict)
    """Why each value was chosen, by the setting's dotted path."""
    scale: LossScale | None = None
    meter: Meter = field(default_factory=Meter)
    """What counts its energy."""
    exact: bool = True
    """Whether the same step gives the same bits when it is made again."""
    divided: bool = False
    """Whether the weights are divided over the processes."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of frozen weights and of autocast."""
        return DTYPES[self.precision]

    @property
    def pass_tokens(self) -> float:
        """Tokens of padding that cost about as much as one pass more: few where a pass starts at
        once, any number where not.
        """
        return 128 if self.place.type == "cpu" else math.inf

    def autocast(self) -> AbstractContextManager[Any]:
        """Turns on mixed precision where the compute type is not fp32."""
        return (
            nullcontext()
            if self.precision == "fp32"
            else torch.autocast(self.place.type, dtype=self.dtype)
        )

    def backward(self, total: torch.Tensor, units: float) -> None:
        """Adds the gradient of ``total / units``, scaled against underflow in fp16."""
        (total * ((self.scale.value if self.scale else 1.0) / units)).backward()

    def add_up(self, parameters: list[torch.nn.Parameter]) -> None:
        """Sums the gradients over the processes and divides them by the loss scale. FSDP has summed
        those of divided weights.
        """
        for parameter in parameters:
            if parameter.grad is None and self.processes.several:
                parameter.grad = torch.zeros_like(parameter)  # others may have one: all add alike
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        self.processes.add_gradients(
            [gradient for gradient in gradients if not is_divided(gradient)]
        )
        if self.scale:
            scale(gradients, 1 / self.scale.value)

    def clip(self, parts: list[list[torch.nn.Parameter]], limit: float) -> float:
        """Clips the gradients of each part to ``limit`` (0: not), and returns the norm of all of
        them before that.
        """
        norms = [_clip(parameters, limit) for parameters in parts]
        # However many parts there are, the device is waited for once.
        return float(norms[0] if len(norms) == 1 else torch.stack(norms).norm())

    def give_back(self) -> None:
        """Gives memory that is free but held by torch back to the GPU."""
        if self.place.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def count(self) -> int:
        """How many devices of this kind the machine has."""
        return torch.cuda.device_count() if self.place.type == "cuda" else 1

    def peak_memory(self) -> float | None:
        """Returns the most memory used so far (GiB): allocated on the GPU, resident on a CPU; None
        where the system does not say.
        """
        if self.place.type == "cuda":
            return round(torch.cuda.max_memory_allocated(self.place) / GIB, 3)
        if sys.platform == "win32":
            return None
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # Bytes on macOS, KiB on Linux.
        return round(peak / (GIB if sys.platform == "darwin" else 2**20), 3)

    def held_memory(self) -> float | None:
        """Returns the memory in use now (GiB); None where the system does not say."""
        if self.place.type == "cuda":
            return round(torch.cuda.memory_allocated(self.place) / GIB, 3)
        held = handed_out()
        return None if held is None else round(held / GIB, 3)


def choose(machine: Machine) -> Device:
    """Chooses the device that ``train.machine`` asks for, or the best there is; raises SpecError
    for one that is absent.
    """
    if torch.cuda.is_available():
        start_cuda()
    kind, reasons = _kind(machine)
    on = torch.device(kind, local_rank()) if kind == "cuda" else torch.device(kind)
    precision, reasons["train.machine.precision"] = _precision(machine, on)
    threads = machine.threads or torch.get_num_threads()
    reasons["train.machine.threads"] = (
        say("train.threads_given") if machine.threads else say("train.threads_found")
    )
    scale = LossScale() if precision == "fp16" else None
    exact = kind == "cpu" or (kind == "cuda" and machine.exact)
    counted = meter(on.index if kind == "cuda" else None, packages=local_rank() == 0)
    processes = join(alike=machine.shard == "tensor")
    divided = machine.shard != "none" and processes.several
    return Device(on, precision, threads, processes, reasons, scale, counted, exact, divided)


def prepare(device: Device) -> None:
    """Sets this process up: threads, GPU, deterministic kernels on a CPU and where asked for."""
    torch.set_num_threads(device.threads)
    if device.place.type == "cuda":
        torch.cuda.set_device(device.place)
    elif device.place.type == "cpu":
        keep_freed()
    if device.exact:
        # cuBLAS reads it when its first product is asked for.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Some kernels have no deterministic form: a warning, for a run shall not end of that.
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling new memory with NaN finds errors of kernels, not ours, and costs time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _kind(machine: Machine) -> tuple[str, dict[str, str]]:
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if machine.device != "auto":
        if not there[machine.device]:
            allowed = ", ".join(name for name, available in there.items() if available)
            raise SpecError(
                Problem(
                    "train.machine.device",
                    say("train.no_device", device=machine.device, known=allowed),
                )
            )
        return machine.device, {"train.machine.device": say("train.given")}
    kind = next(name for name in ("cuda", "mps", "cpu") if there[name])
    why = say("train.no_gpu") if kind == "cpu" else say("train.gpu", name=_gpu_name(kind))
    return kind, {"train.machine.device": why}


def _gpu_name(kind: str) -> str:
    return torch.cuda.get_device_name() if kind == "cuda" else "Apple GPU"


def _precision(machine: Machine, place: torch.device) -> tuple[str, str]:
    asked = machine.precision
    bf16 = place.type == "cuda" and torch.cuda.get_device_capability(place) >= (8, 0)
    refused = {
        "fp16": place.type != "cuda" and say("train.fp16_needs_cuda", device=place.type),
        "bf16": place.type == "cuda" and not bf16 and say("train.bf16_needs_ampere"),
    }
    if asked != "auto":
        if refused.get(asked):
            raise SpecError(Problem("train.machine.precision", str(refused[asked])))
        return asked, say("train.bf16_slow") if asked == "bf16" and place.type == "cpu" else say(
            "train.given"
        )
    if place.type != "cuda":
        return "fp32", say("train.fp32_cpu") if place.type == "cpu" else say("train.fp32_mps")
    return ("bf16", say("train.bf16_cuda")) if bf16 else ("fp16", say("train.fp16_cuda"))


def _clip(parameters: list[torch.nn.Parameter], limit: float) -> torch.Tensor:
    """Clips the gradients together and gives their norm, still on the device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not any(map(is_divided, gradients)):
        # At infinity it clips nothing, and gives the norm all the same.
        return torch.nn.utils.clip_grad_norm_(parameters, limit or float("inf"))
    norm = float(norm_of(gradients))
    factor = limit / (norm + 1e-6)  # as torch's own
    if 0 < factor < 1:
        scale(gradients, factor)
    return torch.tensor(norm)
