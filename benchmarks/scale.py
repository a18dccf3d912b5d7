"""What dividing the weights over two processes costs in time, and what each process holds, against
the same two processes that each hold the whole model; the starter, on one CPU, over gloo.

python benchmarks/scale.py            # writes its table into benchmarks/scale.md
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from tables import measured_with, write

from tunesmith.machine.memory import GIB

STEPS = 6
CASES = {
    "lora, whole": ("lora", "none"),
    "lora, fsdp": ("lora", "fsdp"),
    "full, whole": ("full", "none"),
    "full, fsdp": ("full", "fsdp"),
}


def rows(place: Path) -> None:
    """Writes 64 rows of one length."""
    made = [
        {"instruction": f"Say the number {n} in words. " * 4, "output": f"It is {n}. " * 8}
        for n in range(64)
    ]
    place.write_text("\n".join(map(json.dumps, made)), encoding="utf-8")


class Watched(threading.Thread):
    """The most memory of its own (proportional set size, bytes) that a process of a run has held
    since its first step.
    """

    def __init__(self, process: psutil.Process, record: Path) -> None:
        super().__init__(daemon=True)
        self.process, self.record = process, record
        self.most: dict[int, float] = {}

    def run(self) -> None:
        """Looks every quarter of a second."""
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            if self.record.is_file() and "grad_norm" in self.record.read_text(encoding="utf-8"):
                for child in self.process.children(recursive=True):
                    try:
                        held = child.memory_full_info().pss
                    except psutil.Error:
                        continue
                    self.most[child.pid] = max(self.most.get(child.pid, 0.0), held)
            time.sleep(0.25)


def trained(folder: Path, data: Path, method: str, shard: str) -> tuple[float, float]:
    """Trains in two processes; seconds a step (median without the first), and GiB of the larger
    process.
    """
    settings = [f"method={method}", f"train.machine.shard={shard}", f"train.steps={STEPS}"]
    settings += ["processes=2", "train.machine.threads=1", "train.batch=8", "data.held_out=0"]
    settings += ["train.keep.evaluate=0", "train.keep.save=0", "train.micro_tokens=512"]
    words = ["train", "model=starter", f"data={data}", f"out={folder}", *settings]
    started = subprocess.Popen(
        [sys.executable, "-m", "tunesmith", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    watched = Watched(psutil.Process(started.pid), folder / "record.jsonl")
    watched.start()
    _, told = started.communicate(timeout=1200)
    if started.returncode:
        raise SystemExit(told)
    lines = [json.loads(line) for line in (folder / "record.jsonl").open(encoding="utf-8")]
    seconds = [line["seconds"] for line in lines if "seconds" in line][1:]
    return statistics.median(seconds), max(watched.most.values()) / GIB


def main() -> None:
    """Runs the cases in turn, every round anew, and writes the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "rows.jsonl"
        rows(data)
        for number in range(rounds):
            for name, (method, shard) in CASES.items():
                folder = Path(place) / f"{name.replace(', ', '-')}-{number}"
                found[name].append(trained(folder, data, method, shard))
                print(name, found[name][-1], flush=True)
    about = (
        f"{measured_with('torch', 'transformers', 'peft')}. SmolLM2-135M-Instruct, fp32, two"
        f" processes of one thread on one CPU, gloo, {STEPS} steps of 8 rows, {rounds} rounds in"
        " turn. Seconds a step: median (least–most of the rounds). Memory: the larger process's"
        " proportional set size since the first step."
    )
    told = [
        about,
        "",
        "| | seconds a step | GiB a process |",
        "|---|---|---|",
    ]
    for name, pairs in found.items():
        seconds, held = zip(*pairs, strict=True)
        told.append(
            f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"
            f" | {statistics.median(held):.2f} |"
        )
    write("scale", told, "scale.md")


if __name__ == "__main__":
    main()
