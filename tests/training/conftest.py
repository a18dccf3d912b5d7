from __future__ import annotations

from pathlib import Path

import pytest

from material import runs
from tunesmith.data.prepare import Prepared
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Children are forked; a parent that has used OpenMP threads would leave them hanging."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def prepared(tiny_llama: Path) -> Prepared:
    """28 rows to train on, 8 to watch."""
    return runs.data_of(runs.resolved(tiny_llama / "unused", tiny_llama), watch=8)


@pytest.fixture(scope="session")
def straight(
    tiny_llama: Path, prepared: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """The run that nothing interrupts, trained in a child."""
    out = tmp_path_factory.mktemp("straight") / "run"
    one = runs.resolved(out, tiny_llama)
    assert runs.in_child(lambda: train(one, prepared)) == 0
    return RunFolder(out)
