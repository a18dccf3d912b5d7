"""One process on each of several machines is one run, not as many runs as machines."""

from __future__ import annotations

import pytest

from tunesmith.cli import training
from tunesmith.cli.main import main

ENDED_WITH = 75


@pytest.mark.parametrize(("machines", "started"), [("2", [1]), ("1", [])])
def test_one_process_a_machine_joins_the_others(machines, started, monkeypatch, tmp_path):
    """Without ranks each machine would train alone, all in the same folder, without a word."""
    counts = []

    def ran(count, command):
        counts.append(count)
        return ENDED_WITH

    monkeypatch.setattr(training, "run_ranks", ran)
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("PET_NNODES", machines)
    words = [f"data={tmp_path}/none.json", f"model={tmp_path}/none", f"out={tmp_path}/run"]
    code = main(["train", *words])
    assert counts == started
    assert (code == ENDED_WITH) == bool(started)
