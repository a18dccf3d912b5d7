"""Training speed on the same rows, model, LoRA and precision: (a) the tutorial recipe, (b) TRL at
its best here, (c) tunesmith.

    python benchmarks/speed.py --data DIR            # writes its tables into benchmarks/README.md

Each measurement is a fresh process; the three are interleaved, and medians with ranges are kept.
Tokens are real
ones: what the rows hold, without padding, and a beginning that rows share counted for each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from tables import measured_with, write
from transformers import TrainerCallback

from tunesmith.cli.demo import recipe
from tunesmith.data.files.packaged import packaged_data

HERE = Path(__file__).parent
ROWS_PER_STEP = 16
RANK = 8
PADDED_TO = 512
INSTRUCTION = "判断下面这条评论的情感倾向是正面还是负面，只回答一个词：正面或负面。"
ARMS = {
    "tutorial": "(a) Trainer, padded to 512",
    "trl": "(b) TRL SFTTrainer, fp32, grouped",
    "tunesmith": "(c) tunesmith",
}


def questions(_: Path, count: int) -> list[dict[str, str]]:
    """The demo's questions under the demo's instruction: some ten words each."""
    lines = packaged_data("trec").read_text(encoding="utf-8").splitlines()
    instruction = yaml.safe_load(recipe("demo_trec.yaml").read_text(encoding="utf-8"))["data"][
        "system"
    ]
    rows = {row["question"]: row["answer"] for row in map(json.loads, lines)}
    return [
        {"instruction": instruction, "input": text, "output": answer}
        for text, answer in list(rows.items())[:count]
    ]


def reviews(data: Path, count: int) -> list[dict[str, str]]:
    """Chinese reviews of 5 to 60 characters, each two or three tokens, under one instruction; both
    kinds in turn.
    """
    kinds = {"正面": "pos.txt", "负面": "neg.txt"}
    columns = []
    for answer, name in kinds.items():
        lines = [
            line.strip()
            for line in (data / "chinese_reviews" / name).read_text(encoding="utf-8").splitlines()
        ]
        kept = list(dict.fromkeys(line for line in lines if 5 <= len(line) <= 60))[: count // 2]
        columns.append(
            [{"instruction": INSTRUCTION, "input": line, "output": answer} for line in kept]
        )
    return [row for pair in zip(*columns, strict=True) for row in pair]


def alpaca(data: Path, count: int) -> list[dict[str, str]]:
    """English Alpaca rows of at most 512 tokens or so; only the system prompt is shared."""
    rows = json.loads((data / "alpaca_en" / "alpaca_en_demo.json").read_text(encoding="utf-8"))
    return [row for row in rows if len(row["instruction"] + row["input"] + row["output"]) < 1600][
        :count
    ]


DATA = {"questions": questions, "reviews": reviews, "alpaca_en": alpaca}


def rendered(rows: list[dict[str, str]], folder: Path) -> list[dict[str, list[int]]]:
    """The rows as every arm sees them: input_ids, and labels that are -100 outside the answer."""
    from tunesmith.data.rendering.render import Render
    from tunesmith.examples import Chat, Turn
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.settings.run import Data

    render = Render(load_tokenizer(folder), Data(path="rows"), max_length=PADDED_TO)
    found = []
    for row in rows:
        question = "\n".join(filter(None, (row["instruction"], row["input"])))
        (tokens,) = render.chat(Chat((Turn("user", question), Turn("assistant", row["output"]))))
        labels = [
            token if weight else -100
            for token, weight in zip(tokens.ids_T.tolist(), tokens.weights_T, strict=True)
        ]
        found.append({"input_ids": tokens.ids_T.tolist(), "labels": labels})
    return found


def lora_model(folder: Path) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return get_peft_model(
        model,
        LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"),
    )


def settings(out: str, batch: int) -> dict[str, Any]:
    return {
        "output_dir": out,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": ROWS_PER_STEP // batch,
        "num_train_epochs": 1,
        "learning_rate": 2e-4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "gradient_checkpointing": False,
        "bf16": False,
    }


class Clock(TrainerCallback):
    """The seconds of each optimizer step of a Trainer."""

    def __init__(self) -> None:
        self.started, self.seconds = 0.0, []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.started = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def run_tutorial(rows: list[dict[str, list[int]]], folder: Path, out: str) -> list[float]:
    """What the tutorials do: every row padded to 512, full logits."""
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    def pad(row: dict[str, list[int]]) -> dict[str, list[int]]:
        missing = PADDED_TO - len(row["input_ids"])
        mask = [1] * len(row["input_ids"]) + [0] * missing
        return {
            "input_ids": row["input_ids"] + [2] * missing,
            "labels": row["labels"] + [-100] * missing,
            "attention_mask": mask,
        }

    clock, padded = Clock(), Dataset.from_list([pad(row) for row in rows])
    Trainer(
        lora_model(folder),
        TrainingArguments(**settings(out, 4)),
        train_dataset=padded,
        callbacks=[clock],
    ).train()
    return clock.seconds


def run_trl(rows: list[dict[str, list[int]]], folder: Path, out: str) -> list[float]:
    """TRL with what makes it fastest on a CPU: fp32, no checkpointing, rows grouped by length."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        **settings(out, 8), train_sampling_strategy="group_by_length", max_length=PADDED_TO
    )
    clock = Clock()
    SFTTrainer(
        lora_model(folder), args=arguments, train_dataset=Dataset.from_list(rows), callbacks=[clock]
    ).train()
    return clock.seconds


