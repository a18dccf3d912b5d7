"""Every number of the proof on a report's page is recomputed from items.jsonl, suites.jsonl,
judgements.jsonl and record.jsonl; what is not, is a setting, a size, a measured time, or a row that
was left out and so stands in none of them.

Those over several trainings and over checkpoints: tests/curves/test_seeds.py and
tests/proving/test_checkpoints.py.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from material import classified
from material.fast import slow_but
from material.page import Page
from material.proved import labelled
from material.voted import models
from tunesmith import api, words
from tunesmith.metrics import METRICS, Written
from tunesmith.proving.interrupted import Kept
from tunesmith.proving.judge import judge, metric, rows_of
from tunesmith.proving.mistakes import mistakes
from tunesmith.proving.retention import weigh
from tunesmith.report.build import build
from tunesmith.storage.run_folder import RunFolder

CHOSEN = {"primary", "primary_reason", "against", "seed", "resamples", "level", "grouped_by"}
NAMED = {"model", "fingerprint", "prompt", "options", "shots", "shots_wanted", "generation"}
NAMED |= {"others", "written_only", "grading", "leaked", "higher_is_better"}
TIMED = {"seconds"}
"""What proof.json holds beside what follows from the items: what was chosen before scoring, what
things are called, and times.
"""
NUMBER = re.compile(r"[+−]?\d[\d,]*(?:\.\d+)?")


@pytest.fixture(
    scope="module",
    params=slow_but(["class_run"], ["label_run", "text_run", "class_run"]),
)
def proved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A tiny run that was proved; those that write, with a suite of two kinds of questions."""
    words.use("en")
    place = tmp_path_factory.mktemp("numbers")
    shutil.copytree(request.getfixturevalue(request.param).path, place / "run")
    suite, run = place / "known.jsonl", RunFolder(place / "run")
    suite.write_text("".join(json.dumps(row) + "\n" for row in labelled(480)[400:]), "utf-8")
    api.prove(run, suites=[] if request.param == "class_run" else [f"rows={suite}"])
    return run


