"""The base that healthy runs go on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from material import ailing


@pytest.fixture(scope="session")
def base(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that has learned what answers look like and where they end."""
    return ailing.base(tmp_path_factory.mktemp("base"), tiny_llama)
