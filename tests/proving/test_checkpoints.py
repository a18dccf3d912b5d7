"""One run at several steps: each checkpoint's proof has its own place, and together they are a curve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from material.proved import labelled, trained
from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.errors import SpecError
from tunesmith.proving import contest as frame
from tunesmith.proving.judge import judge
from tunesmith.report.build import build
from tunesmith.report.samples import read_items
from tunesmith.storage.run_folder import RunFolder


@pytest.mark.slow  # 9 s
def test_the_curve_holds_what_each_checkpoint_s_own_proof_says(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = {"evaluate": 0, "save": 5, "keep": 5}
    run = trained(
        tmp_path,
        tiny_llama,
        labelled(120),
        method="full",
        data={"path": str(tmp_path / "rows.json"), "held_out": 0.4},
        train={"steps": 10, "learning_rate": 5e-3, "keep": keep},
    )
    known = tmp_path / "known.jsonl"
    asked = [{"question": "is it red or cat?", "answer": one} for one in ("color", "animal")]
    known.write_text("".join(json.dumps(row) + "\n" for row in asked * 12), encoding="utf-8")
    run.proof.write_text(json.dumps({"verdict": "mine"}), encoding="utf-8")
    opened: list[int] = []
    real = frame.Kept.value

    def value(self: frame.Kept, name: str, make: object) -> object:
        opened.append(name not in self)
        return real(self, name, make)  # type: ignore[arg-type]

    monkeypatch.setattr(frame.Kept, "value", value)
    curve = api.prove_checkpoints(run, suites=[f"rows={known}"])
    assert opened.count(False) > 0, "what the base said is not asked twice"
    assert run.read(run.proof) == {"verdict": "mine"}, "the run's own proof stays"
    found = run.read(run.proved_steps)
    assert found == curve.found and [one["step"] for one in found["points"]] == [5, 10]
    for point in found["points"]:
        proof = run.read(run.path / "proofs" / f"step-{point['step']}" / "proof.json")
        assert proof["model"]["step"] == point["step"]
        primary, rival = proof["primary"], proof["against"]
        assert point["value"] == proof["contenders"]["tuned"][primary]
        compared = proof["differences"][rival][primary]
        assert [point[name] for name in ("low", "high")] == [compared["low"], compared["high"]]
        (title,) = point["suites"]
        kept = proof["retention"]["suites"][title]
        assert point["suites"][title]["tuned"] == kept["tuned"]
        assert found["suites"][title]["base"] == kept["base"]
        # All of it follows from the lines beside that proof.
        lines = read_items(run.path / "proofs" / f"step-{point['step']}" / "items.jsonl")
        names, decides = list(proof["contenders"]["tuned"]), (rival, primary)
        again = judge(lines, names, seed=proof["seed"], decides=decides)
        assert again["contenders"]["tuned"][primary] == pytest.approx(point["value"])
        bounds = again["differences"][rival][primary]
        assert bounds["low"] == pytest.approx(point["low"])
        assert bounds["high"] == pytest.approx(point["high"])
    proofs = [run.read(run.path / "proofs" / f"step-{n}" / "proof.json") for n in (5, 10)]
    first, second = (one["contenders"]["tuned"]["nll"] for one in proofs)
    assert first != second, "the steps are different models"
    told = "\n".join(curve.lines())
    assert "better than it is" in told and str(found["points"][1]["step"]) in told
    one = RunFolder(run.path, "step-10")
    alone = api.prove(one, shots=0).found
    assert alone["contenders"]["tuned"]["nll"] == second
    assert not (run.path / "proofs" / "scoring.jsonl").exists()
    run.proof.write_text(json.dumps(alone), encoding="utf-8")
    page = build(run, lang="en").read_text(encoding="utf-8")
    assert page.count("Task and retention by step") == 1
    assert page.index("Task and retention by step") < page.index('id="ledger"')


def test_one_step_is_no_curve_and_other_questions_are_refused(
    adapter_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    last = max(adapter_run.models_of_steps)
    with pytest.raises(SpecError, match=f"step {last} only: a curve needs two"):
        api.prove_checkpoints(adapter_run)
    capsys.readouterr()
    line = ["prove", str(adapter_run.path), "--checkpoints", "--shots", "3", "--lang", "en"]
    assert main(line) == 2
    told = capsys.readouterr().err
    assert told.startswith("--checkpoints: goes with --items") and "not with --shots" in told
