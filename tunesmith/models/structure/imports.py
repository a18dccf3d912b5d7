"""Imports parts of transformers and peft without the libraries that they load beside and hardly
ever use.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# Seconds of CPU, measured on 2026-11-27 with transformers 5.17 and peft 0.21.
LATE = {
    # 1.6 for torch, to read tokenizers in GGUF files.
    "transformers.tokenization_utils_tokenizers": "transformers.modeling_gguf_pytorch_utils",
    # 2.0 with scipy and pandas, for one threshold of assisted generation.
    "transformers.generation.candidate_generator": "sklearn.metrics",
    # 1.6, for models that are quantised.
    "peft.helpers": "bitsandbytes",
}
"""What is imported, and what is then looked up at its first use."""


class _Late(ModuleType):
    """Stands in for a module: its names are looked up in the real one, those that are imported from
    it when they are called.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            return lambda *values, **named: self._real(name)(*values, **named)
        return self._real(name)

    def _real(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


def lean(name: str) -> ModuleType:
    """The module ``name`` of LATE; a release of it that needs more of the other than functions gets
    the other at once.
    """
    late = LATE[name]
    if name not in sys.modules and late not in sys.modules and find_spec(late.partition(".")[0]):
        stand_in = _Late(late)
        stand_in.__spec__ = ModuleSpec(late, None)
        sys.modules[late] = stand_in
        try:
            return import_module(name)
        except ImportError:
            pass
        finally:
            if sys.modules.get(late) is stand_in:
                del sys.modules[late]
    return import_module(name)
