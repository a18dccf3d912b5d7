"""Lets parts of transformers be imported without the libraries that they load beside and
hardly ever use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# Seconds of CPU, measured on 2026-11-27 with transformers 5.17.
LATE = {
    # 1.6 for torch, to read tokenizers in GGUF files.
    "transformers.tokenization_utils_tokenizers": "transformers.modeling_gguf_pytorch_utils",
    # 2.0 with scipy and pandas, for one threshold of assisted generation.
    "transformers.generation.candidate_generator": "sklearn.metrics",
}
"""What is imported, and what it would load at once; that is loaded when it is first called."""


def put_off() -> None:
    """Makes the modules of LATE import without the others from now on; those already loaded stay as
    they are.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """A finder of the modules of LATE, which run beside a stand-in."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec of a module of LATE; None for all others, which Python finds by
        itself.
        """
        late = LATE.get(name)
        # A stand-in for what is not installed would make it look installed.
        if late is None or late in sys.modules or not find_spec(late.partition(".")[0]):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader
        loader.exec_module = partial(_beside_stand_in, late, loader.exec_module)
        return spec


def _beside_stand_in(late: str, run: Callable[[ModuleType], None], module: ModuleType) -> None:
    """Runs a module; a release of it that takes more of the other than functions gets the other at
    once.
    """
    stand_in = _Late(late)
    stand_in.__spec__ = ModuleSpec(late, None)
    sys.modules[late] = stand_in
    try:
        run(module)
        return
    except ImportError:
        pass
    finally:
        del sys.modules[late]
    run(module)


class _Late(ModuleType):
    """A stand-in for a module: its functions call those of the real one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *values, **named: getattr(import_module(self.__name__), name)(
            *values, **named
        )