@pytest.fixture(scope="module")
def class_run(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return classified.trained(tmp_path_factory.mktemp("classes"), tiny_llama)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def recomputed(run: RunFolder, found: dict[str, Any]) -> dict[str, Any]:
    """What follows from the lines that the run's folder holds, and from the sizes of its files."""
    items, seed, decides = lines_of(run.items), found["seed"], (found["against"], found["primary"])
    judged = judge(items, list(found["contenders"]["tuned"]), seed=seed, decides=decides)
    compared = judged["differences"][decides[0]][decides[1]]
    told = {key: compared[key] for key in ("verdict", "units", "smallest_effect", "items_needed")}
    told |= judged | {"items": int(rows_of(items).max()) + 1}
    told["stopped"] = {
        name: sum(item["stopped"][name] for item in items) / len(items)
        for name in items[0]["stopped"]
    }
    if (run.path / "suites.jsonl").exists():
        told["retention"] = weigh(
            lines_of(run.path / "suites.jsonl"), {"known": (0.05, "share")}, seed=seed
        )
    if "classes" in found:
        told["classes"] = by_class(items, found["classes"])
    analysed = mistakes(items, found["primary"], found["against"], seed=seed)
    assert analysed is not None
    told["mistakes"] = analysed | {"collect": found["mistakes"]["collect"]}
    told["efficiency"] = costs(run, found["efficiency"])
    return json.loads(json.dumps(told))


def by_class(items: list[dict[str, Any]], found: dict[str, Any]) -> dict[str, Any]:
    """Precision, recall and F1 by scikit-learn, and what calibration does to the chances of items;
    its temperature was fitted to the validation rows.
    """
    right = [item["reference"] for item in items]
    names = [one["label"] for one in found["tuned"]["table"]]
    told: dict[str, Any] = {}
    for who in found.keys() - {"calibration"}:
        said = [item["choices"][who] for item in items]
        report = precision_recall_fscore_support(right, said, labels=names, zero_division=0)
        columns = zip(names, *(part.tolist() for part in report), strict=True)  # type: ignore[union-attr]
        parts = ("label", "precision", "recall", "f1", "rows")
        told[who] = {"table": [dict(zip(parts, row, strict=True)) for row in columns]}
        told[who]["confusion"] = confusion_matrix(right, said, labels=names).tolist()
    chances = np.array([[item["options"]["tuned"][name] for name in names] for item in items])
    known = {key: found["calibration"][key] for key in ("rows", "temperature")}
    error = metric("calibration_error")
    for when, divided in (("before", chances), ("after", chances / known["temperature"])):
        options = log_softmax(divided, 1).tolist()
        known[when] = error.over([dict(zip(names, one, strict=True)) for one in options], right)
    return told | {"calibration": known}


def costs(run: RunFolder, found: dict[str, Any]) -> dict[str, Any]:
    """What the training took, from its record; the waiting times are measured."""
    steps = [line for line in run.steps() if "loss" in line and "seconds" in line]
    seconds = sum(line["seconds"] for line in steps)
    read = sum(line["tokens_per_second"] * line["seconds"] for line in steps)
    joules = round(sum(line.get("joules", 0.0) for line in steps), 3)
    training = {
        "seconds": round(seconds, 4),
        "tokens_per_second": round(read / seconds, 1),
        "memory_gib": max(line["memory_gib"] for line in steps),
        "joules": joules or None,
    }
    sizes = found["bytes"] | {
        "tuned": sum(one.stat().st_size for one in run.model.glob("*.safetensors"))
    }
    return {"training": training, "bytes": sizes, "speed": found["speed"]}


def test_proof_json_holds_nothing_else(proved: RunFolder) -> None:
    found = json.loads(proved.proof.read_text(encoding="utf-8"))
    again = recomputed(proved, found)
    for key, value in again.items():
        assert found[key] == close(value), key
    assert set(found) - set(again) == CHOSEN | NAMED | TIMED


def close(value: Any) -> Any:
    """The same tree, with numbers that may differ in the last digits."""
    if isinstance(value, dict):
        return {key: close(one) for key, one in value.items()}
    if isinstance(value, list):
        return [close(one) for one in value]
    return pytest.approx(value, rel=1e-6) if isinstance(value, float) else value


def leaves(value: Any) -> Iterator[float]:
    """All numbers in a tree of JSON."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from leaves(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def ways_to_write(number: float) -> Iterator[str]:
    """A number as some part of the page writes it: as it is, in percent, in another unit."""
    for value in (number, 100 * number):
        for digits in range(4):
            for mark in ("", "+"):
                yield f"{value:{mark},.{digits}f}".replace("-", "−")
    for value in (1000 * number, number / 1024, number / 1024**2):
        yield from (f"{value:.3g}", f"{value:,.0f}", f"{value:.1f}")
    yield f"{number:.2g}"


def shown(run: RunFolder, lang: str) -> list[str]:
    """The numbers of the verdict and of the proof's section, without what rows and metrics are
    called.
    """
    html = build(run, lang=lang).read_text(encoding="utf-8")
    top = html[html.index('<section class="verdict') : html.index("</section>") + len("</section>")]
    part = html[html.index('<h2 id="proof">') : html.index('<h2 id="ledger">')]
    text = Page(f"<div>{top}{part}</div>").text
    text = re.sub(r"BLEU-4|ROUGE-\d|F1|95 ?%|known\.jsonl", "", text)
    found = json.loads(run.proof.read_text(encoding="utf-8"))["mistakes"]["clusters"]
    for one in found:
        text = text.replace(", ".join(one["words"]), "")
    return NUMBER.findall(text)


def told_by(run: RunFolder) -> set[str]:
    """All ways to write what is recomputed, how many examples the base was shown, and from how many
    rows on a slice is compared.
    """
    found = json.loads(run.proof.read_text(encoding="utf-8"))
    numbers = [*leaves(recomputed(run, found)), len(found["shots"]), 20]
    return {way for number in numbers for way in ways_to_write(number)}


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_the_page_shows_nothing_else(proved: RunFolder, lang: str) -> None:
    numbers, told = shown(proved, lang), told_by(proved)
    assert len(numbers) > 40
    assert [one for one in numbers if one not in told] == []


def test_a_number_that_follows_from_no_item_is_found(proved: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(proved.path, tmp_path / "run")
    run, told = RunFolder(tmp_path / "run"), told_by(proved)
    found = json.loads(run.proof.read_text(encoding="utf-8"))
    found["differences"][found["against"]][found["primary"]]["low"] -= 0.34567
    run.proof.write_text(json.dumps(found), encoding="utf-8")
    assert [one for one in shown(run, "en") if one not in told]


@pytest.mark.slow  # 3 s
def test_what_a_judge_s_figures_say_follows_from_its_kept_replies(
    adapter_run: RunFolder, tmp_path: Path
) -> None:
    shutil.copytree(adapter_run.path, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    with models() as url:
        asked = {"name": "judge", "url": url, "model": "judge", "prices": [1.0, 2.0]}
        found = api.prove(run, shots=0, items=20, metrics=[asked]).found
    # Nobody answers there now.
    items = lines_of(run.items)
    columns = ([line[name] for line in items] for name in ("id", "prompt", "reference"))
    names = items[0]["predictions"]
    answers = {name: [line["predictions"][name] for line in items] for name in names}
    kept = {"kept": Kept(run.path / "judgements.jsonl"), "progress": lambda done, of: None}
    written = Written(*columns, [{}] * len(items), answers, **kept)
    again = METRICS.make(METRICS.config(asked)).grade(written)
    told = found["grading"]["judge"]
    assert 0 < told["agreed"] < told["pairs"], "of two that are as long, the second wins"
    assert again.facts == {key: told[key] for key in again.facts} | {"asked_now": 0}
    for name, values in again.values.items():
        assert values == [line["grades"]["judge"][name] for line in items]
