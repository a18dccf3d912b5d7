"""The verdict on an exported model follows from what was measured, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tunesmith.export.page import Page
from tunesmith.export.parity import Behaviour, Parity, compare

PROBES = Parity("q8_0", 0.5, 0.01, 0.99, same_answers=20, probes=24, divergence=0.004)
NUMBERS: Any = {"difference": -0.1, "low": -0.15, "high": -0.05, "smallest_effect": 0.07}


def task(verdict: str = "not shown", nll: float = -0.001, same: int = 40) -> dict[str, Any]:
    accuracy = NUMBERS | {"verdict": verdict}
    likelihood = {"difference": nll + 0.01, "low": nll, "high": nll + 0.02, "verdict": "worse"}
    return {
        "items": 50,
        "primary": "accuracy",
        "metrics": ["accuracy", "nll"],
        "contenders": {
            "trained": {"accuracy": 0.8, "nll": 1.0},
            "exported": {"accuracy": 0.7, "nll": 1.01},
        },
        "differences": {"trained": {"accuracy": accuracy, "nll": likelihood}},
        "same_answers": same,
        "stopped": {"trained": 1.0, "exported": 0.5},
    }


ALL_SAME = replace(PROBES, same_answers=24)


@pytest.mark.parametrize(
    ("page", "verdict"),
    [
        (Page("gguf", "q8_0", library="llama.cpp"), "not verified"),
        (Page("gguf", "q8_0", probes=ALL_SAME), "same"),
        (Page("gguf", "q8_0", probes=ALL_SAME, task=task(same=50)), "same"),
        (Page("gguf", "q8_0", probes=ALL_SAME, task=task(same=49)), "within the noise"),
        (Page("gguf", "q8_0", probes=PROBES, task=task("worse")), "lost"),
        (Page("gguf", "q8_0", probes=PROBES, task=task(nll=0.03)), "lost"),
        (Page("gguf", "q8_0", probes=PROBES), "within the noise"),
        (Page("gguf", "q8_0", probes=replace(PROBES, divergence=0.2)), "lost"),
        (Page("gguf", "q8_0", probes=replace(PROBES, divergence=float("nan"))), "lost"),
        (Page("gguf", "q8_0", probes=ALL_SAME, faults=("no end",)), "lost"),
        (Page("onnx", "fp32", probes=replace(PROBES, kind="classes")), "lost"),
        (Page("onnx", "fp32", probes=replace(PROBES, kind="embedding", numbers=True)), "same"),
        (Page("onnx", "int8", probes=replace(PROBES, kind="embedding", numbers=True, relative=0.03)),
         "within the noise"),
    ],
)  # fmt: skip
def test_the_verdict(page: Page, verdict: str) -> None:
    assert page.verdict == page.to_json()["verdict"] == verdict
    assert page.meets(None)
    assert page.meets("not lost") == (verdict in ("same", "within the noise"))
    assert page.meets("same") == (verdict == "same")
    assert page.why and page.why in page.short()[0] and page.why in page.markdown()


def test_the_page_shows_what_a_person_asks_for() -> None:
    page = Page(
        "gguf",
        "q4_0",
        size=2**20,
        probes=PROBES,
        task=task(),
        load_seconds=1.5,
        memory_before=2**29,
        memory=3 * 2**25,
    )
    text = page.markdown()
    for told in (
        "0.8",
        "0.7  (-0.1 [-0.15, -0.05])",
        "40 / 50",
        "99.0%",
        "1.0 MiB",
        "1.5 s",
        "50%",
        "| memory, loaded | 512.0 MiB | 96.0 MiB |",
    ):
        assert told in text
    nothing = {"difference": -0.0, "low": -1e-17, "high": 0.0, "smallest_effect": 0.07}
    same = task() | {"differences": {"trained": {"accuracy": nothing | {"verdict": "not shown"}}}}
    assert "0.7  (+0 [+0, +0])" in replace(page, task=same).markdown()
    assert "2.718" in text, "perplexity is the exponential of the likelihood a token"


def test_models_that_differ_by_rounding_alone_diverge_by_no_less_than_zero() -> None:
    draw = np.random.default_rng(0)
    found = set[bool]()
    for _ in range(20):
        logits = draw.normal(size=(50, 400)).astype(np.float32)
        near = logits + 1e-6 * draw.normal(size=logits.shape).astype(np.float32)
        one, other = (Behaviour((some,), ((),)) for some in (logits, near))
        parity = compare(one, other, "fp32")
        found.add(math.copysign(1, parity.divergence) > 0)
        page = Page("hf", "fp32", probes=replace(parity, same_answers=0))
        assert "-0" not in page.markdown().split("|---")[1]
    assert found == {True}
    broken = Behaviour((logits * np.nan,), ((),))
    assert math.isnan(compare(one, broken, "fp32").divergence)
