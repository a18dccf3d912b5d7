"""What two processes that divide the rows, or the weights too, cost in time, memory and bytes sent,
against one process; the starter, on one CPU, over gloo.

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
from dataclasses import dataclass
from pathlib import Path

import psutil
from tables import measured_with, write

from tunesmith.machine.memory import GIB

STEPS = 6
MIB = 2**20
LAYOUTS = {
    "one process": (1, "none"),
    "two, whole": (2, "none"),
    "two, fsdp": (2, "fsdp"),
}
CASES = {
    f"{method}, {name}": (method, *layout)
    for method in ("lora", "full")
    for name, layout in LAYOUTS.items()
}


def rows(place: Path) -> None:
    """Writes 64 rows of one length."""
    made = [
        {"instruction": f"Say the number {n} in words. " * 4, "output": f"It is {n}. " * 8}
        for n in range(64)
    ]
    place.write_text("\n".join(map(json.dumps, made)), encoding="utf-8")


@dataclass(frozen=True)
class Cost:
    """What a case took: seconds a step, GiB of the larger process, MiB that each sends a step."""

    seconds: float
    held: float
    sent: float


def steps_made(record: Path) -> int:
    """Counts the steps that a run has recorded."""
    if not record.is_file():
        return 0
    return record.read_text(encoding="utf-8").count("grad_norm")


def sent() -> int:
    """Counts the bytes that went over the loopback device, where processes of one machine meet."""
    return psutil.net_io_counters(pernic=True)["lo"].bytes_sent


class Watched(threading.Thread):
    """The most memory of its own (proportional set size, bytes) that a process of a run has held
    since its first step, and the bytes sent from the first step that was seen to the last.
    """

    def __init__(self, process: psutil.Process, record: Path) -> None:
        super().__init__(daemon=True)
        self.process, self.record = process, record
        self.most: dict[int, float] = {}
        self.seen: dict[int, int] = {}
        """Bytes sent so far when a number of steps was seen first."""

    def run(self) -> None:
        """Looks every tenth of a second."""
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            if made := steps_made(self.record):
                self.seen.setdefault(made, sent())
                for one in (self.process, *self.process.children(recursive=True)):
                    try:
                        held = one.memory_full_info().pss
                    except psutil.Error:
                        continue
                    self.most[one.pid] = max(self.most.get(one.pid, 0.0), held)
            time.sleep(0.1)

    @property
    def sent_a_step(self) -> float:
        """Returns the bytes of a step, in the mean between the first and the last seen."""
        first, last = min(self.seen), max(self.seen)
        return (self.seen[last] - self.seen[first]) / max(last - first, 1)


def trained(folder: Path, data: Path, method: str, processes: int, shard: str) -> Cost:
    """Trains in so many processes; the seconds are the median without the first step."""
    settings = [f"method={method}", f"train.machine.shard={shard}", f"train.steps={STEPS}"]
    settings += [f"processes={processes}", "train.machine.threads=1", "train.batch=8"]
    settings += ["data.held_out=0", "train.micro_tokens=512"]
    settings += ["train.keep.evaluate=0", "train.keep.save=0"]
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
    held = max(watched.most.values()) / GIB
    return Cost(statistics.median(seconds), held, watched.sent_a_step / processes / MIB)


def main() -> None:
    """Runs the cases in turn, every round anew, and writes the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    found: dict[str, list[Cost]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "rows.jsonl"
        rows(data)
        for number in range(rounds):
            for name, case in CASES.items():
                folder = Path(place) / f"{name.replace(', ', '-').replace(' ', '-')}-{number}"
                found[name].append(trained(folder, data, *case))
                print(name, found[name][-1], flush=True)
    about = (
        f"{measured_with('torch', 'transformers', 'peft')}. SmolLM2-135M-Instruct, fp32,"
        f" processes of one thread each on a CPU of two cores, gloo, {STEPS} steps of 8 rows,"
        f" {rounds} rounds in turn. Seconds a step: median (least–most of the rounds). Memory: the"
        " larger process's proportional set size since the first step. Sent: half of what went over"
        " the loopback device."
    )
    told = [
        about,
        "",
        "| | seconds a step | GiB a process | MiB a process sends a step |",
        "|---|---|---|---|",
    ]
    for name, costs in found.items():
        seconds = [one.seconds for one in costs]
        held = statistics.median(one.held for one in costs)
        all_sent = statistics.median(one.sent for one in costs)
        told.append(
            f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"
            f" | {held:.2f} | {all_sent:.1f} |"
        )
    write("scale", told, "scale.md")


if __name__ == "__main__":
    main()
