"""The adapter alone: plain peft loads it, on the base, to the same model."""

from __future__ import annotations

from pathlib import Path

import pytest
from peft import PeftModel

from material.exported import asked, beside, run_folder, tuned
from tunesmith.errors import SpecError
from tunesmith.export.make import export


def test_peft_loads_it_by_the_lines_that_are_told(tiny_llama: Path, tmp_path: Path) -> None:
    done = export(tuned(tmp_path / "run", tiny_llama), tmp_path / "out", asked("format=adapter"))
    assert done.saved is not None and done.saved.largest_difference == 0
    assert done.page.verdict == "same" and done.merged is None
    space: dict[str, object] = {}
    exec("\n".join(done.load[:4]), space)
    assert isinstance(space["model"], PeftModel)
    assert done.load[4:] == ("# for vLLM: tunesmith export RUN OUT format=vllm",)
    names = {path.name for path in done.out.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names


def test_a_whole_model_has_none(tiny_llama: Path, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", tiny_llama, method="full")
    folder.model.mkdir()
    beside(folder, tiny_llama)
    with pytest.raises(SpecError, match="full trains a whole model and leaves no adapter"):
        export(folder, tmp_path / "out", asked("format=adapter"))
