"""What the pages tell people to type works on small files: each command that trains nothing is run,
page by page in its order.
"""

from __future__ import annotations

import csv
import json
import random
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from tunesmith.cli.main import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?ms)^```(\w*)\n(.*?)^```")
# The Chinese pages have the same commands (test_docs.py).
PAGES = [*sorted((DOCS / "en").glob("*.md")), ROOT / "README.md"]
CHEAP = ("check", "plan", "explain", "doctor", "data", "runs")
DEAR = ("--overfit", "--probe")  # they load weights; tests of their own run them
ASKING = ("model=", "target=", "how=negatives")
"""What ``data`` asks of a model, a proof or pairs that are not here; tests of their own do."""
WORDS = [
    "river",
    "hill",
    "door",
    "lamp",
    "bread",
    "sugar",
    "winter",
    "paper",
    "garden",
    "horse",
    "bridge",
    "letter",
    "music",
    "window",
    "stone",
    "island",
    "market",
    "copper",
    "pencil",
    "summer",
    "basket",
    "ladder",
    "mirror",
    "needle",
    "orange",
    "pepper",
    "quartz",
    "ribbon",
    "saddle",
    "tunnel",
    "valley",
    "wagon",
    "yellow",
    "anchor",
    "button",
    "candle",
    "dragon",
    "engine",
    "feather",
    "hammer",
]
CAPITALS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo"}
ROWS = [
    {"instruction": f"What is the capital of {country}?", "input": "", "output": f"It is {city}."}
    for country, city in CAPITALS.items()
]


def typed(page: Path) -> list[list[str]]:
    """The words of each such command of a page."""
    lines = [
        line.removeprefix("$ ")
        for kind, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if kind in ("", "bash", "console")
        for line in text.splitlines()
    ]
    words = [shlex.split(line, comments=True) for line in lines if "tunesmith " in line]
    return [
        rest
        for name, *rest in filter(None, words)
        if name == "tunesmith"
        and rest[0] in CHEAP
        and not {*DEAR} & {*rest}
        and not (rest[0] == "data" and any(word.startswith(ASKING) for word in rest))
        and not (rest[0] == "doctor" and rest[1:])  # of a run: tests/health does that
    ]


def rows_for(words: list[str]) -> list[dict[str, str]]:
    """Rows with the columns that the command names."""
    for word in words:
        if word.startswith("data.columns="):
            names = yaml.safe_load(word.partition("=")[2]).values()
            return [{name: f"{name} {n}" for name in names} for n in range(8)]
    return ROWS * 2


@pytest.mark.slow
@pytest.mark.starter
@pytest.mark.parametrize(
    "page", [page for page in PAGES if typed(page)], ids=lambda page: page.stem
)
def test_every_command_that_trains_nothing_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "run.yaml").write_text("{model: starter, data: my.json, out: runs/a}", "utf-8")
    words_of = [random.Random(n).sample(WORDS, 9) for n in range(40)]  # no near copies
    lines = [
        {"text": f"<b>row</b> {' '.join(some)}", "source": WORDS[n % 20]}
        for n, some in enumerate(words_of)
    ]
    with (tmp_path / "messy.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "source"])
        writer.writeheader()
        writer.writerows(lines)
    (tmp_path / "my_rows.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    asked = [{"instruction": " ".join(some), "output": some[0]} for some in words_of]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, asked)), "utf-8")
    for name in ("a", "b", "train", "held_out"):
        parts = [
            {"instruction": f"Tell me a quick and happy story of a big {one}.", "output": name}
            for one in WORDS[:8]
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, parts)), "utf-8")
    (tmp_path / "handbook").mkdir()
    for one in WORDS:
        chapter = f"# The {one}\n\n" + " ".join(random.Random(one).choices(WORDS, k=90))
        (tmp_path / "handbook" / f"{one}.md").write_text(chapter, "utf-8")
    failed = []
    for words in typed(page):
        (tmp_path / "my.json").write_text(json.dumps(rows_for(words)), "utf-8")
        shutil.rmtree("divided", ignore_errors=True)  # two places of a page divide their rows
        code = main(words)
        told = capsys.readouterr()
        if code != 0 or not told.out.strip():
            failed.append((words, told.err))
    assert not failed, failed


@pytest.mark.slow
@pytest.mark.starter
def test_what_check_said_on_the_first_page_is_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (DOCS / "en" / "first-run.md").read_text(encoding="utf-8")
    said = next(text for kind, text in BLOCK.findall(page) if kind == "text")
    monkeypatch.chdir(tmp_path)
    rows = [
        {"instruction": f"What is {n} and {n}?", "input": "", "output": f"It is {2 * n}."}
        for n in range(8)
    ]
    (tmp_path / "my.json").write_text(json.dumps(rows), "utf-8")
    assert main(["check", "data=my.json", "model=starter"]) == 0
    told = capsys.readouterr().out
    first, split = (line for line in said.splitlines() if " rows" in line and "tokens" not in line)
    assert first in told and split in told
    assert "⟦It is " in told and "<|im_end|>⟧" in told
