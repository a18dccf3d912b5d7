"""Multiple choice by likelihood under a five-shot header: one option after the other in
transformers, and tunesmith's way, which computes what sequences share once.

    python benchmarks/options.py --data DIR --work DIR   # its table goes into README.md

The first DIR holds ``mmlu_en`` (dev: the examples; test: the items). Both arms score the same token
ids with the same weights in one process, and take turns, a round of ``--round`` items each; with
``--each 5`` transformers scores every fifth item only, for it spends as much on each, however many
there are. Seconds are of the CPU (all threads), which other work on the machine changes least. A
round that is done stays in the work folder: the same command goes on after it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from tables import measured_with, write

SHOTS, LETTERS = 5, "ABCD"
ARMS = {"one": "transformers, one option at a time", "together": "tunesmith"}


def rows(folder: Path) -> list[list[str]]:
    """Question, four options and the number of the right one, of all subjects in turn."""
    files = [list(csv.reader(file.open(encoding="utf-8")))[1:] for file in sorted(folder.iterdir())]
    longest = max(map(len, files))
    return [file[place] for place in range(longest) for file in files if place < len(file)]


def text(row: list[str]) -> str:
    options = "\n".join(f"{letter}. {one}" for letter, one in zip(LETTERS, row[1:5], strict=True))
    return f"{row[0].strip()}\n{options}\nAnswer:"


def sequences(data: Path, tokenizer: Any, count: int) -> list[list[tuple[list[int], list[int]]]]:
    """For each item and option the ids of header and question, and those of the option's letter,
    in the layout of Hendrycks et al. 2021.
    """
    dev, test = (rows(data / "mmlu_en" / part) for part in ("dev", "test"))
    shown = [f"{text(row)} {LETTERS[int(row[5])]}" for row in dev[:SHOTS]]
    header = tokenizer("\n\n".join(shown) + "\n\n")["input_ids"]
    found = []
    for row in (test * (count // len(test) + 1))[:count]:
        asked = header + tokenizer(text(row))["input_ids"]
        found.append([(asked, tokenizer(f" {letter}")["input_ids"]) for letter in LETTERS])
    return found


def one_by_one(model: Any, items: list[list[tuple[list[int], list[int]]]]) -> np.ndarray:
    """Log-likelihoods [items, options], as a loop over transformers computes them."""
    import torch

    found = []
    with torch.inference_mode():
        for item in items:
            for asked, option in item:
                logits = model(input_ids=torch.tensor([asked + option])).logits[0]
                logprobs = logits[len(asked) - 1 : -1].log_softmax(-1)
                found.append(float(logprobs.gather(1, torch.tensor(option)[:, None]).sum()))
    return np.array(found).reshape(len(items), -1)


def together(loaded: Any, items: list[list[tuple[list[int], list[int]]]]) -> np.ndarray:
    """Log-likelihoods [items, options]."""
    from tunesmith.predicting.likelihoods import continued, likelihoods

    asked = [[continued(np.array(ids), option) for ids, option in item] for item in items]
    return np.stack([-row[:, 0] for row in likelihoods(loaded, asked)])


def rounds(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Each round's seconds of the CPU and log-likelihoods by arm, and the tokens of its options;
    those that the work folder has are read from it.
    """
    import torch

    from tunesmith.models.finding.hub import folder_of
    from tunesmith.models.loading.load import load_model
    from tunesmith.settings.run import Model

    kept = args.work / f"options-{args.items}-{args.round}-{args.each}.jsonl"
    done = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    torch.set_num_threads(args.threads)
    loaded = load_model(
        folder_of(Model(path=args.model)), dtype=torch.float32, device=torch.device("cpu")
    )
    loaded.model.eval()
    items = sequences(args.data, loaded.tokenizer, args.items)
    for start in range(len(done) * args.round, len(items), args.round):
        some = items[start : start + args.round]
        told: dict[str, Any] = {
            "tokens": [len(asked) + len(option) for item in some for asked, option in item]
        }
        for arm, given, score in (
            ("one", some[:: args.each], lambda given: one_by_one(loaded.model, given)),
            ("together", some, lambda given: together(loaded, given)),
        ):
            begun = time.process_time()
            scores = score(given)
            seconds = (time.process_time() - begun) / len(given)
            told[arm] = {"seconds": seconds, "scores": scores.tolist()}
        done.append(told)
        with kept.open("a") as lines:
            lines.write(json.dumps(told) + "\n")
        times = told["one"]["seconds"] / told["together"]["seconds"]
        print(f"{start + len(some)} of {len(items)}: {times:.1f}", flush=True)
    return done


def measure(args: argparse.Namespace) -> list[str]:
    """Lines of the table, and what was measured how."""
    args.work.mkdir(parents=True, exist_ok=True)
    done = rounds(args)
    lengths = [count for one in done for count in one["tokens"]]
    each = {arm: [one[arm]["seconds"] for one in done] for arm in ARMS}
    table = [
        "|  | items | CPU seconds an item, median of the rounds (range) | times |",
        "|---|---|---|---|",
    ]
    middle = {arm: statistics.median(seconds) for arm, seconds in each.items()}
    for arm, name in ARMS.items():
        span = f"{min(each[arm]):.3f}-{max(each[arm]):.3f}"
        items = sum(len(one[arm]["scores"]) for one in done)
        table.append(
            f"| {name} | {items} | {middle[arm]:.3f} ({span}) | {middle['one'] / middle[arm]:.1f} |"
        )
    one = np.concatenate([told["one"]["scores"] for told in done])
    other = np.concatenate([told["together"]["scores"][:: args.each] for told in done])
    same, apart = int((one.argmax(1) == other.argmax(1)).sum()), np.abs(one - other).max()
    told = (
        f"items of four options, {np.median(lengths):.0f} tokens in the middle of "
        f"them, {SHOTS} examples before each; {len(done)} rounds in turn, fp32, {args.model};"
    )
    load = f"load average {os.getloadavg()[0]:.0f} at the end."
    machine = f"{args.threads} of {os.cpu_count()} cores, {load}"
    parity = (
        f"The likeliest option is the same in {same} of {len(one)} items; the largest "
        f"difference of a log-likelihood is {apart:.1e} nats."
    )
    first = f"{measured_with('torch', 'transformers')};"
    return [*table, "", first, told, machine, parity]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--round", type=int, default=50)
    parser.add_argument("--each", type=int, default=1, help="one by one scores one of so many")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    write("options", measure(parser.parse_args()))
