"""What a user waits for before anything heavy is loaded: import, help and an error in the settings,
over a bare interpreter.

python benchmarks/startup.py            # writes its table into benchmarks/README.md
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from datetime import date

from tables import write

ROUNDS = 15
CASES = {
    "bare interpreter": ["-c", "pass"],
    "`import tunesmith`": ["-c", "import tunesmith"],
    "`tunesmith --help`": ["-m", "tunesmith", "--help"],
    "a wrong setting (`train.epoch=1`)": [
        "-m",
        "tunesmith",
        "plan",
        "model=x",
        "data=y",
        "out=z",
        "train.epoch=1",
    ],
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    return time.perf_counter() - start


def main() -> None:
    """Times the cases in turn and writes the table."""
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(ROUNDS + 1):
        for name, arguments in CASES.items():
            taken = seconds(arguments)
            if number:  # the first round fills the disk's cache
                times[name].append(taken)
    bare = statistics.median(times["bare interpreter"])
    lines = [
        f"{date.today()}, Python {platform.python_version()}, 2 cores, {ROUNDS} rounds in turn.",
        "",
        "| | seconds, median (range) | over a bare interpreter |",
        "|---|---|---|",
    ]
    for name, taken in times.items():
        middle = statistics.median(taken)
        lines.append(
            f"| {name} | {middle:.2f} ({min(taken):.2f}-{max(taken):.2f}) | {middle - bare:+.2f} |"
        )
    write("startup", [*lines, ""])


if __name__ == "__main__":
    main()
