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
MOST = 25
"""In the order of the way: file, columns, reader, rendering, ledger and split, batch."""
LOOKING_ON = "data/detectors/"
"""What is warned of in rows; a family, of which a row sees all files, that changes nothing."""
MOST_BESIDE = 2
"""Further files that this family looks with: personal data, damage."""
FEW, MANY = 8, 24


def calls(tiny_llama: Path, folder: Path, count: int) -> Counter[tuple[str, str, bool]]:
    """How often each function of the package is called while ``count`` rows become a batch, and
    whether what looks on called it.
    """
    (folder / "rows.json").write_text(json.dumps(rows(count)), encoding="utf-8")
    settings = {"model": str(tiny_llama), "data.path": str(folder / "rows.json")}
    run = read_run(None, settings | {"data.held_out": 0, "out": str(folder / "run")})
    tokenizer = load_tokenizer(tiny_llama)
    found: Counter[tuple[str, str, bool]] = Counter()
    below: list[FrameType] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename.removeprefix(PACKAGE + "/")
        if event == "return" and below and below[-1] is frame:
            below.pop()
        elif event == "call" and file != frame.f_code.co_filename:
            found[file, frame.f_code.co_name, bool(below)] += 1
            if not below and file.startswith(LOOKING_ON):
                below.append(frame)

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
    passed: dict[bool, set[str]] = {True: set(), False: set()}
    for (file, name, looks_on), count in many.items():
        if count > few[file, name, looks_on]:
            passed[looks_on or file.startswith(LOOKING_ON)].add(file)
    way = passed[False]
    beside = {file for file in passed[True] - way if not file.startswith(LOOKING_ON)}
    assert len(way) <= MOST, f"{len(way)} files: {sorted(way)}"
    assert len(beside) <= MOST_BESIDE, f"{len(beside)} files: {sorted(beside)}"
