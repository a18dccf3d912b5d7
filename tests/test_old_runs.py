"""Run folders made by commit 96bdea1 (sft with LoRA, classify, dpo; 6 steps) are resumed, proved,
predicted and exported.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from material.fast import slow_but
from tunesmith.cli.main import main
from tunesmith.storage.run_folder import RunFolder

MADE = Path(__file__).parent / "material" / "old_runs"
KINDS = ["sft", "classify", "dpo"]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old folders, whose paths point to where it lies; checksums are written again
    for the changed files.
    """
    here = tmp_path / "runs"
    shutil.copytree(MADE, here)
    for path in [*here.rglob("*.json"), *here.rglob("run.yaml")]:
        text = path.read_text(encoding="utf-8")
        if "@HERE@" in text:
            path.write_text(text.replace("@HERE@", str(here)), encoding="utf-8")
    for manifest in here.rglob("MANIFEST.json"):
        listed = json.loads(manifest.read_text(encoding="utf-8"))
        state = manifest.parent / "state.json"
        digest = hashlib.sha256(state.read_bytes()).hexdigest()
        listed["files"]["state.json"] = {"size": state.stat().st_size, "sha256": digest}
        manifest.write_text(json.dumps(listed), encoding="utf-8")
    monkeypatch.chdir(here)
    return here


@pytest.mark.parametrize("kind", slow_but(["dpo"], KINDS))
def test_an_old_run_that_was_killed_ends_with_the_same_weights(old: Path, kind: str) -> None:
    folder = RunFolder(old / kind)
    left = load_file(folder.model / "adapter_model.safetensors")
    shutil.rmtree(folder.model)
    assert main(["train", kind, "--resume"]) == 0
    resumed = load_file(folder.model / "adapter_model.safetensors")
    assert left.keys() == resumed.keys()
    # Bytes are the same on one machine; another's matrix products may round apart.
    assert max(abs(left[name] - resumed[name]).max() for name in left) < 1e-5


@pytest.mark.parametrize("kind", slow_but(["sft"], KINDS))
def test_an_old_run_is_proved_predicted_and_exported(
    old: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prove", kind]) == 0
    assert "Verdict" in capsys.readouterr().out
    rows = {"sft": "questions.json", "classify": "labels.json", "dpo": "pairs.json"}[kind]
    few = json.loads((old / rows).read_text(encoding="utf-8"))[:3]
    (old / "few.json").write_text(json.dumps(few), encoding="utf-8")
    assert main(["predict", kind, "few.json", "--out", "answers.jsonl"]) == 0
    assert len((old / "answers.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert main(["export", kind, "merged"]) == 0
    assert (old / "merged" / "model.safetensors").is_file()