def run_tunesmith(rows: list[dict[str, str]], folder: Path, out: str) -> list[float]:
    """The whole of ``tunesmith train`` on the rows' file; the seconds are those of its steps."""
    import tunesmith as ts

    file = Path(out) / "rows.json"
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    run = ts.train(
        {
            "model": str(folder),
            "data": {"path": str(file), "held_out": 0, "max_length": PADDED_TO},
            "out": str(Path(out) / "run"),
            "method": {"name": "lora", "rank": RANK},
            "train": {
                "epochs": 1,
                "batch": ROWS_PER_STEP,
                "learning_rate": 2e-4,
                "keep": {"evaluate": 0, "save": 0},
            },
        }
    )
    return [line["seconds"] for line in run.steps() if "loss" in line]


def measure(arm: str, name: str, data: Path, count: int) -> dict[str, float]:
    """One arm once, in this process."""
    from tunesmith.models.finding.hub import find_model

    folder = find_model("starter")
    plain = DATA[name](data, count)
    rows = rendered(plain, folder)
    tokens = sum(len(row["input_ids"]) for row in rows)
    with tempfile.TemporaryDirectory() as out:
        if arm == "tunesmith":
            seconds = run_tunesmith(plain, folder, out)
        else:
            seconds = {"tutorial": run_tutorial, "trl": run_trl}[arm](rows, folder, out)
    scored = sum(label != -100 for row in rows for label in row["labels"])
    # Every step holds as many rows; their tokens are nearly as even.
    warm = tokens * (1 - 1 / len(seconds)) / sum(seconds[1:]) if len(seconds) > 1 else float("nan")
    return {
        "tokens": tokens,
        "scored": scored,
        "seconds": sum(seconds),
        "tokens_per_second": tokens / sum(seconds),
        "warm": warm,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "flop": flop(tokens, scored),
    }


def flop(tokens: int, scored: int) -> float:
    """Least work of the rows: forward and backward through SmolLM2-135M's frozen linear layers,
    head where scored.
    """
    linear, head = 106.2e6, 28.3e6
    return 4 * linear * tokens + 4 * head * scored


def matrix_rate() -> float:
    """Measured rate of a 2048 × 2048 fp32 product (FLOP/s), the best of ten."""
    import torch

    a = torch.randn(2048, 2048)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times)


def once(arm: str, name: str, data: Path, count: int) -> dict[str, float]:
    """One arm in a fresh process."""
    command = [
        sys.executable,
        __file__,
        "--arm",
        arm,
        "--set",
        name,
        "--data",
        str(data),
        "--rows",
        str(count),
    ]
    # Threads that spin while they wait make every arm slower beside any other program; the same for
    # all three.
    environment = os.environ | {"GOMP_SPINCOUNT": "10000", "PYTHONPATH": str(HERE.parent)}
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=HERE.parent, env=environment
    )
    if answer.returncode:
        raise SystemExit(f"{arm} on {name} failed:\n{answer.stderr[-3000:]}")
    return json.loads(answer.stdout.strip().splitlines()[-1])


def table(name: str, results: dict[str, list[dict[str, float]]], rate: float) -> list[str]:
    first = results["tunesmith"][0]

    def times(arm: str, other: str, what: str) -> str:
        pairs = zip(results[arm], results[other], strict=True)
        return f"{statistics.median(a[what] / b[what] for a, b in pairs):.1f}"

    head = [
        "",
        "real tokens/s, median (range)",
        "times (a)",
        "times (b)",
        "without the first step",
        "times (a)",
        "times (b)",
    ]
    head += ["peak memory, GiB", "share of the matrix rate"]
    lines = [
        f"### {name}: {first['tokens']:.0f} real tokens, {first['scored']:.0f} of them trained",
        "",
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
    ]
    for arm, label in ARMS.items():
        cells = [label]
        for what in ("tokens_per_second", "warm"):
            speeds = [line[what] for line in results[arm]]
            cells += [f"{statistics.median(speeds):.0f} ({min(speeds):.0f}-{max(speeds):.0f})"]
            cells += [times(arm, "tutorial", what), times(arm, "trl", what)]
        share = statistics.median(line["flop"] / line["seconds"] for line in results[arm]) / rate
        peak = max(line["peak_gib"] for line in results[arm])
        lines.append("| " + " | ".join([*cells, f"{peak:.1f}", f"{share:.0%}"]) + " |")
    return [*lines, ""]


def main() -> None:
    """Runs one arm (``--arm``), or all of them in turn, and writes a table for each set of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with chinese_reviews/ and alpaca_en/"
    )
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arm", choices=list(ARMS))
    parser.add_argument("--set", choices=list(DATA), default=None)
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(measure(given.arm, given.set or "reviews", given.data, given.rows)))
        return
    for name in [given.set] if given.set else list(DATA):
        rate, results = matrix_rate(), {arm: [] for arm in ARMS}
        for number in range(given.rounds):
            for arm in ARMS:
                results[arm].append(once(arm, name, given.data, given.rows))
                print(
                    f"{name} round {number + 1} {arm}: "
                    f"{results[arm][-1]['tokens_per_second']:.0f} tokens/s",
                    flush=True,
                )
        said = [
            f"{measured_with('torch', 'transformers', 'peft', 'trl')};",
            f"{given.rows} rows, {given.rounds} interleaved rounds, {ROWS_PER_STEP} rows a step,",
            f"LoRA rank {RANK} on all linear layers, fp32, SmolLM2-135M; 2 cores,",
            f"matrix product {rate / 1e9:.0f} GFLOP/s.",
        ]
        write(f"speed {name}", [*table(name, results, rate), *said])


if __name__ == "__main__":
    main()
