"""What this machine has, what is wrong with it, and the exact command that mends each fault; works
without torch installed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import locale
import os
import platform
import re
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tunesmith.display.table import readable
from tunesmith.machine.memory import GIB, run_command, total_and_free
from tunesmith.plain import JsonObject
from tunesmith.storage.cache import cache_folder, prepared_folder, size_of
from tunesmith.storage.hub import offline_by
from tunesmith.words import language, say

# The ranges of pyproject.toml whose breach is known to hurt: name, lowest, first one too new.
RANGES = {
    "torch": ("2.6", "2.14"),
    "transformers": ("5.3", "6"),
    "peft": ("0.19", "1"),
    "huggingface_hub": ("1.3", "2"),
}
SHOWN = ("safetensors", "tokenizers", "numpy", "pydantic", "scikit-learn", "gguf")
LEAST_MEMORY = 2 * GIB
"""Less free memory than this is noted (bytes)."""
HUB_VARIABLES = (
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HTTPS_PROXY",
    "MODELSCOPE_CACHE",
)

# The oldest driver that runs each major CUDA release on Linux.
DRIVERS = {11: 450, 12: 525, 13: 580}
CUDA_12 = "'torch>=2.6,<2.9'"
"""Releases of torch whose wheels are built for CUDA 12."""

Probe = Callable[[list[str]], "str | None"]


@dataclass(frozen=True)
class Finding:
    """One fact; a fault says what to do, as a command where there is one."""

    name: str
    value: str
    state: Literal["ok", "note", "fault"] = "ok"
    text: str = ""
    command: str = ""


def examine(folder: Path | None = None) -> list[Finding]:
    """Collects all findings, in the order of reading; ``folder`` is where runs would go, by default
    the current one.
    """
    return [
        *_python(),
        *_packages(),
        *_accelerator(),
        *_machine(folder or Path.cwd()),
        *_hub(),
        *_language(),
    ]


def lines(findings: list[Finding]) -> list[str]:
    """Returns lines for a person: a fact a line, under a fault what it means and the command; last,
    the count of faults.
    """
    marks = {"ok": " ", "note": "·", "fault": "✗"}
    wide = max(len(item.name) for item in findings)
    shown: list[str] = []
    for item in findings:
        shown.append(f"{marks[item.state]} {item.name:<{wide}}  {item.value}")
        shown += [
            f"{'':{wide + 4}}{part}"
            for part in (item.text, item.command and f"→ {item.command}")
            if part
        ]
    faults = sum(item.state == "fault" for item in findings)
    return [*shown, "", say("doctor.faults", count=faults) if faults else say("doctor.healthy")]


def to_json(findings: list[Finding]) -> JsonObject:
    """Returns the findings as plain data."""
    return {
        "faults": sum(item.state == "fault" for item in findings),
        "findings": [asdict(item) for item in findings],
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _python() -> Iterator[Finding]:
    value = f"{platform.python_version()} · {platform.platform(terse=True)} {platform.machine()}"
    old = sys.version_info < (3, 10)
    yield Finding(
        "python",
        value,
        "fault" if old else "ok",
        say("doctor.python_old") if old else "",
        "python3.12 -m venv .venv" if old else "",
    )
    yield Finding("tunesmith", _version("tunesmith") or say("doctor.from_source"))
    if importlib.util.find_spec("pip") is None:
        yield Finding("pip", "-", "note", say("doctor.no_pip"), f"{sys.executable} -m ensurepip")


def _packages() -> Iterator[Finding]:
    pip = f"{sys.executable} -m pip install"
    for name, (lowest, above) in RANGES.items():
        wanted = f"'{name}>={lowest},<{above}'"
        version = _version(name)
        if version is None:
            yield Finding(name, "-", "fault", say("doctor.missing"), f"{pip} {wanted}")
        elif _numbers(version) < _numbers(lowest):
            yield Finding(
                name, version, "fault", say("doctor.too_old", lowest=lowest), f"{pip} -U {wanted}"
            )
        elif _numbers(version) >= _numbers(above):
            yield Finding(
                name, version, "note", say("doctor.too_new", above=above), f"{pip} {wanted}"
            )
        else:
            yield Finding(name, version)
    yield Finding("packages", ", ".join(f"{name} {_version(name) or '-'}" for name in SHOWN))


def _accelerator(probe: Probe = run_command) -> Iterator[Finding]:
    said = probe(
        ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    )
    cards = [
        tuple(part.strip() for part in line.split(","))
        for line in (said or "").splitlines()
        if line.count(",") == 2
    ]
    for name, driver, memory in cards:
        yield Finding("card", f"{name}, {memory}, {say('doctor.driver')} {driver}")
    if importlib.util.find_spec("torch") is None:
        return
    try:
        import torch
    except (ImportError, OSError) as error:  # a half-installed torch, or libraries of another CUDA
        yield Finding(
            "torch", str(error).splitlines()[0], "fault", say("doctor.torch_broken"), _reinstall()
        )
        return
    if torch.cuda.is_available():
        yield from _usable(torch)
    elif torch.backends.mps.is_available():
        yield Finding("gpu", "mps")
    elif cards:
        yield _why_not(torch.version.cuda, cards[0][1])
    else:
        yield Finding("gpu", "-", "note", say("doctor.no_card", threads=torch.get_num_threads()))


def _usable(torch: Any) -> Iterator[Finding]:
    for number in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(number)
        bf16 = say("doctor.bf16" if major >= 8 else "doctor.fp16")
        value = (
            f"{torch.cuda.get_device_name(number)} · sm_{major}{minor} · CUDA "
            f"{torch.version.cuda or torch.version.hip} · {bf16}"
        )
        built = torch.cuda.get_arch_list()
        # Code of one major version runs on the later minor ones; PTX (compute_NN) on all later
        # cards.
        supported = not built or any(
            arch == f"compute_{major}{minor}" or arch.startswith(f"sm_{major}") for arch in built
        )
        if supported:
            yield Finding("gpu", value)
        else:
            yield Finding(
                "gpu",
                value,
                "fault",
                say("doctor.not_built_for", card=f"sm_{major}{minor}"),
                _reinstall(),
            )


def _why_not(cuda: str | None, driver: str) -> Finding:
    """Finds the reason why torch does not see a card that the driver sees."""
    if cuda is None:
        return Finding("gpu", "-", "fault", say("doctor.cpu_build"), _reinstall())
    needed = DRIVERS.get(_numbers(cuda)[0], max(DRIVERS.values()))
    if _numbers(driver)[0] < needed:
        enough = DRIVERS[12] <= _numbers(driver)[0]
        command = f"{sys.executable} -m pip install {CUDA_12}" if enough else "nvidia-smi"
        return Finding(
            "gpu",
            "-",
            "fault",
            say("doctor.old_driver", driver=driver, cuda=cuda, needed=needed),
            command,
        )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        text = say("doctor.hidden", value=hidden)
        return Finding(
            "gpu",
            "-",
            "fault",
            text,
            "set CUDA_VISIBLE_DEVICES=" if os.name == "nt" else "unset CUDA_VISIBLE_DEVICES",
        )
    return Finding(
        "gpu",
        "-",
        "fault",
        say("doctor.unseen"),
        f'{sys.executable} -c "import torch; torch.cuda.init()"',
    )


def _reinstall() -> str:
    lowest, above = RANGES["torch"]
    return f"{sys.executable} -m pip install --force-reinstall 'torch>={lowest},<{above}'"


def _machine(folder: Path) -> Iterator[Finding]:
    total, free = total_and_free()
    value = "?"
    if total is not None and free is not None:
        value = say("doctor.free_of", free=f"{free / GIB:.1f}", total=f"{total / GIB:.1f}")
    low = free is not None and free < LEAST_MEMORY
    yield Finding(
        "memory", value, "note" if low else "ok", say("doctor.little_memory") if low else ""
    )
    yield Finding("cores", str(os.cpu_count()))
    cache = cache_folder()
    for name, path in (("disk", folder), ("cache", cache)):
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        free_gb = shutil.disk_usage(there).free / 1e9
        value = f"{path} · {say('doctor.free', free=f'{free_gb:.1f}')}"
        if not os.access(there, os.W_OK):
            at_home = Path.home() / "tunesmith-cache"
            windows = os.name == "nt"
            command = (
                f'icacls "{there}" /grant "%USERNAME%":M'
                if windows
                else f"sudo chown -R $USER {shlex.quote(str(there))}"
            )
            if name == "cache":
                command = (
                    f"set TUNESMITH_CACHE={at_home}"
                    if windows
                    else f"export TUNESMITH_CACHE={shlex.quote(str(at_home))}"
                )
            yield Finding(name, value, "fault", say("doctor.unwritable"), command)
        elif free_gb < 2:
            yield Finding(
                name,
                value,
                "fault",
                say("doctor.little_disk"),
                f"{sys.executable} -m pip cache purge",
            )
        else:
            yield Finding(name, value)
    taken = size_of(prepared_folder())
    if taken:
        text = say("doctor.prepared", size=readable(taken), folder=prepared_folder())
        yield Finding("rows", text)


def _hub() -> Iterator[Finding]:
    variables = [
        f"{name}={_without_password(os.environ[name])}"
        for name in HUB_VARIABLES
        if os.environ.get(name)
    ]
    if os.environ.get("HF_TOKEN"):
        variables.append("HF_TOKEN=***")
    yield Finding("hub variables", " ".join(variables) or "-")
    if importlib.util.find_spec("huggingface_hub") is None:
        return
    from huggingface_hub import constants

    hub = constants.ENDPOINT
    if constants.is_offline_mode():
        variable = offline_by()
        text = say("doctor.offline", variable=variable)
        yield Finding("hub", hub, "note", text, f"unset {variable}")
        return
    reason = _unreachable(hub)
    if reason:
        yield Finding(
            "hub", hub, "note", say("doctor.no_hub", reason=reason), "export HF_ENDPOINT=…"
        )
    else:
        yield Finding("hub", f"{hub} · {say('doctor.answers')}")
    yield Finding("ModelScope (ms:)", _version("modelscope") or "-")


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]+@", "//***@", url)


def _unreachable(url: str, seconds: float = 3.0) -> str | None:
    """Returns why no connection to the address can be opened; None when it can, or when a proxy is
    in between.
    """
    parts = urlsplit(url)
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return None
    try:
        port = parts.port or (80 if parts.scheme == "http" else 443)
        with socket.create_connection((parts.hostname or url, port), timeout=seconds):
            return None
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__


def _language() -> Iterator[Finding]:
    encoding = locale.getpreferredencoding(False)
    shown = f"{language()} · {encoding} · stdout {sys.stdout.encoding or '?'}"
    good = "utf" in encoding.lower() and "utf" in (sys.stdout.encoding or "").lower()
    command = "set PYTHONUTF8=1" if os.name == "nt" else "export PYTHONUTF8=1 LANG=C.UTF-8"
    yield Finding(
        "locale",
        shown,
        "ok" if good else "note",
        "" if good else say("doctor.not_utf8"),
        "" if good else command,
    )
