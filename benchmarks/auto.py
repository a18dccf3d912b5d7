"""`tunesmith auto` against the default run on three real sets, both within the same budget.

    python benchmarks/auto.py --data DIR --work DIR [--budget 10m] [--sets reviews ...]

`auto` proposes, searches and proves within the budget. The default run has the model and the
objective that `auto` proposes, every other setting at its default, and as many steps as fill what
the budget leaves beside the same proof. Beside it stands the default run as it is, which `auto`
trains too. All three are asked the same held-out rows, which neither training nor choice saw, and
compared row by row. Each has one thread: the default run of one set goes on beside `auto` of the
next. What stands in the work folder is not run again; the table goes into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tables import measured_with, write

ROWS = 900
SHORTEST, LONGEST = 5, 40
"""Characters of a review: the starter, the model at hand, reads each as two or three tokens."""
SEED = 0
FEWEST_STEPS = 10


@dataclass(frozen=True)
class Task:
    """One set: what it is, where its rows are, and the settings that both runs share."""

    told: str
    file: str
    settings: dict[str, Any] = field(default_factory=dict)


TASKS = {
    "sst2": Task("English film reviews (SST-2), two labels", "sst2.csv"),
    "reviews": Task("short Chinese reviews of books and goods, two labels", "reviews.csv"),
    "support": Task(
        "answers of a customer service (Bitext)",
        "support.csv",
        {
            "data.columns": "{question: instruction, answer: response}",
            "data.held_out": 160,
            "data.max_length": 192,
            "data.too_long": "drop",
            "generate.max_new_tokens": 64,
            "prove.items": 60,
            "prove.shots": 0,
        },
    ),
}
SHARED = {"data.held_out": 400, "train.machine.threads": 1, "lang": "en"}


def write_csv(place: Path, head: list[str], rows: list[tuple[str, str]]) -> None:
    """Writes some rows in a seeded order, each text once."""
    once = [*dict(rows).items()]
    order = np.random.default_rng(SEED).permutation(len(once))[:ROWS]
    with place.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(head)
        writer.writerows(once[one] for one in order)


def prepare(data: Path, work: Path) -> None:
    """Writes the three files."""
    lines = (data / "sst2_en" / "train.tsv").read_text("utf-8").splitlines()
    pairs = [tuple(line.rsplit("\t", 1)) for line in lines]
    named = {"0": "negative", "1": "positive"}
    write_csv(work / "sst2.csv", ["text", "label"], [(text, named[label]) for text, label in pairs])
    reviews = [
        (text.strip(), label)
        for name, label in (("neg", "差评"), ("pos", "好评"))
        for text in (data / "chinese_reviews" / f"{name}.txt").read_text("utf-8").splitlines()
        if SHORTEST <= len(text.strip()) <= LONGEST
    ]
    write_csv(work / "reviews.csv", ["text", "label"], reviews)
    file = data / "customer_service_en" / "bitext_customer_support.csv"
    with file.open(encoding="utf-8", newline="") as read:
        support = [(row["instruction"], row["response"]) for row in csv.DictReader(read)]
    write_csv(work / "support.csv", ["instruction", "response"], support)


def tunesmith(log: Path, *words: str) -> None:
    """Runs the command with its output in a file; ends this program where it fails."""
    command = [sys.executable, "-m", "tunesmith", *words]
    with log.open("a", encoding="utf-8") as told:
        if subprocess.run(command, stdout=told, stderr=told, check=False).returncode:
            raise SystemExit(f"failed: {' '.join(words)}\nsee {log}")


def typed(settings: dict[str, Any]) -> list[str]:
    """Returns settings as they are typed."""
    return [f"{name}={value}" for name, value in settings.items()]


def of(work: Path, name: str) -> tuple[Path, Path]:
    """Returns the folder of a set's `auto` and that of its default run."""
    return work / f"{name}-auto", work / f"{name}-default"


def automatic(work: Path, name: str, budget: str) -> None:
    """Runs `auto` on a set; the same command goes on where it was stopped."""
    task, (out, _) = TASKS[name], of(work, name)
    given = {"data.path": work / task.file, **SHARED, **task.settings, "out": out}
    tunesmith(work / f"{name}.log", "auto", *typed(given), f"budget={budget}")


def default(work: Path, name: str) -> None:
    """Trains the default run for the same budget and compares `auto`'s best with it."""
    out, whole = of(work, name)
    best = out / "search" / "best"
    if not (whole / "model").is_dir():
        given = {**settings_of(work, name), "train.steps": steps_of(out), "out": whole}
        tunesmith(work / f"{name}-default.log", "train", *typed(given))
    rivals = [str(whole)]
    if (as_given := out / "search" / "as-given").is_dir():
        rivals.append(str(as_given))
    asked = [word for rival in rivals for word in ("--against", rival)]
    tunesmith(work / f"{name}-default.log", "prove", str(best), *asked)


