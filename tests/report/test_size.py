"""However much a run has to tell, its page stays small: what is long is cut, what is many is chosen,
and the page says so.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from material.folders import full, questions, steps, write, write_lines
from material.page import Page
from tunesmith import words
from tunesmith.proving.judge import judge
from tunesmith.proving.mistakes import mistakes
from tunesmith.proving.retention import weigh
from tunesmith.report.build import build
from tunesmith.storage.run_folder import RunFolder

pytestmark = pytest.mark.slow
MOST_BYTES = 3_000_000
CLASSES = [f"kind of request {n}" for n in range(150)]
OTHERS = [f"https://host-{n}/v1#a-model-with-a-long-name" for n in range(8)]
CONTENDERS = ("tuned", "base", "few_shot", "tfidf", *OTHERS)


LONG = "这是一个很长的回答，" * 160
"""Each character takes three bytes."""


def lines(count: int) -> list[dict[str, Any]]:
    """Lines of items.jsonl with long answers of many contenders to one of many classes."""
    draw, found = random.Random(0), []
    for n in range(count):
        right = CLASSES[n % len(CLASSES)]
        choices = {who: draw.choice([right, draw.choice(CLASSES)]) for who in CONTENDERS}
        found.append(
            {
                "id": f"a folder/requests with a long name.jsonl:{n}",
                "prompt": f"问题 {n}：" + LONG[:60],
                "reference": right,
                "predictions": dict.fromkeys(CONTENDERS[:3], LONG),
                "choices": choices,
                "columns": {f"column {c}": f"value {draw.randrange(9)}" for c in range(2)},
                "scores": {who: {"accuracy": float(one == right)} for who, one in choices.items()},
            }
        )
    return found


def asked(count: int) -> list[dict[str, Any]]:
    told = {"question": LONG, "reference": LONG}
    answers = {"base": LONG, "tuned": LONG}
    return [
        one | told | {"kind": f"subject {n % 60}", "predictions": answers}
        for n, one in enumerate(questions() * (count // 80))
    ]


def table() -> dict[str, Any]:
    """Precision, recall and F1 by class, and who was taken for whom."""
    each = [
        {"label": one, "precision": 0.5, "recall": 0.5, "f1": 0.5, "rows": 13} for one in CLASSES
    ]
    return {"table": each, "confusion": [[k % 7 for k in range(len(CLASSES))] for _ in CLASSES]}


def watched() -> list[dict[str, Any]]:
    """Answers of the watched prompts at 60 evaluations."""
    answers = [
        {"id": f"w:{n}", "prompt": LONG, "answer": LONG, "rewards": {"reward": 0.5}}
        for n in range(8)
    ]
    return [{"step": 100 * n, "event": "watched_answers", "answers": answers} for n in range(1, 61)]


def huge(place: Path) -> RunFolder:
    """A run that has as much of everything as can be."""
    folder, items = full(place), lines(2000)
    found = mistakes(items, "accuracy", "base", seed=0)
    assert found is not None
    kept = weigh(asked(800), {"probe": (0.05, "share")}, seed=0)
    told = judge(items, ["accuracy"], seed=0, decides=("base", "accuracy"), resamples=50)
    classes = {who: table() for who in ("tuned", "tfidf", "few_shot")}
    write(
        folder.proof,
        {"items": len(items), "primary": "accuracy", "against": "base", "classes": classes}
        | {"verdict": told["differences"]["base"]["accuracy"]["verdict"], "shots": [1, 2]}
        | {"others": OTHERS, "generation": {"max_new_tokens": 9, "folder_defaults": {}}}
        | {"mistakes": found | {"collect": []}, "retention": kept, **told},
    )
    write_lines(folder.items, items)
    write_lines(folder.path / "suites.jsonl", asked(800))
    write_lines(folder.record, [*steps(20_000), *watched()])
    answers = "".join(f"### step {n}\n\n{LONG}\n\n" for n in range(60))
    folder.questions.write_text(
        "".join(f"## {LONG}\n\n{answers}" for _ in range(40)), encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    words.use("en")
    return huge(tmp_path_factory.mktemp("huge") / "run")


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_the_page_of_a_run_with_much_to_tell_is_under_3_mb(run: RunFolder, lang: str) -> None:
    assert build(run, lang=lang).stat().st_size < MOST_BYTES


def test_the_page_says_what_it_left_out(run: RunFolder) -> None:
    page = Page(build(run, lang="en").read_text(encoding="utf-8"))
    assert "20 of 40 questions, drawn evenly; questions.md has all." in page.text
    between = "6 of 58 answers in between, drawn evenly"
    assert page.text.count(between) == 20 + 8, "those of the watched prompts too"
    assert "The confusion matrix of 150 classes is too large for this page" in page.text
