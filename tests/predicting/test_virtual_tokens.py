"""A run with virtual tokens, by the verbs: planned, proved, asked, and refused where it cannot
go.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from material.fast import slow_but
from material.proved import labelled, trained
from tunesmith import api
from tunesmith.errors import ModelError, SpecError
from tunesmith.export.make import export
from tunesmith.models.saved import load_run
from tunesmith.planning.make import make
from tunesmith.predicting.chat import Session
from tunesmith.predicting.predictor import Predictor
from tunesmith.settings.run import validate


@pytest.mark.parametrize("method", slow_but(["prefix"], ["prompt", "prefix"]))
def test_a_run_from_the_plan_to_the_answer(method: str, tiny_llama: Path, tmp_path: Path) -> None:
    settings = {"name": method, "tokens": 12, "init": "the question is"}
    run = trained(
        tmp_path, tiny_llama, labelled(200), method=settings, generate={"max_new_tokens": 4}
    )
    assert run.resolved().run.data.max_length == 512 - 12 == load_run(run).limit
    found = api.prove(run, items=20, shots=2).to_json()
    assert found["contenders"]["tuned"]["nll"] < found["contenders"]["base"]["nll"]
    asked = {"instruction": "red xyz uvw", "input": ""}
    answer = Predictor(run).predict([asked])[0]["prediction"]
    assert "".join(Session(run).say("red xyz uvw")).strip() == answer.strip()
    with pytest.raises(
        SpecError,
        match=rf"{method} cannot be merged into the base's weights.*PeftModel.from_pretrained",
    ):
        export(run, tmp_path / "merged")
    with pytest.raises(ModelError, match="virtual tokens, which are not weights"):
        load_run(run).model.merge_and_unload()
    longer = make(
        validate(
            {
                "model": str(tiny_llama),
                "data": {"path": str(tmp_path / "rows.json"), "max_length": 505},
            }
            | {"method": settings, "out": str(tmp_path / "longer")}
        )
    )
    assert [problem.where for problem in longer.problems] == [
        "data.max_length"
    ] and "the 500 of" in longer.problems[0].text
