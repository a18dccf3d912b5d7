"""Number types of a GGUF file: those that are written here, and llama.cpp's own K-types.

``gguf.quants`` rounds as llama.cpp's quantize does, to the bit for q8_0 and q4_0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gguf
    import numpy as np

BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "q8_0": 8.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
}
"""Types written here, with the bits of a weight."""
K_BITS = {
    "q6_k": 6.6,
    "q5_k_m": 5.7,
    "q4_k_m": 4.9,
    "q3_k_m": 3.9,
    "q2_k": 3.0,
    "iq4_nl": 4.5,
    "iq4_xs": 4.3,
}
"""Types that only llama.cpp itself writes, with about the bits of a weight."""
FILE_TYPES = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q8_0": 7,
    "q5_0": 8,
    "q5_1": 9,
    "q2_k": 10,
    "q3_k_m": 12,
    "q4_k_m": 15,
    "q5_k_m": 17,
    "q6_k": 18,
    "iq4_nl": 25,
    "iq4_xs": 30,
    "bf16": 32,
}
"""llama.cpp's numbers for whole files."""
BIG = ("token_embd.weight", "output.weight")
"""Kept at 8 bits where the rest has fewer: the head decides every token, and a tied embedding is
the head.
"""


def type_of(name: str, shape: tuple[int, ...], wanted: str) -> gguf.GGMLQuantizationType:
    """Returns the type of one tensor: vectors stay in fp32, and rows that do not divide into blocks
    in fp16.
    """
    import gguf

    kinds = gguf.GGMLQuantizationType
    if len(shape) == 1:
        return kinds.F32
    if name in BIG and BITS[wanted] < BITS["q8_0"]:
        wanted = "q8_0"
    kind = kinds[wanted.upper()]
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return kind if shape[-1] % block == 0 else kinds.F16


def rounded(values: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    """Returns the values as they stand in the file."""
    import gguf
    import numpy as np

    kinds = gguf.GGMLQuantizationType
    if kind == kinds.F32:
        return np.ascontiguousarray(values)
    if kind == kinds.F16:
        return values.astype(np.float16)
    return gguf.quants.quantize(np.ascontiguousarray(values), kind)
