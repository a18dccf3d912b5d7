"""Pages of several runs with all that they can hold: many columns, long names, long settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith import words
from tunesmith.report import blended, curve_page, search_page, tournament

LONG = "a-name-that-is-rather-long"


def _ends(difference: float) -> dict[str, Any]:
    ends = {"difference": difference, "low": difference - 0.1, "high": difference + 0.1}
    return ends | {"verdict": "within the noise"}


def curve(place: Path) -> Path:
    """A learning curve of five sizes with four rivals."""
    sizes = [50, 100, 200, 400, 800]
    rivals = {"base": 0.2, "few_shot": 0.4, "tfidf": 0.6, f"./runs/{LONG}": 0.7}
    points = [
        {"rows": n, "value": 0.5 + n / 2000, "low": 0.4, "high": 0.9, "seeds": [], "rivals": rivals}
        for n in sizes
    ]
    law: dict[str, Any] = {"limit": 0.97, "limits": {"low": 0.9, "high": 1.0}}
    law["line"] = [{"rows": n, "value": 0.6, "low": 0.5, "high": 0.7} for n in sizes]
    gain = {"gain": 0.02, "rows": 800, "farthest": 8000, "never": 0.1}
    gain |= {"low": 900, "more": 1200, "high": 4000}
    found: dict[str, Any] = {"metric": "accuracy", "higher": True, "items": 200, "seeds": 3}
    found |= {"points": points, "law": law, "gain": gain, "shots": 6}
    return curve_page.write_page(found, place / "curve.html")


def blend(place: Path) -> Path:
    """A blend asked six shares of four suites."""
    suite = {"items": 100, "tuned": 0.86, "margin": 0.05, "unit": "share", **_ends(-0.05)}
    names = ("first", "probe", "safety", f"{LONG}.jsonl")
    points = [
        {
            "alpha": share / 5,
            "task": {"score": 0.1 + share / 6, **_ends(share / 6)},
            "retention": {"suites": dict.fromkeys(names, suite)},
        }
        for share in range(6)
    ]
    found = {"of": f"runs/{LONG}", "primary": "exact_match", "items": 80, "alpha": 0.4}
    blended.write_page(found | {"points": points}, place / "blend.html")
    return place / "blend.html"


def search(place: Path) -> Path:
    """A search over three settings; one trial was no run."""
    mattered = {"share": 0.5, "low": 0.2, "high": 0.7, "chance": 0.1, "trials": 6}
    over = ("train.learning_rate", "method.rank", "data.columns.question_or_instruction")
    trials: list[dict[str, Any]] = []
    for number in range(6):
        score = None if number == 5 else 2.0 - number / 5
        values = dict.fromkeys(over, f"{LONG}-{number}")
        one = {"run": f"00{number}", "values": values, "share": 0.5, "score": score}
        trials.append({**one, "watch": {"loss": score}, "seconds": 10.0 + number})
    found: dict[str, Any] = {"chosen_by": "loss", "trials": trials, "front": ["000", "004"]}
    found["methods"] = [{"method": f"{LONG}-{n}", "run": f"00{n}"} for n in (4, 0, 5)]
    found["importance"] = [{"setting": name, **mattered} for name in over]
    search_page.write_page(found | {"best": trials[4]["values"]}, place / "search.html")
    return place / "search.html"


def tournament_of(place: Path) -> Path:
    """A tournament of methods with long names and large numbers."""
    quick = {"seconds": 1234.5, "memory_gib": 12.345, "bytes": 3 * 2**26, "speed": 21606.3}
    methods = [
        {
            "method": name,
            "trainable": 123456 * (number + 1),
            "parameters": 134515008,
            "rate": 5e-5,
            "seeds": [0, 1, 2],
            "each_quality": [0.8, 0.85, 0.9],
            "quality": 0.85,
            "speed_merged": 29425.1,
            "minus_base": _ends(0.6),
            "minus_first": _ends(-0.01) if number else None,
            "general": _ends(0.02),
            **quick,
        }
        for number, name in enumerate(("lora", "loha", "full", f"oft {LONG}"))
    ]
    pairs = [{"verdict": "within the noise"}] * 6
    rows = {"train": 600, "watch": 200, "proof": 400}
    settings = {"rungs": [0.1, 1.0], "rates": 5, "places": 3, "seeds": 3, "general": "text.txt"}
    base = {"quality": 0.25, "speed": 21606.3, "general_nll": 3.2}
    out = [{"kind": "refused", "method": f"oft {LONG}", "reason": "it does not divide these"}]
    found: dict[str, Any] = {"model": f"models/{LONG}", "primary": "accuracy", "steps": 75}
    found |= {"rows": rows, "settings": settings | {"general_rows": 200}, "threads": 2}
    found |= {"chosen_by": "loss", "base": base, "methods": methods, "pairs": pairs}
    path = place / "report.html"
    told = tournament.page(found | {"left_out": out}, place / LONG, words.language())
    path.write_text(told, encoding="utf-8")
    return path


PAGES = {"curve": curve, "blend": blend, "search": search, "tournament": tournament_of}
