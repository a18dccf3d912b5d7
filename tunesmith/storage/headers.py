"""Reads the headers of safetensors files: names, shapes and types of tensors without their
bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path


def headers(folder: Path) -> Iterator[tuple[str, list[int], str]]:
    """Yields name, shape and type of every tensor in the folder's safetensors, read from their
    headers.
    """
    for file in sorted(folder.glob("*.safetensors")):
        with open(file, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            for name, entry in json.loads(stream.read(length)).items():
                if name != "__metadata__":
                    yield name, entry["shape"], entry["dtype"]


POINTER = b"version https://git-lfs.github.com/spec/"


def is_pointer(file: Path) -> bool:
    """Tells whether git-lfs left a pointer of a few lines in place of the file itself."""
    with open(file, "rb") as stream:
        return stream.read(len(POINTER)) == POINTER


def weights_in(folder: Path) -> int:
    """Counts the weights that the folder's safetensors hold."""
    return sum(math.prod(shape) for _, shape, _ in headers(folder))
