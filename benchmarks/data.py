"""What reading, rendering and splitting rows costs, beside what others do with the same file:
`datasets` with the chat template in a batched map, and the tokenizer alone over the same texts.

    python benchmarks/data.py FILE [FILE …] [--rows 100000] [--rounds 3] [--model MODEL]

The rows of FILE (JSON arrays with instruction, input and output) are mixed, sentence by sentence,
into as many different rows as are asked for. Every contender runs in a process of its own, in
turn, the tokenizer alone with one thread and with all. tunesmith lets further processes encode rows
behind the first thousand, and is run without them too. CPU seconds of all processes, those of the
one that waits for the others, seconds of the clock, and its largest memory are told.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

STARTER = "starter"
SENTENCE = re.compile(r"(?<=[.!?。！？\n])")


def mixed(files: list[Path], count: int, place: Path) -> None:
    """Writes ``count`` different rows as JSON lines: some sentences of two real rows each."""
    rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
    draw = random.Random(0)
    with place.open("w", encoding="utf-8") as out:
        for number in range(count):
            first, second = draw.choice(rows), draw.choice(rows)
            parts = SENTENCE.split(first["output"]) + SENTENCE.split(second["output"])
            draw.shuffle(parts)
            length = max(1, len(parts) // 2)
            row = {
                "instruction": f"{first['instruction']} ({number})",
                "input": first.get("input", ""),
                "output": "".join(parts[:length]).strip() or second["output"],
            }
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def tokenizer_of(model: str) -> Any:
    """Loads the tokenizer as a run does."""
    from tunesmith.models.finding.hub import find_model
    from tunesmith.models.loading.tokenizer import load_tokenizer

    return load_tokenizer(find_model(model))


def ours(file: Path, model: str) -> Callable[[], int]:
    """Prepares the rows for a run: read, checked, rendered, split."""
    from tunesmith.data.prepare import prepare
    from tunesmith.settings.run import read_run

    run = read_run(None, {"model": model, "data.path": str(file), "out": "-"})
    tokenizer = tokenizer_of(model)

    def go() -> int:
        found = prepare(run, tokenizer)
        return sum(len(one) for item in found.train for one in item.tokens)

    return go


def ours_alone(file: Path, model: str) -> Callable[[], int]:
    """Prepares the rows in one process."""
    from tunesmith.data import side_by_side

    side_by_side.processes = lambda: 1
    return ours(file, model)


def ours_again(file: Path, model: str) -> Callable[[], int]:
    """Finds the rows that an earlier start prepared, in the cache folder."""
    from tunesmith.data import prepare_once as once
    from tunesmith.settings.run import read_run

    folder = tempfile.mkdtemp(dir=file.parent)
    once.prepared_folder = lambda: Path(folder)
    run = read_run(None, {"model": model, "data.path": str(file), "out": "-"})
    once.prepare_once(run, tokenizer_of(model))
    tokenizer = tokenizer_of(model)

    def go() -> int:
        found = once.prepare_once(run, tokenizer)
        return sum(len(one) for item in found.train for one in item.tokens)

    return go


def texts_of(file: Path, tokenizer: Any) -> list[str]:
    """Returns each row through the chat template."""
    texts = []
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            asked = "\n".join(filter(None, (row["instruction"], row["input"])))
            turns = [("user", asked), ("assistant", row["output"])]
            messages = [{"role": role, "content": text} for role, text in turns]
            texts.append(tokenizer.apply_chat_template(messages, tokenize=False))
    return texts


def tokenizer_alone(file: Path, model: str, *, threads: bool = False) -> Callable[[], int]:
    """Makes ids of the finished texts, a thousand at a time."""
    os.environ["TOKENIZERS_PARALLELISM"] = str(threads).lower()
    tokenizer = tokenizer_of(model)
    texts = texts_of(file, tokenizer)

    def go() -> int:
        count = 0
        for start in range(0, len(texts), 1000):
            told = tokenizer(texts[start : start + 1000], add_special_tokens=False)
            count += sum(map(len, told["input_ids"]))
        return count

    return go


def datasets_map(file: Path, model: str) -> Callable[[], int]:
    """Reads and tokenises with `datasets`, batched, as most toolkits do; nothing is checked."""
    from datasets import load_dataset

    tokenizer = tokenizer_of(model)

    def tokenised(rows: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        texts = [
            tokenizer.apply_chat_template(
                [
                    {"role": "user", "content": "\n".join(filter(None, (asked, more)))},
                    {"role": "assistant", "content": answer},
                ],
                tokenize=False,
            )
            for asked, more, answer in zip(
                rows["instruction"], rows["input"], rows["output"], strict=True
            )
        ]
        return {"ids": tokenizer(texts, add_special_tokens=False)["input_ids"]}

    def go() -> int:
        with tempfile.TemporaryDirectory() as cache:
            rows = load_dataset("json", data_files=str(file), split="train", cache_dir=cache)
            done = rows.map(tokenised, batched=True, remove_columns=rows.column_names)
            return sum(map(len, done["ids"]))

    return go


CONTENDERS = {
    "tunesmith": ours,
    "one process": ours_alone,
    "second start": ours_again,
    "datasets": datasets_map,
    "tokenizer alone": tokenizer_alone,
    "its threads": partial(tokenizer_alone, threads=True),
}


def _others() -> float:
    """Returns the CPU seconds of the processes that have ended under this one."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def one(name: str, file: Path, model: str) -> None:
    """Runs one contender in this process and prints what it cost, as JSON."""
    go = CONTENDERS[name](file, model)
    before, begin, clock = _others(), time.process_time(), time.monotonic()
    tokens = go()
    own = time.process_time() - begin
    told = {
        "own": own,
        "cpu": own + _others() - before,
        "clock": time.monotonic() - clock,
        "tokens": tokens,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    }
    print("\n" + json.dumps(told))


def main() -> None:
    """Runs all contenders in turn, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=STARTER)
    parser.add_argument("--write", type=Path, help="write the mixed rows into this file and stop")
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.files[0], given.model)
        return
    if given.write:
        mixed(given.files, given.rows, given.write)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        mixed(given.files, given.rows, file)
        print(f"{given.rows:,} rows, {file.stat().st_size / 1e6:.0f} MB")
        found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(given.rounds):
            for name in CONTENDERS:
                command = [sys.executable, __file__, str(file), "--model", given.model]
                done = subprocess.run(
                    [*command, "--one", name], capture_output=True, text=True, check=True
                )
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
        for name, runs in found.items():
            cpu, own, clock = (median(run[key] for run in runs) for key in ("cpu", "own", "clock"))
            rate = given.rows / clock
            peak = max(run["peak"] for run in runs)
            print(
                f"{name:16} {cpu:7.1f} CPU s, {own:7.1f} of them in the process that waits"
                f", {clock:7.1f} s of the clock ({rate:.0f} rows/s), {peak:6.2f} GiB"
            )


if __name__ == "__main__":
    main()
