"""What a run ran on: versions, machine, threads."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.keeping.checkpoint import Checkpoints

USED = ("threads", "device", "precision", "ranks")
PACKAGES = ("tunesmith", "torch", "transformers", "peft", "safetensors", "numpy")


def trained_with(folder: RunFolder) -> dict[str, str]:
    """Returns versions, device, precision and threads of the training, as its newest checkpoint
    noted them; empty where none is left.
    """
    for checkpoint in Checkpoints(folder.checkpoints, keep=1).committed():
        facts = folder.read(checkpoint / "state.json") or {}
        return {name: str(value) for name, value in facts.get("environment", {}).items()}
    return {}


def versions(trained: Mapping[str, str]) -> dict[str, str]:
    """Returns the versions of what decides a result: those of the training where they are known,
    else those installed now.
    """
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return {name: trained.get(name, value) for name, value in installed.items()}


def machine(trained: Mapping[str, str]) -> dict[str, str]:
    """Describes the machine: system, processor, accelerators as they are now, and how the training
    used them where that is known.
    """
    import torch

    facts = {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": str(os.cpu_count() or 1),
        "threads": str(torch.get_num_threads()),
    }
    if torch.cuda.is_available():
        facts["accelerator"] = ", ".join(
            torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
        )
    return facts | {name: trained[name] for name in USED if name in trained}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.partition(":")[2].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
