"""Which cases of a product the fast suite keeps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest


def slow_but(
    kept: Collection[str], cases: Iterable[Any], named: Callable[[Any], str] = str
) -> list[Any]:
    """The cases as pytest's parameters, slow but for those whose names are ``kept``; a case that is
    a tuple gives several arguments. A name that no case has is an error: else a renamed case would
    leave the fast suite unseen.
    """
    found = list(cases)
    names = [named(case) for case in found]
    assert {*kept} <= {*names}, f"no case is called {sorted({*kept} - {*names})}"
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            id=name,
            marks=() if name in kept else pytest.mark.slow,
        )
        for case, name in zip(found, names, strict=True)
    ]
