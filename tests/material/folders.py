"""A small run folder with every file that the report reads, for tests of how it reads them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tunesmith.settings.resolved import Origin, Resolved
from tunesmith.settings.run import validate
from tunesmith.storage.run_folder import RunFolder

SCRIPT = "<script>alert('answered')</script>"

DISCORDANT = {"only_tuned_right": 170, "only_other_right": 9}
ASKED = [
    ("How did serfdom develop in and then leave Russia ?", "DESC"),
    ("What films featured the character Popeye Doyle ?", "ENTY"),
    ("Who was the first American to walk in space ?", "HUM"),
    ("What is the highest waterfall in the United States ?", "LOC"),
    ("How many Jews were executed in concentration camps during WWII ?", "NUM"),
    ("What does NASA stand for ?", "ABBR"),
]


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_lines(path: Path, values: list[dict[str, Any]]) -> None:
    path.write_text(
        "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8"
    )


def bare(place: Path, **settings: Any) -> RunFolder:
    """A run folder with its settings alone."""
    place.mkdir(parents=True)
    run = validate({"model": "starter", "data": "questions.tsv", "out": str(place)} | settings)
    origins = {
        "objective.name": Origin("default"),
        "train.batch": Origin("derived", "16 rows a step; the set has 600"),
        "train.learning_rate": Origin("derived", "5e-4: lora's own # default"),
    }
    folder = RunFolder(place)
    folder.run_yaml.write_text(Resolved(run, origins).dump(), encoding="utf-8")
    return folder


def steps(count: int) -> list[dict[str, Any]]:
    """A record of ``count`` steps with a held-out loss every tenth of them."""
    lines: list[dict[str, Any]] = []
    for n in range(1, count + 1):
        loss = 0.35 + 2.1 * math.exp(-n / (0.2 * count)) + 0.12 * math.sin(n * 7.3)
        lines.append(
            {
                "step": n,
                "loss": loss,
                "learning_rate": 5e-4 * math.cos(n / count * 1.5),
                "tokens": 2000,
                "epoch": n / count,
                "grad_norm": 1 + math.cos(n * 3) ** 2,
                "tokens_per_second": 1180 + 60 * math.sin(n),
                "memory_gib": 2.1,
            }
        )
        if n % max(count // 10, 1) == 0:
            lines.append(
                {
                    "step": n,
                    "evaluation": {
                        "loss": 0.5 + 1.7 * math.exp(-n / (0.25 * count)) + 0.1 * n / count
                    },
                }
            )
    return lines


def full(place: Path, **settings: Any) -> RunFolder:
    """A run folder with everything."""
    folder = bare(place, **settings)
    write_lines(
        folder.record, [*steps(150), {"step": 40, "event": "loss_spike", "loss": 9.1, "z": 7.5}]
    )
    write(
        folder.ledger,
        {
            "files": [{"path": "questions.tsv"}],
            "rows": 15452,
            "different": 5381,
            "dropped": {"duplicate": 9971, "too long": 12},
            "trained": 4681,
            "watch": 300,
            "proof": 488,
            "leaked_share": 0.884,
            "near": 61,
            "tokens": {"total": 182031, "scored": 14380, "lost": 0},
            "lengths": {
                "upper": [8, 16, 24, 32, 40, 48],
                "counts": [120, 2200, 1600, 640, 101, 20],
                "p50": 17,
                "longest": 47,
            },
            "notes": ["61 rows resemble an earlier one"],
        },
    )
    write(folder.proof, proof())
    write_lines(folder.items, items())
    answers = (
        "### before step 1\n\nBecause.\n\n### step 75\n\n\\# DESC\n\n### tuned, step 150\n\nDESC\n"
    )
    folder.questions.write_text(
        f"# Own questions\n\n## Why is the sky blue?\n\n{answers}", encoding="utf-8"
    )
    return folder


def analysed(place: Path) -> RunFolder:
    """A run folder with everything, the error analysis of its rows and a suite too."""
    from tunesmith.proving.mistakes import mistakes
    from tunesmith.proving.retention import weigh

    folder = full(place)
    lines = [
        line | {"columns": {"city": "Amsterdam, the old town"[: 9 + n % 2 * 14]}}
        for n, line in enumerate(items(150))
    ]
    found = mistakes(lines, "accuracy", "base", seed=0)
    assert found is not None
    collect = {"target": "label = ABBR", "why": "weaker", "rows": 83, "trained": 83}
    asked = questions()
    write_lines(folder.path / "suites.jsonl", asked)
    kept = weigh(asked, {"probe": (0.05, "share")}, seed=0)
    told = {"mistakes": found | {"collect": [collect]}, "retention": kept}
    write(folder.proof, proof() | told)
    return folder


def questions() -> list[dict[str, Any]]:
    """Lines of suites.jsonl of two kinds: the base knows every other one, tuned half of these."""
    return [
        {
            "suite": "probe",
            "kind": ("facts (en)", "format (zh)")[n // 40],
            "id": f"probe:{n}",
            "question": f"What is question {n}?",
            "reference": f"right {n}",
            "predictions": {"base": f"before {n}", "tuned": f"after {n}"},
            "sums": {"base": [n % 2, 1], "tuned": [n % 4 == 3, 1]},
        }
        for n in range(80)
    ]


def proof(verdict: str = "improved") -> dict[str, Any]:
    """proof.json of five contenders; ``verdict`` is that of the primary metric against the base."""
    scores = {
        "most_frequent": 0.229,
        "tfidf": 0.852,
        "base": 0.184,
        "few_shot": 0.443,
        "tuned": 0.861,
    }
    reach = 0.04

    def compared(name: str, value: float) -> dict[str, Any]:
        word = "not shown" if abs(value) < reach else "improved"
        found: dict[str, Any] = {
            "difference": value,
            "low": value - reach,
            "high": value + reach,
            "verdict": word,
        }
        return (
            found
            | {"smallest_effect": 0.043, "items_needed": 90}
            | ({"p": 1e-5, **DISCORDANT} if name == "accuracy" else {})
        )

    found = {
        who: {
            "accuracy": compared("accuracy", 0.861 - value),
            "nll": compared("nll", value - 0.861),
        }
        for who, value in scores.items()
        if who != "tuned"
    }
    found["base"]["accuracy"]["verdict"] = verdict
    return {
        "items": 240,
        "primary": "accuracy",
        "verdict": verdict,
        "contenders": {
            who: {"accuracy": value, "macro_f1": value - 0.02, "nll": 2 - value}
            for who, value in scores.items()
        },
        "differences": found,
        "stopped": {"base": 0.12, "tuned": 1.0},
        "generation": {"max_new_tokens": 24, "folder_defaults": {}},
        "shots": [3, 4, 5, 6, 7, 8],
    }


def items(count: int = 48) -> list[dict[str, Any]]:
    """Rows of which some are gains, every sixth is a regression, and one answer holds a script."""
    found = []
    for k in range(count):
        prompt, reference = ASKED[k % len(ASKED)]
        base, tuned = (reference, "ENTY") if k % 6 == 5 else ("DESC", reference)
        wrote = (
            "The question asks for a description of how something came about, and then of how it "
            "went away again."
        )
        found.append(
            {
                "id": f"questions.tsv:{k + 1}",
                "prompt": prompt,
                "reference": reference,
                "predictions": {"base": SCRIPT if k == 1 else wrote, "tuned": tuned},
                "choices": {"base": base, "tuned": tuned},
                "scores": {
                    "base": {"accuracy": float(base == reference)},
                    "tuned": {"accuracy": float(tuned == reference)},
                },
            }
        )
    return found
