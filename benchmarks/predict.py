"""How fast a file is answered on a CPU: tunesmith predict, one row after another, and
transformers' pipeline, with one model; and how long each export takes.

    python benchmarks/predict.py [--rows 64] [--answer 32] [--rounds 2]

All answer the same rows in turn, greedily, with the same stop tokens and the same limit; what the
machine does beside it falls on all. Wall seconds and CPU seconds of the process are told, and the
seconds of each export.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from serving import questions, small_run

FORMATS = ("hf", "adapter", "vllm", "gguf", "int8", "fp8", "onnx")


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Returns wall seconds and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def chats(rows: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """Returns the rows as conversations."""
    return [[{"role": "user", "content": row["instruction"]}] for row in rows]


def main() -> None:
    from transformers import pipeline

    from tunesmith import api
    from tunesmith.models.finding.hub import find_model
    from tunesmith.predicting.predictor import Predictor

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=64)
    options.add_argument("--answer", type=int, default=32)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--formats", nargs="*", default=FORMATS)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = small_run(folder, given.answer)
        print("| export | wall s | CPU s |\n|---|---|---|")
        for name in given.formats:
            how = [f"format={name}", "items=0"]
            wall, cpu = measured(lambda how=how, name=name: api.export_run(run, folder / name, how))
            print(f"| {name} | {wall:.1f} | {cpu:.1f} |", flush=True)
        asked = [{"instruction": one} for one in questions(given.rows)]
        predictor = Predictor(run, tuned=False)
        base = str(find_model("starter"))
        writer = pipeline(
            "text-generation", model=base, tokenizer=base, device="cpu", dtype="float32"
        )
        how = {"max_new_tokens": given.answer, "do_sample": False}
        ways: dict[str, Callable[[list[dict[str, str]]], object]] = {
            "tunesmith predict": predictor.predict,
            "tunesmith, one by one": lambda rows: [predictor.predict([row]) for row in rows],
            "transformers.pipeline": lambda rows: writer(chats(rows), **how),
            "transformers.pipeline, batch_size=16": lambda rows: writer(
                chats(rows), batch_size=16, **how
            ),
        }
        found: dict[str, list[tuple[float, float]]] = {}
        for turn in range(given.rounds + 1):  # the first warms up and is not counted
            for name, work in ways.items():
                one = measured(lambda work=work, turn=turn: work(asked if turn else asked[:2]))
                print(turn, name, one, file=sys.stderr, flush=True)
                if turn:
                    found.setdefault(name, []).append(one)
    print("\n| way | rows/s | CPU s a row |\n|---|---|---|")
    for name, values in found.items():
        wall, cpu = (statistics.median(one[n] for one in values) for n in (0, 1))
        print(f"| {name} | {given.rows / wall:.2f} | {cpu / given.rows:.2f} |")


if __name__ == "__main__":
    main()
