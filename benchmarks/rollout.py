"""A step of GRPO beside TRL's GRPOTrainer: the same prompts, answers a prompt, longest answer,
model, LoRA, precision and reward; what sampling and training cost, and the most memory.

    python benchmarks/rollout.py --data DIR  # writes its table into benchmarks/README.md

Each measurement is a fresh process, and the one that begins changes from round to round. CPU
seconds are those of the training process, which another program on the machine changes less than
seconds on the clock; the first step of each is left out. TRL's optimizer step is not counted, ours
is.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tables import measured_with, write

from rewards import LORA, PLAIN, prompts

ARMS = {"trl": "TRL GRPOTrainer", "tunesmith": "tunesmith"}
TASKS = {"few": (2, 8, 8), "short": (8, 8, 8), "longer": (4, 8, 32)}
"""Prompts of a step, answers to each, longest answer (tokens)."""
WORDS = 4
"""Length that is rewarded: nearly every group has answers that differ, so that each step trains."""
REWARD = {"name": "length", "target": WORDS}


class Clock:
    """The CPU seconds, and those on the clock, inside calls of a function: one of each a call."""

    def __init__(self) -> None:
        self.spent: list[float] = []
        self.passed: list[float] = []

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function with its calls timed."""

        def timed(*args: Any, **named: Any) -> Any:
            began, since = time.process_time(), time.perf_counter()
            try:
                return function(*args, **named)
            finally:
                self.spent.append(time.process_time() - began)
                self.passed.append(time.perf_counter() - since)

        return timed


def found(steps: Clock, sampling: Clock) -> dict[str, float]:
    """Returns the means over all steps but the first."""
    counted = len(steps.spent) - 1
    whole, drawn, passed = (
        statistics.fmean(one[-counted:]) for one in (steps.spent, sampling.spent, steps.passed)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    told = {"step": whole, "sampling": drawn, "training": whole - drawn}
    return told | {"clock": passed, "gib": peak}


def by_tunesmith(file: Path, place: Path, task: str, steps: int) -> dict[str, float]:
    """Trains with tunesmith."""
    from tunesmith import api
    from tunesmith.rollout import sampling
    from tunesmith.training import loop

    whole, drawn = Clock(), Clock()
    loop.take_step = whole.around(loop.take_step)
    sampling.sample = drawn.around(sampling.sample)
    batch, samples, most = TASKS[task]
    train = {**PLAIN, "steps": steps, "batch": batch, "machine": {"threads": 1}}
    source = {"rewards": REWARD, "samples": samples, "max_new_tokens": most}
    settings = {"model": "starter", "method": LORA, "out": str(place / "run"), "train": train}
    data = {"path": str(file), "held_out": 0}
    api.train({**settings, "objective": "grpo", "data": data, "source": source})
    return found(whole, drawn)


def by_trl(file: Path, place: Path, task: str, steps: int) -> dict[str, float]:
    """Trains with TRL: one forward for all answers of a step, no checkpointing."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    from tunesmith.models.finding.hub import folder_of
    from tunesmith.rewards import REWARDS
    from tunesmith.settings.run import Model

    torch.set_num_threads(1)
    folder = folder_of(Model(path="starter"))
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    asked = [{"prompt": [{"role": "user", "content": row["question"]}]} for row in rows]

    length: Any = REWARDS.make(REWARDS.config(REWARD))

    def short(completions: list[Any], **_: Any) -> list[float | None]:
        return [length.reward("", one[0]["content"], {}) for one in completions]

    batch, samples, most = TASKS[task]
    how = GRPOConfig(
        output_dir=str(place / "trl"),
        per_device_train_batch_size=batch * samples,
        num_generations=samples,
        max_completion_length=most,
        max_steps=steps,
        learning_rate=2e-4,
        lr_scheduler_type="constant",
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
    )
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        reward_funcs=short,
        args=how,
        train_dataset=Dataset.from_list(asked),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"),
    )
    whole, drawn = Clock(), Clock()
    trainer.training_step = whole.around(trainer.training_step)
    trainer._generate = drawn.around(trainer._generate)
    trainer.train()
    return found(whole, drawn)


def table(results: dict[str, dict[str, list[dict[str, float]]]]) -> list[str]:
    """Returns the lines of the table: medians over the rounds, with the least and the most."""
    lines = [
        (
            f"{measured_with('torch', 'transformers', 'trl', 'peft')}; SmolLM2-135M-Instruct in "
            "fp32, LoRA of rank 16, prompts of SST-2 of about 60 tokens, one thread of 2 cores. "
            "Median of the rounds (least–most)."
        ),
        "",
        (
            "| prompts × answers, longest | | rounds | CPU s a step | sampling | training "
            "| s on the clock | peak GiB |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, arms in results.items():
        batch, samples, most = TASKS[task]
        for arm, each in arms.items():
            told = [ranged([one[key] for one in each]) for key in each[0]]
            what = f"{batch} × {samples}, {most} tokens | {ARMS[arm]} | {len(each)}"
            lines.append(f"| {what} | {' | '.join(told)} |")
        ours, theirs = (
            {key: statistics.median(one[key] for one in arms[arm]) for key in arms[arm][0]}
            for arm in ("tunesmith", "trl")
        )
        shares = " | ".join(f"{theirs[key] / ours[key]:.1f} times" for key in ours)
        lines.append(f"| | as much by TRL | | {shares} |")
    return lines


def ranged(values: list[float]) -> str:
    """Returns the median with the least and the most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def main() -> None:
    """Runs what is asked for and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=[*TASKS], choices=[*TASKS])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--arm", choices=[*ARMS], help="this process trains")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if asked.arm:
            file = prompts(asked.data, Path(place), "exact", 200)
            run = by_trl if asked.arm == "trl" else by_tunesmith
            print(json.dumps(run(file, Path(place), asked.tasks[0], asked.steps)))
            return
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for task in asked.tasks:
        results[task] = {arm: [] for arm in ARMS}
        rounds = [[*ARMS][:: -1 if number % 2 else 1] for number in range(asked.repeats)]
        for arm in [arm for order in rounds for arm in order]:
            own = ["--data", str(asked.data), "--tasks", task, "--steps", str(asked.steps)]
            command = [sys.executable, __file__, *own, "--arm", arm]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[task][arm].append(json.loads(said.splitlines()[-1]))
            print(task, arm, results[task][arm][-1], flush=True)
        write("rollout", table(results))


if __name__ == "__main__":
    main()
