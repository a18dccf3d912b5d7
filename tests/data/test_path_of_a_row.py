"""How many files a data row passes between its file and the batch."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import tunesmith
from material.runs import rows
from tunesmith.batches.micro_batches import micro_batches
from tunesmith.data.prepare import prepare
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.settings.run import read_run

PACKAGE = str(Path(tunesmith.__file__).parent)
MOST = 29
"""In the order of the way: file, columns, reader, rendering, ledger and split, batch."""
LOOKING_ON = "data/detectors/"
"""What is warned of in rows; a family, of which a row sees all files, that changes nothing."""
FEW, MANY = 8, 24


def calls(tiny_llama: Path, folder: Path, count: int) -> Counter[tuple[str, str]]:
    """How often each function of the package is called while ``count`` rows become a batch."""
    (folder / "rows.json").write_text(json.dumps(rows(count)), encoding="utf-8")
    settings = {"model": str(tiny_llama), "data.path": str(folder / "rows.json")}
    run = read_run(None, settings | {"data.held_out": 0, "out": str(folder / "run")})
    tokenizer = load_tokenizer(tiny_llama)
    found: Counter[tuple[str, str]] = Counter()
    below: list[FrameType] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename.removeprefix(PACKAGE + "/")
        if event == "return" and below and below[-1] is frame:
            below.pop()
        elif event == "call" and not below and file != frame.f_code.co_filename:
            if file.startswith(LOOKING_ON):
                below.append(frame)
                file = LOOKING_ON
            found[file, frame.f_code.co_name] += 1

    sys.setprofile(note)
    try:
        prepared = prepare(run, tokenizer)
        examples = [item.tokens for item in prepared.train]
        micro_batches(examples, 10**6, lay=lambda batch: batch, padded=False)
    finally:
        sys.setprofile(None)
    return found


def test_a_row_passes_few_files(tiny_llama: Path, tmp_path: Path) -> None:
    few, many = (calls(tiny_llama, tmp_path, count) for count in (FEW, MANY))
    # What is called for each row is called more often for more rows; all else is called alike.
    passed = sorted({file for (file, name), count in many.items() if count > few[file, name]})
    assert len(passed) <= MOST, f"{len(passed)} files: {passed}"
