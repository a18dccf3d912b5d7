"""The files of an exported model: written to a draft folder that becomes the output only when all
is well.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from tunesmith.errors import DiskError, Problem, SpecError
from tunesmith.storage.atomic import barred
from tunesmith.words import say

# What belongs to the run, to an adapter or to our cache, and weights; all else in a model folder is
# tokenizer, template and generation settings.
NOT_COPIED = (
    "adapter_",
    "tunesmith.json",
    "config.json",
    "README.md",
    "MANIFEST.json",
    "model.safetensors",
    "training_args",
    "converted.json",
)
WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx"})
HEADER_NAMES = {"F32": "fp32", "BF16": "bf16", "F16": "fp16"}
DISK = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO])
"""Errors that are the disk's."""
SHORT = re.compile(r"\d+ requested and \d+ written")
"""What numpy says of a write that was cut short."""
SPARE = 64 * 2**20
"""Bytes for tokenizer and settings."""


def refuse_full(out: Path) -> None:
    """Raises SpecError when there is something at ``out`` already, or nothing can be
    written there.
    """
    there = out.exists() and not (out.is_dir() and not any(out.iterdir()))
    wrong = say("export.not_empty") if there else barred(out)
    if wrong:
        raise SpecError(Problem(str(out), wrong))


def weights_in(folder: Path) -> tuple[str, int]:
    """Returns the commonest type of the weights in a folder's safetensors files, and the number of
    weights.
    """
    counts: Counter[str] = Counter()
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                size = 1
                for width in tensor["shape"]:
                    size *= width
                counts[tensor["dtype"]] += size
    kinds = [HEADER_NAMES[kind] for kind, _ in counts.most_common() if kind in HEADER_NAMES]
    return (kinds[0] if kinds else "fp32"), sum(counts.values())


def check_space(out: Path, size: int) -> None:
    """Raises DiskError when the disk of ``out`` is too small for so many bytes of weights."""
    parent = out.absolute()
    while not parent.exists():
        parent = parent.parent
    needed, free = size + SPARE, shutil.disk_usage(parent).free
    if free < needed:
        raise DiskError(
            Problem(
                str(out),
                say("export.no_space", needed=f"{needed / 2**30:.2f}", free=f"{free / 2**30:.2f}"),
            )
        )


@contextmanager
def draft(out: Path) -> Iterator[Path]:
    """Makes an empty folder beside ``out`` that is renamed to it at the end; after an error neither
    exists.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.parent / f".{out.name}.tmp-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
        for path in folder.rglob("*"):
            if path.is_file():
                with open(path, "rb+") as file:
                    os.fsync(file.fileno())
        if out.is_dir():
            out.rmdir()
        os.replace(folder, out)
    except (OSError, SafetensorError) as error:
        reason = _of_disk(error)
        if reason is None:
            raise
        raise DiskError(Problem(str(out), say("export.disk", reason=reason))) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _of_disk(error: OSError | SafetensorError) -> str | None:
    """Returns what the disk refused; None where the error is another. safetensors has the system's
    number as text alone, and numpy, which writes GGUF, has none where less was written than asked.
    """
    short = isinstance(error, OSError) and error.errno is None
    if short and SHORT.search(str(error)):
        return str(error)
    named = re.search(r"os error (\d+)", str(error))
    number = error.errno if isinstance(error, OSError) else int(named[1]) if named else None
    return os.strerror(number) if number in DISK else None


def copy_beside(source: Path, target: Path) -> None:
    """Copies tokenizer, chat template, generation settings and what an objective put there as they
    are, byte for byte.
    """
    for path in sorted(source.iterdir()):
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        if path.suffix in WEIGHTS or path.name.startswith(NOT_COPIED):
            continue
        if path.is_file():
            shutil.copyfile(path, target / path.name)


def copy_model(source: Path, target: Path) -> None:
    """Copies the weights and the configuration of a whole model as they are."""
    for path in sorted(source.iterdir()):
        if path.name == "config.json" or (
            path.name.startswith("model") and ".safetensors" in path.name
        ):
            shutil.copyfile(path, target / path.name)
