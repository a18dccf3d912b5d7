"""tunesmith adapts a pretrained language model to your own task, and proves that it worked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.api import (
        arena,
        attach,
        auto,
        blend,
        change_rows,
        check,
        compare,
        curve,
        explain,
        export_run,
        generate,
        hand_over,
        judge,
        launch,
        load,
        measure_anonymising,
        overfit,
        overlap,
        plan,
        plan_cards,
        plan_stages,
        predict,
        prove,
        prove_checkpoints,
        prove_seeds,
        prune,
        rlhf,
        search,
        sequence,
        signs_of,
        tournament,
        train,
        under_base,
    )

__all__ = [
    "__version__",
    "arena",
    "attach",
    "auto",
    "blend",
    "change_rows",
    "check",
    "compare",
    "curve",
    "explain",
    "export_run",
    "generate",
    "hand_over",
    "judge",
    "launch",
    "load",
    "measure_anonymising",
    "overfit",
    "overlap",
    "plan",
    "plan_cards",
    "plan_stages",
    "predict",
    "prove",
    "prove_checkpoints",
    "prove_seeds",
    "prune",
    "rlhf",
    "search",
    "sequence",
    "signs_of",
    "tournament",
    "train",
    "under_base",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Lazy, so that ``import tunesmith`` costs nothing.
    if name in __all__:
        from tunesmith import api

        return getattr(api, name)
    raise AttributeError(f"module 'tunesmith' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
