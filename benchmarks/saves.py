"""What a checkpoint of two processes, each with its part of every weight, takes in memory and time:
the starter, full tuning, on one CPU, over gloo.

python benchmarks/saves.py            # writes its table into benchmarks/scale.md
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from scale import rows
from tables import measured_with, write

from tunesmith import api
from tunesmith.machine.allocator import handed_out
from tunesmith.machine.memory import GIB
from tunesmith.machine.ranks import run_ranks
from tunesmith.training.start import Saves

STEPS = 2


def own_memory() -> float:
    """Returns the bytes in use of what malloc gave; mapped files are not among them."""
    held = handed_out()
    if held is None:
        raise SystemExit("memory is counted with glibc 2.33 or newer alone")
    return held


class Peak(threading.Thread):
    """The most memory that this process holds until it is asked."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.ended = own_memory(), False

    def run(self) -> None:
        """Looks every 5 ms."""
        while not self.ended:
            self.most = max(self.most, own_memory())
            time.sleep(0.005)


def in_one_process(out: Path, data: Path) -> None:
    """Trains as one of two processes, and writes down what each save took."""
    taken: list[dict[str, float]] = []
    save = Saves.__call__

    def measured(saves: Saves, step: int) -> bool:
        before, peak, began = own_memory(), Peak(), time.perf_counter()
        peak.start()
        done = save(saves, step)
        peak.ended = True
        peak.join()
        seconds = time.perf_counter() - began
        taken.append({"before": before, "peak": peak.most, "seconds": seconds})
        return done

    Saves.__call__ = measured  # type: ignore[method-assign]
    machine = {"shard": "fsdp", "threads": 1, "precision": "fp32"}
    train: dict[str, Any] = {"steps": STEPS, "batch": 8, "micro_tokens": 512, "machine": machine}
    train |= {"optimizer": "adamw", "keep": {"evaluate": 0, "save": 1}}
    settings: dict[str, Any] = {"model": "starter", "out": str(out), "method": "full"}
    settings |= {"data": {"path": str(data), "held_out": 0}, "train": train, "processes": 2}
    api.train(settings)
    place = out.parent / f"{os.environ['RANK']}.json"
    place.write_text(json.dumps(taken), encoding="utf-8")


def main() -> None:
    """Trains in two processes, and writes the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--print", action="store_true", help="print the table, write no page")
    given = parser.parse_args()
    if given.one:
        in_one_process(*given.one)
        return
    about = (
        f"{measured_with('torch', 'transformers')}. SmolLM2-135M-Instruct, full tuning, fp32,"
        f" adamw, two processes of one thread on one CPU, gloo, {STEPS} saves. GiB that a process"
        " had in use before a save (what malloc gave, without mapped files), and that the save took"
        " besides at most; least–most of the saves."
    )
    told = [
        about,
        "",
        "| process | GiB before | GiB more | seconds |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as place:
        data, out = Path(place) / "rows.jsonl", Path(place) / "run"
        rows(data)
        if run_ranks(2, [sys.executable, __file__, "--one", str(out), str(data)]):
            raise SystemExit(1)
        for number, name in enumerate(("first", "second")):
            taken = json.loads((Path(place) / f"{number}.json").read_text(encoding="utf-8"))
            before = [one["before"] / GIB for one in taken]
            more = [(one["peak"] - one["before"]) / GIB for one in taken]
            seconds = [one["seconds"] for one in taken]
            cells = [f"{min(one):.2f}–{max(one):.2f}" for one in (before, more, seconds)]
            told.append("| " + " | ".join([name, *cells]) + " |")
    print("\n".join(told))
    if not given.print:
        write("saves", told, "scale.md")


if __name__ == "__main__":
    main()
