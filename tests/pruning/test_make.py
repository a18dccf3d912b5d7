"""``tunesmith prune`` from rows to a folder: what is written is what was pruned, and plain
transformers load it; nothing is left of what failed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import tunesmith as ts
from conftest import tiny_model
from tunesmith.errors import DiskError, SpecError

SETTINGS = ["items=4", "generate.max_new_tokens=4"]


@pytest.fixture(autouse=True)
def seldom_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.pruning.costs.TIMED", 2)
    monkeypatch.setattr("tunesmith.pruning.costs.TIMED_TOKENS", 4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of five layers, and rows."""
    folder = tmp_path_factory.mktemp("prune")
    tiny_model(folder / "model", num_hidden_layers=5, intermediate_size=96)
    rows = [
        {"instruction": f"what is the name of {n}", "output": f"it is number {n}"}
        for n in range(60)
    ]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def test_fewer_layers_in_a_folder_that_transformers_load(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    from transformers import AutoModelForCausalLM

    # What stands in a folder beside the model's own files is not taken for the lighter model's.
    (place / "model/model-00001-of-00002.safetensors.part").write_text("")
    (place / "model/pytorch_model.bin").write_bytes(b"old")
    (place / "model/LICENSE").write_text("free")
    done = ts.prune(
        str(place / "model"),
        place / "light",
        [f"data={place / 'rows.json'}", "share=0.4", "hub=team/light", *SETTINGS],
    )
    # Without a token it says what would go; what goes names no folder of this machine.
    assert any(
        "nothing was sent" in line and "hf upload team/light" in line for line in done.lines()
    )
    card = (place / "light/README.md").read_text(encoding="utf-8")
    assert "library_name: transformers" in card and "- pruned" in card and "- layers" in card
    assert "3 of 5 layers" in card and "# light\n" in card and "**lost**" in card
    for file in ("README.md", "parity.json", "parity.md"):
        assert str(place) not in (place / "light" / file).read_text(encoding="utf-8")
    model = AutoModelForCausalLM.from_pretrained(place / "light")
    assert model.config.num_hidden_layers == len(model.model.layers) == 3
    names = {path.name for path in (place / "light").iterdir()}
    assert {
        "tokenizer.json",
        "LICENSE",
        "parity.md",
        "README.md",
    } <= names and "pytorch_model.bin" not in names
    told = json.loads((place / "light/parity.json").read_text(encoding="utf-8"))
    before, after = told["size_before"], told["size_after"]
    assert before["weights"] - after["weights"] == 2 * sum(
        one.numel() for one in model.model.layers[0].parameters()
    )
    # Keys and values of 2 heads of width 8, in 4 bytes each.
    assert (before["cache"], after["cache"]) == (5 * 2 * 2 * 8 * 4, 3 * 2 * 2 * 8 * 4)
    assert told["task"]["items"] == 4 and told["times"]["low"] <= told["times"]["faster"]
    assert done.page.verdict in told["verdict"] and "3 of 5 layers" in done.lines()[1]
    assert torch.isfinite(model(input_ids=torch.arange(9)[None]).logits).all()


def test_a_full_disk_and_bad_settings_leave_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = f"data={place / 'rows.json'}", place / "none"
    with pytest.raises(SpecError) as refused:
        ts.prune(str(place / "model"), out, [data, "model.quantize=nf4", "objective=reward"])
    assert [one.where for one in refused.value.problems] == ["objective", "model.quantize"]
    with pytest.raises(SpecError, match=r"prune\.share: .*less than one layer"):
        ts.prune(str(place / "model"), out, [data, "share=0.05"])
    with pytest.raises(SpecError, match=r"prune\.hub: .*owner/name"):
        ts.prune(str(place / "model"), out, [data, "hub=light"])
    with pytest.raises(SpecError, match=r"by: its place here: how\.by"):
        ts.prune(str(place / "model"), out, [data, "by=influence"])
    with pytest.raises(SpecError, match="not empty"):
        ts.prune(str(place / "model"), place / "model", [data])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tunesmith.models.structure.whole.write_model", full)
    with pytest.raises(DiskError, match="No space left"):
        ts.prune(str(place / "model"), out, [data, "how=magnitude", *SETTINGS])
    assert not out.exists() and not list(place.glob(".none*"))
