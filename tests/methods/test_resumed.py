"""On an encoder and an encoder–decoder too, a run of any method that was killed ends with the bytes
of one that was not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from material import runs
from material.fast import slow_but
from material.house import House, house, told_why  # noqa: F401
from tunesmith.planning.make import make
from tunesmith.settings.family import METHODS
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train

OBJECTIVE_OF = {"encoder": "classify", "encoder-decoder": "sft"}
CASES = [(kind, name) for kind in OBJECTIVE_OF for name in METHODS.names()]
APART = ("encoder-adalora",)
"""tests/methods/test_contract.py has more on a decoder, tests/training/test_two_sided_runs.py LoRA on
an encoder with a decoder. All others are slow tests: sixteen took 38 s.
"""


@pytest.mark.filterwarnings("ignore:Unsupported layer type")
@pytest.mark.parametrize(("kind", "method"), slow_but(APART, CASES, "-".join))
def test_a_killed_run_ends_alike(kind: str, method: str, house: House, tmp_path: Path) -> None:  # noqa: F811
    names = ("whole", "broken")
    found = []
    for name in names:
        run = house.run(OBJECTIVE_OF[kind], kind, method, tmp_path / name)
        prepared = house.prepared(run, kind)
        keep = run.train.keep.model_copy(update={"evaluate": 0, "save": 1})
        longer = run.model_copy(
            update={"train": run.train.model_copy(update={"steps": 5, "keep": keep})}
        )
        plan = make(longer, prepared=prepared)
        if plan.problems:
            told_why(method, OBJECTIVE_OF[kind], plan.problems)
            return
        found.append(plan.resolved)
    whole, broken = found

    def killed(line: dict[str, Any]) -> None:
        if line["step"] == 3:
            os._exit(9)

    assert runs.in_child(lambda: train(whole, prepared)) == 0
    assert runs.in_child(lambda: train(broken, prepared, events=runs.on_step(killed))) == 9
    assert runs.in_child(lambda: train(broken, prepared, resume=True)) == 0
    straight, resumed = (RunFolder(tmp_path / name) for name in names)
    assert runs.weights(resumed.model) == runs.weights(straight.model)
    assert runs.record(resumed) == runs.record(straight)
