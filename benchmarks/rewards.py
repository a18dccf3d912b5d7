"""The starter learns from rewards on SST-2: a right word that can be checked (grpo), and what a
MiniLM that learned the labels says of a free sentence (ppo).

    python benchmarks/rewards.py --data DIR --work DIR

writes its table into benchmarks/README.md and the curve into docs/rewards.svg. Each run is a fresh
process, trained and proved on held-out prompts; what stands in the work folder is not run again.
CPU seconds are those of the training, the process of the rewards included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from classify import rows
from tables import measured_with, write

ASKED = "Is this film review positive or negative? Answer with one word."
BEGUN = "Say in at most six words how this film review goes on."
SHORT = 110
"""Longest sentence (characters)."""
PLAIN = {"schedule": "constant", "learning_rate": 2e-4, "keep": {"evaluate": 0, "save": 0}}
LORA = {"name": "lora", "rank": 16}


def prompts(data: Path, place: Path, task: str, count: int) -> Path:
    """Writes the prompts of a task, from sentences that the judge never read."""
    sentences = [(text, label) for text, label in rows(data / "sst2_en" / "dev.tsv").items()]
    known = {
        "exact": lambda text, label: {
            "question": f"{ASKED}\n\n{text}",
            "answer": ["negative", "positive"][int(label)],
        },
        "judge": lambda text, _: {
            "question": f"{BEGUN}\n\n{' '.join(text.split()[:5])}",
            "answer": " ".join(text.split()[5:]) or ".",
        },
    }
    chosen = [known[task](*one) for one in sentences if len(one[0]) < SHORT][:count]
    path = place / f"{task}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
    return path


def judge_of(data: Path, place: Path) -> Path:
    """Trains the judge once: MiniLM on the labels of the training sentences."""
    from tunesmith import api

    out = place / "judge"
    if not (out / "model" / "tunesmith.json").is_file():
        held = rows(data / "sst2_en" / "dev.tsv")
        lines = [
            {"text": text, "label": ["bad", "good"][int(label)]}
            for text, label in rows(data / "sst2_en" / "train.tsv").items()
            if text not in held
        ][:4000]
        file = place / "labels.json"
        file.write_text(json.dumps(lines), encoding="utf-8")
        train = {"epochs": 2, "batch": 32, "learning_rate": 1e-4, "keep": {"save": 0}}
        train["machine"] = {"threads": 1}
        data_ = {"path": str(file), "held_out": 400, "max_length": 128, "too_long": "truncate"}
        settings = {"model": "package:minilm", "data": data_, "objective": "classify"}
        api.train({**settings, "method": "full", "out": str(out), "train": train})
        api.prove(str(out))
    return out


def settings_of(task: str, data: Path, place: Path, *, seed: int, steps: int) -> dict[str, Any]:
    """The run of a task."""
    train = {**PLAIN, "steps": steps, "batch": 8, "seed": seed, "machine": {"threads": 1}}
    plain = {"model": "starter", "method": LORA, "out": str(place / f"{task}-{seed}")}
    held = {"path": str(prompts(data, place, task, 800)), "held_out": 200}
    if task == "exact":
        source: dict[str, Any] = {"rewards": "exact", "samples": 8, "max_new_tokens": 8}
        return {**plain, "objective": "grpo", "data": held, "source": source, "train": train}
    reward = {"name": "model", "run": str(judge_of(data, place)), "label": "good"}
    source = {"rewards": reward, "samples": 4, "passes": 4, "max_new_tokens": 12}
    train["learning_rate"] = 5e-4
    prove = {"metrics": ["mean_reward", "repetition"]}
    # Without it the judge is pleased by words that never end, and six words were asked for.
    objective = {"name": "ppo", "overlong": "punished", "margin": 4}
    more = {"objective": objective, "source": source, "prove": prove}
    return {**plain, **more, "data": held, "train": train}


def used() -> float:
    """Returns the CPU seconds of this process and of those that it ended."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, who))