def settings_of(work: Path, name: str) -> dict[str, Any]:
    """Returns the settings of the default run: what is shared, with the proposed model."""
    out, _ = of(work, name)
    decided = json.loads((out / "auto.json").read_text("utf-8"))["decided"]["settings"]
    task = TASKS[name]
    proposed = {key: decided[key] for key in ("model", "objective")}
    return {"data.path": work / task.file, **SHARED, **task.settings, **proposed}


def steps_of(out: Path) -> int:
    """Returns how many steps fill the budget beside the proof, at the pace that `auto` planned."""
    told = json.loads((out / "auto.json").read_text("utf-8"))
    proof = json.loads((out / "search" / "best" / "proof.json").read_text("utf-8"))
    record = (out / "search" / "best" / "record.jsonl").read_text("utf-8").splitlines()
    steps = max(json.loads(line)["step"] for line in record)
    left = told["asked"]["budget"] - sum(proof["seconds"].values())
    return max(FEWEST_STEPS, int(steps * left / told["decided"]["whole_seconds"]))


def compared(proof: dict[str, Any], rival: str) -> str:
    """Returns the best's lead over a rival with its interval, and the verdict."""
    one = proof["differences"][rival][proof["primary"]]
    lead, low, high = (100 * one[key] for key in ("difference", "low", "high"))
    return f"{lead:+.1f} ({low:+.1f} to {high:+.1f}), {one['verdict'].replace('_', ' ')}"


def seconds_of(run: Path) -> float:
    """Returns the time that a training took: that of its steps."""
    record = (run / "record.jsonl").read_text("utf-8").splitlines()
    return sum(json.loads(line).get("seconds", 0.0) for line in record)


def row(work: Path, name: str) -> str:
    """Returns a set's line of the table."""
    out, whole = of(work, name)
    told = json.loads((out / "auto.json").read_text("utf-8"))
    searched = json.loads((out / "search" / "search.json").read_text("utf-8"))
    proof = json.loads((out / "search" / "best" / "proof.json").read_text("utf-8"))
    chosen = ", ".join(f"`{key}={value}`" for key, value in searched["best"].items())
    rivals = [str(whole), str(out / "search" / "as-given")]
    leads = [compared(proof, one) if one in proof["differences"] else "the same" for one in rivals]
    cells = [
        TASKS[name].told,
        f"{proof['primary']}, {proof['items']} rows",
        chosen or "the default settings",
        f"{100 * proof['contenders']['tuned'][proof['primary']]:.1f}",
        *leads,
        f"{told['seconds']:.0f} s; {seconds_of(whole):.0f} s in {steps_of(out)} steps",
    ]
    return f"| {' | '.join(cells)} |"


def table(asked: argparse.Namespace) -> list[str]:
    """Returns the lines of the table."""
    head = [
        "set",
        "asked",
        "what `auto` chose",
        "its best",
        "against the default run of the whole budget (95 %)",
        "against the default run as it is (95 %)",
        "time: `auto` with its proof; the default run's steps",
    ]
    return [
        measured_with("torch", "transformers")
        + f"; {ROWS} rows of each set, budget {asked.budget}, one thread each of 2 cores that "
        "other work used too; one seed.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *(row(asked.work, name) for name in asked.sets),
    ]


def main() -> None:
    """Runs what is not there yet, the default run of a set beside `auto` of the next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--sets", nargs="+", choices=[*TASKS], default=[*TASKS])
    parser.add_argument(
        "--default", action="store_true", help="this process trains the default run"
    )
    asked = parser.parse_args()
    if asked.default:
        default(asked.work, asked.sets[0])
        return
    asked.work.mkdir(parents=True, exist_ok=True)
    if not (asked.work / "support.csv").is_file():
        prepare(asked.data, asked.work)
    before: subprocess.Popen[bytes] | None = None
    for name in asked.sets:
        automatic(asked.work, name, asked.budget)
        ended(before)
        own = ["--data", str(asked.data), "--work", str(asked.work), "--sets", name, "--default"]
        before = subprocess.Popen([sys.executable, __file__, *own])
    ended(before)
    write("auto", table(asked))


def ended(process: subprocess.Popen[bytes] | None) -> None:
    """Waits for a process; ends this program where it failed."""
    if process is not None and process.wait():
        raise SystemExit(1)


if __name__ == "__main__":
    main()
