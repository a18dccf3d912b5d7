"""What `make gpu` runs: the GPU tests, then LoRA on the starter beside padded transformers + peft.

    python benchmarks/gpu.py                    # needs a CUDA GPU; writes benchmarks/gpu.md
    python benchmarks/gpu.py --device cpu --tiny  # the same paths on a CPU; writes nothing

Both arms read the same rows with the same rank, rows a step and precision, each in a fresh process
and in turn. Tokens are those of the rows, without padding.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
RANK, ROWS_PER_STEP, PADDED_PER_PASS = 8, 32, 8
ARMS = {"padded": "transformers + peft, padded", "tunesmith": "tunesmith"}
TEST_SECONDS, SPEED_SECONDS = 360, 480
NEEDED = "make gpu needs a CUDA GPU, and a torch that finds it; torch.cuda.is_available() is false"


def rows(count: int) -> list[dict[str, str]]:
    """Short texts of different lengths about the weather, the same in each process."""
    draw, words = random.Random(0), ["wind", "rain", "sun", "cloud", "warm", "cold", "north"]

    def text(least: int, most: int) -> str:
        return " ".join(draw.choices(words, k=draw.randint(least, most)))

    return [{"instruction": text(5, 40), "output": text(5, 30)} for _ in range(count)]


def settings(folder: str, out: Path, device: str, count: int) -> dict[str, Any]:
    """The run of both arms, as tunesmith takes it."""
    data = out / "rows.json"
    data.write_text(json.dumps(rows(count)), encoding="utf-8")
    return {
        "model": folder,
        "data": {"path": str(data), "held_out": 0},
        "out": str(out / "run"),
        "method": {"name": "lora", "rank": RANK},
        "train": {
            "epochs": 1,
            "batch": ROWS_PER_STEP,
            "learning_rate": 2e-4,
            "machine": {"device": device, "precision": "bf16" if device == "cuda" else "fp32"},
            "keep": {"evaluate": 0, "save": 0},
        },
    }


def run_tunesmith(asked: dict[str, Any]) -> list[float]:
    """Seconds of each step of ``tunesmith train``."""
    import tunesmith as ts

    return [line["seconds"] for line in ts.train(asked).steps() if "loss" in line]


def run_padded(folder: Path, encoded: list[tuple[list[int], list[int]]], place: str) -> list[float]:
    """Seconds of each step of a plain loop: rows padded to the longest of their pass."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(place)
    lora = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")
    model = get_peft_model(base, lora).train()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer, seconds = torch.optim.AdamW(trained, lr=2e-4), []
    for start in range(0, len(encoded), ROWS_PER_STEP):
        step, began = encoded[start : start + ROWS_PER_STEP], time.perf_counter()
        scored = sum(label != -100 for _, labels in step for label in labels)
        for first in range(0, len(step), PADDED_PER_PASS):
            part = step[first : first + PADDED_PER_PASS]
            most = max(len(ids) for ids, _ in part)
            batch = {
                "input_ids": [ids + [0] * (most - len(ids)) for ids, _ in part],
                "labels": [labels + [-100] * (most - len(labels)) for _, labels in part],
                "attention_mask": [[1] * len(i) + [0] * (most - len(i)) for i, _ in part],
            }
            tensors = {name: torch.tensor(value).to(place) for name, value in batch.items()}
            with torch.autocast(place, dtype=torch.bfloat16, enabled=place == "cuda"):
                loss = model(**tensors, num_items_in_batch=scored).loss
            loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        float(loss.detach())  # waits for the device
        seconds.append(time.perf_counter() - began)
    return seconds


def encoded_rows(asked: dict[str, Any], folder: Path) -> list[tuple[list[int], list[int]]]:
    """The rows as tunesmith renders them: ids, and labels that are -100 outside the answer."""
    from tunesmith.data.prepare import prepare
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.settings.run import validate

    found = []
    for item in prepare(validate(asked), load_tokenizer(folder)).train:
        (tokens,) = item.tokens
        ids = tokens.ids_T.tolist()
        weights = list(tokens.weights_T)
        found.append((ids, [i if weight else -100 for i, weight in zip(ids, weights, strict=True)]))
    return found


def measure(arm: str, model: str, device: str, count: int) -> dict[str, float]:
    """One arm once, in this process: tokens a second without the first step, and peak memory."""
    import torch

    from tunesmith.machine.device import choose
    from tunesmith.models.finding.hub import find_model
    from tunesmith.settings.run import Machine

    folder = find_model(model)
    with tempfile.TemporaryDirectory() as out:
        asked = settings(str(folder), Path(out), device, count)
        encoded = encoded_rows(asked, folder)
        if arm == "tunesmith":
            seconds = run_tunesmith(asked)
        else:
            seconds = run_padded(folder, encoded, device)
        peak = choose(Machine.model_validate({"device": device})).peak_memory()
    tokens = sum(len(ids) for ids, _ in encoded) * (1 - 1 / len(seconds))
    card = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    return {"speed": tokens / sum(seconds[1:]), "peak": peak or float("nan"), "card": card}


def once(arm: str, model: str, device: str, count: int) -> dict[str, Any]:
    """One arm in a fresh process."""
    command = [sys.executable, __file__, "--arm", arm, "--model", model, "--device", device]
    command += ["--rows", str(count)]
    paths = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=paths)
    if done.returncode:
        raise SystemExit(f"{arm} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def tested() -> str:
    """Runs the GPU tests; the last line of their report. Ends the script where one fails."""
    own = os.environ | {"PYTHONPATH": str(ROOT), "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "gpu",
        "tests/machine/test_gpu.py",
        "-q",
        "-rs",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=TEST_SECONDS
    )
    print(done.stdout[-6000:], flush=True)
    if done.returncode:
        raise SystemExit("the GPU tests failed; no table was made")
    return done.stdout.strip().splitlines()[-1]


def table(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """One line an arm: median and range of the speed, the most memory."""
    lines = ["| | real tokens/s, median (range) | peak memory, GiB |", "|---|---|---|"]
    for arm, label in ARMS.items():
        speeds = [one["speed"] for one in found[arm]]
        peak = max(one["peak"] for one in found[arm])
        spread = f"{statistics.median(speeds):.0f} ({min(speeds):.0f}-{max(speeds):.0f})"
        lines.append(f"| {label} | {spread} | {peak:.2f} |")
    return lines


def main() -> None:
    """Runs the tests and both arms in turn, or one arm (``--arm``)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--rows", type=int, default=640)
    parser.add_argument("--tiny", action="store_true", help="64 rows, one round, no file")
    parser.add_argument("--arm", choices=list(ARMS))
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(measure(given.arm, given.model, given.device, given.rows)))
        return
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(NEEDED)
    told = tested() if given.device == "cuda" else "tests left out on a CPU"
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    count, rounds = (64, 1) if given.tiny else (given.rows, 3)
    ends = time.monotonic() + SPEED_SECONDS
    for _ in range(rounds):
        if time.monotonic() > ends:
            break
        for arm in ARMS:
            found[arm].append(once(arm, given.model, given.device, count))
    lines = table(found)
    print("\n".join(lines))
    if given.device == "cuda":
        from tables import measured_with

        said = f"{measured_with('torch', 'transformers', 'peft')}; {found['padded'][0]['card']}; "
        said += f"{count} rows, {ROWS_PER_STEP} a step, LoRA rank {RANK}, bf16; tests: {told}"
        text = "\n".join(["# On a GPU", "", said, "", *lines, ""])
        (HERE / "gpu.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
