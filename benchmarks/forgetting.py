"""Ways not to forget, compared: the starter learns to name what a question asks for (TREC), then to
name what a customer wants (Bitext), each way with the same number of steps, rows a step and rate.

    python benchmarks/forgetting.py --data DIR --work DIR

asks each model the second task, the first and the general probe, and writes its table into
benchmarks/README.md. Each run is a fresh process. What stands in the work folder is not run again,
and a training or a scoring that was stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tables import measured_with, write

QUESTIONS = (
    "What kind of thing does the question ask for? Answer with one word: human (a person or "
    "group), location (a place), number (a count, date or amount), entity (a thing), description "
    "(an explanation) or abbreviation (what letters stand for)."
)
REQUESTS = "What does the customer want? Answer with the name of the request."
TRAINED, ASKED, WATCHED, STEPS = 600, 200, 80, 75
WAYS: dict[str, dict[str, Any]] = {
    "plain": {"objective": "sft"},
    "replay, a tenth": {"source": {"name": "replay", "path": "{first}", "share": 0.1}},
    "replay, a quarter": {"source": {"name": "replay", "path": "{first}", "share": 0.25}},
    "distill_to_base 1": {"objective": {"name": "distill_to_base", "of": "sft", "weight": 1.0}},
    "l2_to_start 1": {"objective": {"name": "l2_to_start", "of": "sft", "weight": 1.0}},
    "ewc 100": {"objective": {"name": "ewc", "of": "sft", "weight": 100.0}},
    "ewc 1000": {"objective": {"name": "ewc", "of": "sft", "weight": 1000.0}},
    "ewc 10000": {"objective": {"name": "ewc", "of": "sft", "weight": 10000.0}},
}
BLENDED = "blend of plain"
SUITES = ("first", "probe")


def write_rows(place: Path, system: str, pairs: list[tuple[str, str]]) -> None:
    """Writes questions and answers as conversations."""
    lines = [
        {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": asked},
                {"role": "assistant", "content": answer},
            ]
        }
        for asked, answer in pairs
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    place.write_text(text, encoding="utf-8")


def prepare(data: Path, work: Path) -> None:
    """Writes the rows of both tasks; what is asked of the first was not trained on."""
    from tunesmith.data.reading import examples
    from tunesmith.examples import Chat
    from tunesmith.settings.run import Data

    chats = [chat for _, chat in examples(Data(path="package:trec")) if isinstance(chat, Chat)]
    pairs = [*{chat.turns[-2].content: chat.answer for chat in chats}.items()]
    order = np.random.default_rng(0).permutation(len(pairs))
    mixed = [pairs[place] for place in order]
    write_rows(work / "questions.jsonl", QUESTIONS, mixed[: TRAINED + WATCHED])
    write_rows(work / "first.jsonl", QUESTIONS, mixed[-ASKED:])
    file = data / "customer_service_en" / "bitext_customer_support.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = {row["instruction"]: row["intent"] for row in csv.DictReader(lines)}
    write_rows(
        work / "requests.jsonl",
        REQUESTS,
        [(text, intent.replace("_", " ")) for text, intent in rows.items()],
    )


def settings_of(work: Path, way: str, seed: int) -> dict[str, Any]:
    """The run of the second task in one way."""
    first = work / "questions"
    text = json.dumps(WAYS[way]).replace("{first}", str(first))
    return {**common(seed), "model": str(first), "out": str(out_of(work, way, seed))} | {
        "data": {"path": str(work / "requests.jsonl"), "held_out": ASKED, "limit": 900},
        **json.loads(text),
    }


def common(seed: int) -> dict[str, Any]:
    """What all runs share."""
    train = {"steps": STEPS, "batch": 16, "learning_rate": 5e-4, "seed": seed}
    train |= {"keep": {"evaluate": 0, "save": 0}, "machine": {"threads": 1}}
    return {"method": {"name": "lora", "rank": 16}, "train": train} | {
        "generate": {"max_new_tokens": 16},
        "prove": {"items": ASKED, "shots": 0},
    }


def out_of(work: Path, way: str, seed: int) -> Path:
    """The run folder of a way."""
    return work / f"{way.replace(' ', '_').replace(',', '')}-{seed}"


def begin_or_go_on(out: Path, settings: dict[str, Any]) -> None:
    """Trains a run that is not there, or the rest of one that was stopped."""
    from tunesmith import api
    from tunesmith.storage.run_folder import RunFolder

    if not out.is_dir():
        api.train(settings)
    elif not (out / "model").is_dir():
        api.train(RunFolder(out), resume=True)


def one(work: Path, way: str, seed: int) -> None:
    """Trains in one way, and asks the model that came of it; the base, which is that of all ways,
    is asked once.
    """
    from tunesmith import api
    from tunesmith.events.stream import Events
    from tunesmith.proving.contest import Wanted, contest
    from tunesmith.proving.interrupted import Kept
    from tunesmith.storage.run_folder import RunFolder

    out = out_of(work, way, seed)
    suites = [f"rows={work / 'first.jsonl'}", "probe"]
    if way == "first":
        path = str(work / "questions.jsonl")
        out, data = work / "questions", {"path": path, "held_out": WATCHED}
        begin_or_go_on(out, {**common(seed), "model": "starter", "data": data, "out": str(out)})
        return
    if way == BLENDED and not out.is_dir():
        api.blend(out_of(work, "plain", seed), out, items=WATCHED, suites=suites)
    elif way != BLENDED:
        begin_or_go_on(out, settings_of(work, way, seed))
    kept = Kept(work / "scoring.jsonl")
    found = contest(RunFolder(out), Wanted(suites=suites), Events(), kept).to_json()
    (work / f"{out.name}.json").write_text(json.dumps({"proof": found}), "utf-8")


def main() -> None:
    """Runs what is not there yet and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--ways", nargs="+", default=[*WAYS, BLENDED])
    parser.add_argument("--one", action="store_true", help="this process trains")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    if asked.one:
        one(asked.work, asked.ways[0], asked.seeds[0])
        return
    if not (asked.work / "questions" / "model").is_dir():
        prepare(asked.data, asked.work)
        run_alone(asked, "first", 0)
    for seed in asked.seeds:
        for way in asked.ways:
            if not (asked.work / f"{out_of(asked.work, way, seed).name}.json").is_file():
                run_alone(asked, way, seed)
    write("forgetting", table(asked))


