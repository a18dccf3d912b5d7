"""What a user waits for before the work begins: each verb in a process of its own, on rows so few
that nearly all of it is imports.

python benchmarks/startup.py            # writes its table into benchmarks/README.md
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from tables import write

ROWS = 40
FIRST_STEP = """
import os, sys
from tunesmith import api
asked = {"model": "starter", "data": sys.argv[1], "out": sys.argv[2]}
api.train(asked, on_step=lambda line: os._exit(0))
"""


def cases(folder: Path, number: int) -> dict[str, list[str]]:
    """What is timed, with the words for Python; ``number`` is the round's, for what must be new."""
    verb = ["-m", "tunesmith"]
    rows, few, out = folder / "rows.jsonl", folder / "few.jsonl", folder / f"run-{number}"
    dora = 1 + (os.getpid() + number) % 190
    plan = [*verb, "plan", "model=starter", f"data={rows}", f"out={out}"]
    return {
        "bare interpreter": ["-c", "pass"],
        "`import torch`, for comparison": ["-c", "import torch"],
        "`import transformers`, for comparison": ["-c", "import transformers"],
        "`import tunesmith`": ["-c", "import tunesmith"],
        "`tunesmith --help`": [*verb, "--help"],
        "a wrong setting (`train.epoch=1`)": [
            *(*verb, "plan", "model=x", "data=y", "out=z", "train.epoch=1")
        ],
        "`check`, 4 rows": [*verb, "check", str(few)],
        "`plan` of model and method planned before": plan,
        "`plan` of another LoRA on that model": [*plan, f"method.rank={16 + number}"],
        "`plan`, the first of a method": [*plan, "method.variant=dora", f"method.rank={dora}"],
        "`train` to the end of its first step": ["-c", FIRST_STEP, str(rows), str(out)],
    }


def timed(words: list[str]) -> tuple[float, float]:
    """Seconds of CPU and of the clock."""
    # Compiled once and kept, as for anybody who does not forbid it.
    kept = {name: held for name, held in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *words], capture_output=True, check=False, env=kept)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, end - start


def told(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> None:
    """Times the cases in turn and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    times: dict[str, list[tuple[float, float]]] = {}
    busy: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [{"question": f"What is {n} and {n}?", "answer": f"{2 * n}."} for n in range(ROWS)]
        (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (folder / "few.jsonl").write_text("\n".join(map(json.dumps, rows[:4])))
        for number in range(rounds + 1):
            for case, words in cases(folder, number).items():
                taken = timed(words)
                if number:  # the first round fills the caches
                    times.setdefault(case, []).append(taken)
            busy.append(os.getloadavg()[0])
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
    cores, threads = os.cpu_count(), os.environ.get("OMP_NUM_THREADS", "-")
    measured = (
        f"{date.today()}, {versions}, Python {platform.python_version()}, SmolLM2-135M, "
        f"{ROWS} rows; {cores} cores, no GPU, OMP_NUM_THREADS={threads}; {rounds} rounds in turn, "
        f"warm caches. The machine's load meanwhile was {min(busy):.1f} to {max(busy):.1f}: above "
        f"{cores} other work lengthens both columns, that of the clock most."
    )
    lines = [
        measured,
        "",
        "| | seconds of CPU, median (range) | of the clock |",
        "|---|---|---|",
    ]
    for case, taken in times.items():
        used, clock = ([one[column] for one in taken] for column in (0, 1))
        lines.append(f"| {case} | {told(used)} | {told(clock)} |")
    write("startup", [*lines, ""])


if __name__ == "__main__":
    main()
