"""What doctor finds, and the command that it names for each fault; without torch too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunesmith import words
from tunesmith.cli import doctor
from tunesmith.cli.doctor import Finding

CARD = "NVIDIA H100, {driver}, 81559 MiB"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_chosen", "en")


def named(findings: list[Finding], name: str) -> Finding:
    return next(item for item in findings if item.name == name)


def test_all_that_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    found = doctor.examine()
    assert {
        "python",
        "torch",
        "transformers",
        "memory",
        "cores",
        "disk",
        "cache",
        "hub variables",
        "locale",
    } <= {item.name for item in found}
    assert {item.state for item in found} <= {"ok", "note", "fault"}
    printed = "\n".join(doctor.lines(found))
    assert str(doctor._version("torch")) in printed
    faults = sum(item.state == "fault" for item in found)
    told = {0: "no fault found", 1: "1 fault; the arrows say what to do"}
    assert printed.endswith(told.get(faults, f"{faults} faults; the arrows say what to do"))
    assert json.loads(json.dumps(doctor.to_json(found)))["findings"][0]["name"] == "python"


def test_without_torch_it_names_the_command(tmp_path: Path) -> None:
    """A process in which neither torch, transformers nor huggingface_hub can be imported or
    found.
    """
    code = """
import importlib.metadata, importlib.util, sys
gone = {"torch", "transformers", "huggingface_hub", "peft"}
version, find = importlib.metadata.version, importlib.util.find_spec
def lost(name):
    if name in gone:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = lost
importlib.util.find_spec = lambda name, *rest: None if name in gone else find(name, *rest)
for name in gone:
    sys.modules[name] = None
from tunesmith.cli.doctor import examine, lines
print("\\n".join(lines(examine())))
"""
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"→ {sys.executable} -m pip install 'torch>=2.6,<2.14'" in done.stdout
    assert done.stdout.count("is not installed") == 4, (
        "of the machine's own faults there may be more"
    )


@pytest.mark.parametrize(
    ("versions", "state", "text"),
    [
        ({"torch": "2.5.1+cpu"}, "fault", "is older than 2.6"),
        ({"torch": "2.14.0"}, "note", "2.14 and newer were not tested"),
        ({"torch": "2.13.0+cu130"}, "ok", ""),
        ({"torch": "2.6.0"}, "ok", ""),
    ],
)
def test_ranges(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], state: str, text: str
) -> None:
    monkeypatch.setattr(
        doctor,
        "_version",
        lambda name: versions.get(name, "5.3.0" if name == "transformers" else None),
    )
    found = named(list(doctor._packages()), "torch")
    assert (found.state, text in found.text) == (state, True)


@pytest.mark.parametrize(
    ("cuda", "driver", "hidden", "text", "command"),
    [
        (
            None,
            "580.10",
            None,
            "was built for the CPU only",
            "pip install --force-reinstall 'torch>=",
        ),
        (
            "13.0",
            "535.104",
            None,
            "the driver 535.104 is too old for CUDA 13.0; it must be 580 or newer",
            "pip install 'torch>=2.6,<2.9'",
        ),
        (
            "13.0",
            "470.57",
            None,
            "the driver 470.57 is too old for CUDA 13.0; it must be 580 or newer",
            "nvidia-smi",
        ),
        (
            "12.6",
            "535.104",
            "",
            "CUDA_VISIBLE_DEVICES= hides the GPU",
            "unset CUDA_VISIBLE_DEVICES",
        ),
        (
            "12.6",
            "535.104",
            None,
            "in a container: was it started with the GPU?",
            "torch.cuda.init()",
        ),
    ],
)
def test_why_torch_sees_no_card(
    monkeypatch: pytest.MonkeyPatch,
    cuda: str | None,
    driver: str,
    hidden: str | None,
    text: str,
    command: str,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    found = list(doctor._accelerator(lambda asked: CARD.format(driver=driver)))
    assert named(found, "card").value == f"NVIDIA H100, 81559 MiB, driver {driver}"
    gpu = named(found, "gpu")
    assert gpu.state == "fault"
    assert text in gpu.text
    assert command in gpu.command


def test_no_card_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu = named(list(doctor._accelerator(lambda asked: None)), "gpu")
    assert (gpu.state, "the CPU is used" in gpu.text) == ("note", True)


@pytest.mark.parametrize(
    ("built", "state"),
    [(["sm_75", "sm_90"], "ok"), (["sm_70", "sm_75"], "fault"), (["sm_90a"], "ok")],
)
def test_card_that_torch_has_no_code_for(built: list[str], state: str) -> None:
    cuda = SimpleNamespace(
        device_count=lambda: 1,
        get_device_capability=lambda number: (9, 0),
        get_device_name=lambda number: "H100",
        get_arch_list=lambda: built,
    )
    (gpu,) = doctor._usable(
        SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda="12.6", hip=None))
    )
    assert gpu.state == state
    assert gpu.value == "H100 · sm_90 · CUDA 12.6 · bf16"


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    asked: list[Any] = []
    monkeypatch.setattr(doctor, "_unreachable", lambda url: asked.append(url) or "refused")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in named(list(doctor._hub()), "hub").text
    assert asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "https://me:secret@mirror.example")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    found = list(doctor._hub())
    assert "does not answer (refused)" in named(found, "hub").text
    assert named(found, "hub variables").value.count("***") == 2
    assert "secret" not in "\n".join(doctor.lines(found))


def test_reachability_is_a_short_try() -> None:
    assert doctor._unreachable("http://127.0.0.1:9", seconds=0.5)
    assert doctor._unreachable("http://127.0.0.1:no", seconds=0.5)


def test_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    disk = named(list(doctor._machine(tmp_path / "not" / "yet")), "disk")
    assert (disk.state, disk.text) == (
        "fault",
        "less than 2 GB are free; a run with checkpoints may not fit",
    )
    assert disk.command == f"{sys.executable} -m pip cache purge"
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    found = list(doctor._machine(tmp_path / "not yet"))
    assert (
        named(found, "disk").text == "cannot be written to"
        and str(tmp_path) in named(found, "disk").command
    )
    assert (
        "TUNESMITH_CACHE=" in named(found, "cache").command
        and "…" not in named(found, "cache").command
    )
