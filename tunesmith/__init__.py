"""tunesmith adapts a pretrained language model to your own task, and proves that it worked."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.verbs import check, load, plan, predict, prove, train

__all__ = ["__version__", "check", "load", "plan", "predict", "prove", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Lazy, so that ``import tunesmith`` costs nothing.
    if name in __all__:
        return _verb(name)
    raise AttributeError(f"module 'tunesmith' has no attribute {name!r}")


def _verb(name: str) -> Any:
    from tunesmith import verbs

    return vars(verbs)[name]


class _Called(ModuleType):
    """A module with the name of a verb: ``tunesmith.train`` holds the loop, and ``ts.train("run.yaml")`` runs the verb."""

    __call__ = property(lambda self: _verb(self.__name__.rpartition(".")[2]))


class _Package(ModuleType):
    """Python binds each imported submodule to its package, over what ``__getattr__`` would give; this makes it callable."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in __all__ and isinstance(value, ModuleType):
            value.__class__ = _Called
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