def one(task: str, data: Path, place: Path, *, seed: int, steps: int) -> dict[str, Any]:
    """Trains and proves one run."""
    from tunesmith import api

    settings = settings_of(task, data, place, seed=seed, steps=steps)
    cpu, began = used(), time.perf_counter()
    run = api.train(settings)
    seconds = {"cpu": used() - cpu, "wall": time.perf_counter() - began}
    found = api.prove(run).to_json()
    means = {name: values["mean_reward"] for name, values in found["contenders"].items()}
    gained = found["differences"]["base"]["mean_reward"]
    other = {name: found["length"][name] for name in means}
    return {"task": task, "seed": seed, "steps": steps, "items": found["items"]} | {
        "means": means,
        "gained": [gained[name] for name in ("difference", "low", "high")],
        "seconds": seconds,
        "length": other,
        "stopped": found["stopped"],
        "curve": [line["reward"] for line in run.steps() if "kl" in line or "teaching" in line],
        "contenders": found["contenders"],
    }


def table(found: list[dict[str, Any]]) -> list[str]:
    """Returns the lines of the table."""
    told = {"exact": "right word, `grpo`", "judge": "MiniLM says good, `ppo`"}
    how = (
        "SmolLM2-135M-Instruct, LoRA of rank 16, steps of 8 prompts with 8 answers (`grpo`) or "
        f"with 4 answers and 4 updates (`ppo`), {found[0]['items']} held-out prompts, one thread "
        "of 2 cores"
    )
    lines = [
        f"{measured_with('torch', 'transformers')}; {how}.",
        "",
        (
            "| reward | seed | steps | base | tuned | difference, 95 % interval | tokens | ended "
            "| CPU seconds |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one_ in found:
        base, tuned = (one_["means"][name] for name in ("base", "tuned"))
        before, after = (
            (f"{one_['length'][name]:.1f}", f"{100 * one_['stopped'][name]:.0f} %")
            for name in ("base", "tuned")
        )
        sides = " | ".join(" → ".join(both) for both in zip(before, after, strict=True))
        difference, low, high = one_["gained"]
        lines.append(
            f"| {told[one_['task']]} | {one_['seed']} | {one_['steps']} | {base:.3f} | {tuned:.3f} "
            f"| {difference:+.3f} ({low:+.3f} to {high:+.3f}) | {sides} "
            f"| {one_['seconds']['cpu']:.0f} |"
        )
    return lines


def draw(found: list[dict[str, Any]]) -> None:
    """Draws the sampled reward of each step: the mean over the seeds, between the lowest and the
    highest.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    names = {"exact": "grpo: right word", "judge": "ppo: MiniLM says good"}
    for task, color in (("exact", "#1f6f8b"), ("judge", "#b4531a")):
        curves = [one_["curve"] for one_ in found if one_["task"] == task]
        steps = range(1, len(curves[0]) + 1)
        each = list(zip(*curves, strict=True))
        axes.fill_between(
            steps, [*map(min, each)], [*map(max, each)], color=color, alpha=0.18, lw=0
        )
        axes.plot(steps, [sum(one_) / len(one_) for one_ in each], color=color, label=names[task])
    axes.set(xlabel="step", ylabel="reward of sampled answers", ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "rewards"}):
        figure.savefig(Path(__file__).parents[1] / "docs" / "rewards.svg", metadata={"Date": None})


def main() -> None:
    """Runs what is asked for and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["exact", "judge"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--one", action="store_true", help="this process trains")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    for task in asked.tasks:
        for seed in asked.seeds:
            file = asked.work / f"{task}-{seed}.json"
            if asked.one:
                how = {"seed": seed, "steps": asked.steps}
                file.write_text(json.dumps(one(task, asked.data, asked.work, **how)), "utf-8")
            elif not file.is_file():
                own = ["--tasks", task, "--seeds", str(seed), "--one"]
                subprocess.run([sys.executable, *sys.argv, *own], check=True)
    if not asked.one:
        files = [asked.work / f"{task}-{seed}.json" for task in asked.tasks for seed in asked.seeds]
        found = [json.loads(file.read_text("utf-8")) for file in files]
        write("rewards", table(found))
        if set(asked.tasks) == {"exact", "judge"}:
            draw(found)


if __name__ == "__main__":
    main()
