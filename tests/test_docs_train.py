"""The commands of the pages that train, prove or answer work as they are typed, page by page, with
a tiny model in the place of the one that the page names and answers of four tokens.

Left out: what waits for a person or a client (serve, arena, compare: tests/serving, tests/pages), what
goes to a hub (tests/export/test_send.py), demo (tests/cli/test_demo.py), and tournament, rlhf, grpo and
ppo (tests/test_recipes.py runs their recipes).
"""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from material.headed import encoder
from tunesmith.cli.main import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?ms)^```(\w*)\n(.*?)^```")
PAGES = [*sorted((DOCS / "en").glob("*.md")), ROOT / "README.md"]
DEAR = {
    "train",
    "sft",
    "dpo",
    "distill",
    "classify",
    "prove",
    "chat",
    "predict",
    "export",
    "report",
}
SMALL = ["data.held_out=96", "generate.max_new_tokens=4", "prove.items=4", "prove.shots=0"]
"""Half of the 96 rows that are held out are watched: enough to choose the best step by."""
WORDS = ("red", "blue", "green", "grey", "black", "white", "brown", "pink")


def typed(page: Path) -> list[list[str]]:
    """The words of each command of a page that this test runs."""
    told = [
        shlex.split(line.removeprefix("$ "), comments=True)
        for kind, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if kind in ("", "bash", "console")
        for line in text.splitlines()
        if line.removeprefix("$ ").startswith("tunesmith ")
    ]
    return [
        words
        for _, *words in told
        if words[0] in DEAR and "…" not in words and "hub=" not in " ".join(words)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> Path:
    """A folder with the models and files that the pages name."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(tiny_llama, folder / "tiny")
    encoder(folder / "minilm")
    asked = [
        {"instruction": f"What colour is thing {n}?", "input": "", "output": f"{WORDS[n % 8]} {n}"}
        for n in range(192)
    ]
    pairs = [
        {"prompt": row["instruction"], "chosen": row["output"], "rejected": f"no {n}"}
        for n, row in enumerate(asked)
    ]
    labels = [
        {"text": row["instruction"], "label": ("good", "bad")[n % 2]} for n, row in enumerate(asked)
    ]
    for name in ("my.json", "alpaca.json", "new.json", "old.json", "questions.json"):
        shift = len(name)  # other rows in each, as far as they go
        rows = [row | {"instruction": f"{row['instruction']} {shift}"} for row in asked]
        (folder / name).write_text(json.dumps(rows), encoding="utf-8")
    (folder / "divided").mkdir()
    texts = [{"text": row["output"]} for row in asked]
    for name, rows in (
        ("pairs", pairs),
        ("texts", texts),
        ("other", asked),
        ("best", asked),
        ("rows", asked),
        ("divided/train", asked),
        ("divided/held_out", asked),
        ("requests", asked),
        ("first", asked),
        ("more", asked),
    ):
        text = "\n".join(map(json.dumps, rows))
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    table = "\n".join(f"{row['text']},{row['label']}" for row in labels)
    for name in ("labels.csv", "sst2.csv"):
        (folder / name).write_text(f"text,label\n{table}\n", encoding="utf-8")
    answers = "\n".join(f"{row['instruction']},{row['output']}" for row in asked)
    (folder / "bitext_customer_support.csv").write_text(
        f"instruction,response\n{answers}\n", encoding="utf-8"
    )
    (folder / "metric.py").write_text(
        "def polite(prediction, reference, row):\n    return 'please' in prediction\n",
        encoding="utf-8",
    )
    (folder / "prompt.txt").write_text("Answer in one word.", encoding="utf-8")
    (folder / "wiki.txt").write_text("Things have colours.\n\n" * 40, encoding="utf-8")
    (folder / "mmlu" / "test").mkdir(parents=True)
    shutil.copy(folder / "rows.jsonl", folder / "mmlu" / "test" / "rows.jsonl")
    (folder / "runs" / "votes").mkdir(parents=True)
    shutil.copy(folder / "pairs.jsonl", folder / "runs" / "votes")
    settings = ", ".join(one.replace("=", ": ") for one in SMALL)
    (folder / "run.yaml").write_text(
        f"{{model: tiny, data: my.json, out: runs/a, {settings}}}", encoding="utf-8"
    )
    return folder


def at_tiny_size(words: list[str]) -> list[str]:
    """The command with models that are here, without the server that is not."""
    small = {
        "model=starter": "model=tiny",
        "model=Qwen/Qwen2.5-0.5B-Instruct": "model=tiny",
        "model=package:minilm": "model=minilm",
        "step-120": "step-60",
    }
    words = [small.get(word, word) for word in words]
    if "https://HOST/v1" in words:
        at = words.index("https://HOST/v1")
        words = words[: at - 1] + words[at + 1 :]
    trains = any(word.startswith("model=") for word in words)
    return [*words, *SMALL] if trains and "classify" not in words else words


def ready(words: list[str]) -> None:
    """Clears what the command writes, and lays out the runs that it takes for granted."""
    new = [word.partition("=")[2] for word in words if word.startswith("out=")]
    new += ["runs/a"] if "run.yaml" in words else []
    new += words[2:3] if words[0] == "export" else []
    for name in new:
        shutil.rmtree(name, ignore_errors=True)
    for word in words:
        named = word.rpartition("=")[2]
        if named.startswith("runs/") and named not in new and not Path(named).exists():
            made = ["sft", "model=tiny", "data=my.json", f"out={named}", *SMALL]
            assert main(made) == 0, made


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if typed(page)], ids=lambda page: page.stem
)
def test_every_command_that_trains_runs(
    page: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    for words in map(at_tiny_size, typed(page)):
        monkeypatch.setattr("sys.stdin", io.StringIO("What colour is thing 1?\n"))
        ready(words)
        code = main(words)
        told = capsys.readouterr()
        # what is not shown on four rows ends a gate with 1
        gate = any(word.startswith("export.require=") for word in words)
        assert code in ((0, 1) if gate else (0,)), (words, told.err)