def gain(found: dict[str, Any], items: int) -> str:
    """Returns a share before and after, its difference with the interval, and how many were asked,
    in percent.
    """
    before, after = (100 * found[name] for name in ("base", "tuned"))
    change, low, high = (100 * found[name] for name in ("difference", "low", "high"))
    told = f"{change:+.1f} ({low:+.1f} to {high:+.1f})"
    return f"{before:.1f} → {after:.1f} %, {told}; {items}"


def table(asked: argparse.Namespace) -> list[str]:
    """Returns the lines of the table."""
    lines = [
        measured_with("torch", "transformers")
        + f"; SmolLM2-135M-Instruct, LoRA of rank 16, {STEPS} steps of 16 rows at 5e-4 for each "
        f"task, half of {ASKED} held-out rows of the second (the other half is watched), {ASKED} "
        "of the first and of the probe; the blend is asked those that did not choose it; one "
        "thread of 2 cores that other work used too.",
        "",
        "| way | seed | second task: before → after, change (95 %); rows | first task | probe |",
        "|---|---|---|---|---|",
    ]
    for seed in asked.seeds:
        for way in asked.ways:
            file = asked.work / f"{out_of(asked.work, way, seed).name}.json"
            if not file.is_file():
                continue
            told = json.loads(file.read_text("utf-8"))
            proof = told["proof"]
            suites = proof["retention"]["suites"]
            own = proof["differences"]["base"][proof["primary"]] | {
                name: proof["contenders"][name][proof["primary"]] for name in ("base", "tuned")
            }
            told = [gain(own, proof["items"])]
            told += [gain(suites[name], suites[name]["items"]) for name in SUITES]
            lines.append(f"| {' | '.join([way, str(seed), *told])} |")
    return lines


def run_alone(asked: argparse.Namespace, way: str, seed: int) -> None:
    """Runs one way in a process of its own."""
    own = ["--data", str(asked.data), "--work", str(asked.work)]
    own += ["--one", "--ways", way, "--seeds", str(seed)]
    subprocess.run([sys.executable, __file__, *own], check=True)


if __name__ == "__main__":
    main()
