"""Every method at its own default learning rate on the same 300 questions: the share of LoRA's gain
that each makes.

    python benchmarks/methods.py          # writes its table into benchmarks/README.md

The gain is what training takes off the loss of the watched rows, which no method sees. Rows, steps
and order are those of
``recipes/tournament.yaml``, whose search would give each method a better rate than the default that
is measured here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from tables import measured_with, write

RECIPE = Path(__file__).parent.parent / "recipes" / "tournament.yaml"
STEPS = 19  # 300 rows once, 16 a step
NEEDS: dict[str, dict[str, Any]] = {
    "combined": {"methods": ["lora", "ln_tuning"]},
    "experts": {
        "experts": 2,
        "top_k": 1,
    },  # every expert is a copy of the layer: more of them do not fit a small machine
}


def measured(method: str, out: Path) -> dict[str, float]:
    """Watched loss before the first step and after the last, and the rate."""
    run = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    del run["tournament"]
    run |= {"method": {"name": method, **NEEDS.get(method, {})}, "out": str(out)}
    run["train"] |= {"steps": STEPS, "keep": {"evaluate": STEPS, "save": 0}}
    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(run), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith", "train", str(file)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{method} failed:\n{done.stderr[-3000:]}")
    lines = [
        json.loads(line) for line in (out / "record.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    looks = {line["step"]: line["evaluation"]["loss"] for line in lines if "evaluation" in line}
    return {
        "start": looks[0],
        "tuned": looks[STEPS],
        "rate": max(line.get("learning_rate", 0) for line in lines),
    }


def table(found: dict[str, dict[str, float]]) -> list[str]:
    """The section of README.md, the best first."""
    base = found["lora"]["start"]
    gain = base - found["lora"]["tuned"]
    lines = [f"{measured_with('torch', 'transformers', 'peft')}; one seed, base {base:.3f}.", ""]
    lines += [
        "| method | learning rate | watched loss | share of LoRA's gain |",
        "|---|---|---|---|",
    ]
    for name, one in sorted(found.items(), key=lambda pair: pair[1]["tuned"]):
        share = 100 * (base - one["tuned"]) / gain
        lines.append(f"| `{name}` | {one['rate']:g} | {one['tuned']:.3f} | {share:.1f} % |")
    return lines


def main() -> None:
    """Measures one method after the other, LoRA first."""
    from tunesmith.settings.family import METHODS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", help="names of methods, for a try; nothing is written then"
    )
    given = parser.parse_args()
    chosen = given.only or METHODS.names()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        for name in sorted({"lora", *chosen}, key=lambda one: (one != "lora", one)):
            found[name] = measured(name, Path(place) / name)
            print(name, found[name], flush=True)
    lines = table(found)
    print("\n".join(lines))
    if not given.only:
        write("methods", lines)


if __name__ == "__main__":
    main()
