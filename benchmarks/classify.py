"""MiniLM on SST-2, every weight trained: transformers.Trainer and tunesmith on the same rows under
the same settings.

    python benchmarks/classify.py --data DIR         # writes its table into benchmarks/README.md

Each measurement is a fresh process, and the two are interleaved. Seconds are from the rows to the
trained model, without
the imports: tokenising, loading and training. Accuracy is that of all seeds on the 872 rows of
dev.tsv.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tables import measured_with, write

ARMS = {"trainer": "transformers.Trainer", "tunesmith": "tunesmith"}
BATCH, RATE, WARMUP, DECAY = 32, 5e-5, 0.1, 0.01


def rows(file: Path) -> dict[str, str]:
    """Text to label; a text that occurs twice counts once."""
    lines = [
        line.rsplit("\t", 1)
        for line in file.read_text(encoding="utf-8").splitlines()
        if "\t" in line
    ]
    return {text.strip(): label.strip() for text, label in lines}


def written(data: Path, place: Path, limit: int | None) -> tuple[Path, Path]:
    """The rows to train on, none of which is tested, and those to test on."""
    dev = rows(data / "sst2_en" / "dev.tsv")
    train = [
        (text, label)
        for text, label in rows(data / "sst2_en" / "train.tsv").items()
        if text not in dev
    ][:limit]
    files = (place / "train.json", place / "dev.json")
    for file, some in zip(files, (train, list(dev.items())[:limit]), strict=True):
        file.write_text(
            json.dumps([{"text": text, "label": label} for text, label in some]), encoding="utf-8"
        )
    return files


def with_tunesmith(model: Path, train: Path, out: Path, *, epochs: float, seed: int) -> float:
    """Trains, and gives the seconds."""
    from tunesmith import api

    keep = {"evaluate": 0, "save": 0}
    how = {
        "epochs": epochs,
        "batch": BATCH,
        "learning_rate": RATE,
        "weight_decay": DECAY,
        "schedule": "linear",
    }
    how |= {"warmup": WARMUP, "seed": seed, "keep": keep, "machine": {"precision": "fp32"}}
    data = {"path": str(train), "held_out": 0, "max_length": 128, "too_long": "truncate"}
    settings = {
        "model": str(model),
        "data": data,
        "objective": "classify",
        "method": "full",
        "out": str(out),
        "train": how,
    }
    import tunesmith.training.start  # noqa: F401

    began = time.perf_counter()
    api.train(settings)
    return time.perf_counter() - began


def with_trainer(model: Path, train: Path, out: Path, *, epochs: float, seed: int) -> float:
    """The same with transformers.Trainer, rows padded to the longest of their batch."""
    import transformers as hf
    from datasets import Dataset

    began = time.perf_counter()
    hf.set_seed(seed)
    tokenizer = hf.AutoTokenizer.from_pretrained(model)
    some = json.loads(train.read_text(encoding="utf-8"))
    told = tokenizer([row["text"] for row in some], truncation=True, max_length=128)
    data = Dataset.from_dict({**told, "labels": [int(row["label"]) for row in some]})
    arguments = hf.TrainingArguments(
        output_dir=str(out),
        num_train_epochs=epochs,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        weight_decay=DECAY,
        lr_scheduler_type="linear",
        warmup_steps=WARMUP,
        seed=seed,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    made = hf.AutoModelForSequenceClassification.from_pretrained(model, num_labels=2)
    trainer = hf.Trainer(
        made, arguments, train_dataset=data, data_collator=hf.DataCollatorWithPadding(tokenizer)
    )
    trainer.train()
    seconds = time.perf_counter() - began
    made.save_pretrained(out / "model")
    tokenizer.save_pretrained(out / "model")
    return seconds


def right(folder: Path, dev: Path) -> tuple[int, int]:
    """How many rows of ``dev`` the folder's model, loaded by transformers alone, gets right, and of
    how many.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
    )
    some, found = json.loads(dev.read_text(encoding="utf-8")), 0
    for start in range(0, len(some), 64):
        part = some[start : start + 64]
        told = tokenizer(
            [row["text"] for row in part],
            truncation=True,
            max_length=128,
            padding=True,
            return_tensors="pt",
        )
        with torch.no_grad():
            chosen = model(**told).logits.argmax(-1).tolist()
        found += sum(index == int(row["label"]) for index, row in zip(chosen, part, strict=True))
    return found, len(some)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = 1.959964, hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    reach = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return middle - reach, middle + reach


def one(arm: str, work: dict[str, Any]) -> None:
    """A child's measurement, as one line of JSON."""
    out = Path(work["out"])
    train = with_tunesmith if arm == "tunesmith" else with_trainer
    seconds = train(
        Path(work["model"]), Path(work["train"]), out, epochs=work["epochs"], seed=work["seed"]
    )
    hits, of = right(out / "model", Path(work["dev"]))
    print(json.dumps({"seconds": seconds, "right": hits, "of": of}))


def table(found: dict[str, list[dict[str, Any]]], told: str) -> list[str]:
    """The section of README.md."""
    lines = [told, "", "| | accuracy, 95 % interval | seconds, median (range) |", "|---|---|---|"]
    for arm, name in ARMS.items():
        runs = found[arm]
        share = sum(run["right"] for run in runs) / sum(run["of"] for run in runs)
        # Seeds are tested on the same rows, so they do not make the interval narrower.
        low, high = wilson(round(share * runs[0]["of"]), runs[0]["of"])
        times = [run["seconds"] for run in runs]
        seconds = f"{statistics.median(times):.0f} ({min(times):.0f}-{max(times):.0f})"
        lines.append(
            f"| {name} | {100 * share:.1f} % ({100 * low:.1f}-{100 * high:.1f}) | {seconds} |"
        )
    return lines


def main() -> None:
    """Reads the command line; a child makes one measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument(
        "--limit", type=int, help="rows of each file, for a try; nothing is written then"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        one(given.child, given.work)
    else:
        compare(given)


def compare(given: argparse.Namespace) -> None:
    """Both arms with every seed, each in a process of its own, and the table."""
    from tunesmith.models.finding.hub import find_model

    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as place:
        train, dev = written(given.data, Path(place), given.limit)
        work = {
            "model": str(find_model("package:minilm")),
            "train": str(train),
            "dev": str(dev),
            "epochs": given.epochs,
        }
        for seed in range(given.seeds):
            for arm in ARMS:
                mine = work | {"seed": seed, "out": f"{place}/{arm}-{seed}"}
                command = [
                    sys.executable,
                    __file__,
                    "--data",
                    str(given.data),
                    "--child",
                    arm,
                    "--work",
                    json.dumps(mine),
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[arm].append(json.loads(done.stdout.strip().splitlines()[-1]))
                print(arm, seed, found[arm][-1], flush=True)
        count = len(json.loads(train.read_text(encoding="utf-8")))
    told = f"{measured_with('torch', 'transformers')}; {count} rows, "
    told += (
        f"epochs: {given.epochs:g}, batch {BATCH}, learning rate {RATE:g}, fp32, {given.seeds} "
        "seeds."
    )
    lines = table(found, told)
    print("\n".join(lines))
    if given.limit is None:
        write("classify", lines)


if __name__ == "__main__":
    main()
