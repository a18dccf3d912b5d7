"""Processes that are started together: what they are told, what is printed, and how they end. The
command is a line of Python here, so that a test costs no import of torch; the last test is
the whole.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from material.terminal import rows
from tunesmith import words
from tunesmith.cli import training
from tunesmith.errors import SpecError
from tunesmith.machine import ranks
from tunesmith.machine.ranks import run_ranks

NUMBER = "import json, os, sys, time; rank = int(os.environ['RANK']); "


KILLED = "process {} of this run was ended by SIGKILL; SIGKILL often means that the machine had no memory left"


def python(line: str) -> list[str]:
    return [sys.executable, "-c", NUMBER + line]


def test_each_has_its_number_and_all_one_meeting_place(tmp_path: Path) -> None:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    line = (
        f"open(r'{tmp_path}/' + str(rank), 'w').write(json.dumps([os.environ[n] for n in {names}]))"
    )
    assert run_ranks(3, python(line)) == 0
    told = [json.loads((tmp_path / str(rank)).read_text()) for rank in range(3)]
    assert [one[:4] for one in told] == [[str(rank), str(rank), "3", "3"] for rank in range(3)]
    assert len({tuple(one[4:]) for one in told}) == 1 and told[0][4] == "127.0.0.1"


def test_machines_count_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"open(r'{tmp_path}/' + str(rank), 'w').write(os.environ['WORLD_SIZE'] + os.environ['LOCAL_RANK'] + os.environ['MASTER_ADDR'])"
    monkeypatch.setenv("PET_NNODES", "2")
    monkeypatch.setenv("PET_MASTER_ADDR", "127.0.0.7")
    monkeypatch.setenv("PET_MASTER_PORT", "29500")
    for number in range(2):
        monkeypatch.setenv("PET_NODE_RANK", str(number))
        assert run_ranks(2, python(line)) == 0
    told = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert told == {str(rank): f"4{rank % 2}127.0.0.7" for rank in range(4)}


@pytest.mark.parametrize(
    ("line", "code", "printed", "patience"),
    [
        ("sys.exit(2)", 2, "", 1.0),
        ("print('said by', rank, file=sys.stderr); sys.exit(75)", 75, "", 1.0),
        # One alone fails, and the first waits for it for ever.
        (
            "time.sleep(60 * (1 - rank)); print('only', rank, file=sys.stderr); sys.exit(3)",
            3,
            "only 1",
            1.0,
        ),
        ("os.kill(os.getpid(), 9) if rank else time.sleep(60)", 137, KILLED.format(1), 1.0),
        ("time.sleep(60) if rank else os.kill(os.getpid(), 9)", 137, KILLED.format(0), 1.0),
        # The first tells itself that another has gone, when a busy machine lets it.
        ("time.sleep(1 - rank); sys.exit(1 + 8 * rank)", 1, "", 60.0),
    ],
)
def test_the_exit_code_is_the_runs_own(
    line: str,
    code: int,
    printed: str,
    patience: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ranks, "LEAVES_WITHIN", patience)
    words.use("en")
    assert run_ranks(2, python(line)) == code
    words.use("auto")
    assert capsys.readouterr().err.strip() == printed


def test_a_signal_reaches_each_once(tmp_path: Path) -> None:
    line = (
        "import signal; heard = []; signal.signal(15, lambda *_: heard.append(1)); "
        f"open(r'{tmp_path}/ready' + str(rank), 'w'); "
        "[time.sleep(0.05) for _ in range(200) if not heard]; time.sleep(0.5); "
        f"open(r'{tmp_path}/heard' + str(rank), 'w').write(str(len(heard))); sys.exit(75)"
    )
    whole = f"from tunesmith.machine.ranks import run_ranks; raise SystemExit(run_ranks(2, {python(line)!r}))"
    with subprocess.Popen([sys.executable, "-c", whole]) as parent:
        until = time.monotonic() + 30
        while not all((tmp_path / f"ready{rank}").exists() for rank in range(2)):
            assert time.monotonic() < until
            time.sleep(0.05)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(30) == 75
    assert [(tmp_path / f"heard{rank}").read_text() for rank in range(2)] == ["1", "1"]


def test_more_processes_than_rows_are_refused_before_they_start(tmp_path: Path) -> None:
    asked = ["model=m", "data=d", f"out={tmp_path}/run", "processes=50"]
    for more, each in ([], 16), (["train.batch=8"], 8):
        with pytest.raises(SpecError, match=f"50 processes share the {each} rows of a step"):
            training.train([*asked, *more], lang="en")


@pytest.mark.slow
def test_two_processes_of_the_command_line_train_what_one_trains(
    tiny_llama: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(rows(24)), encoding="utf-8")
    losses = []
    for count in (1, 2):
        asked = [f"model={tiny_llama}", f"data={tmp_path}/rows.json", f"out={tmp_path}/run{count}"]
        asked += [f"processes={count}", "train.steps=4", "train.batch=4", "data.held_out=0"]
        done = subprocess.run(
            [sys.executable, "-m", "tunesmith", "sft", *asked],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        lines = (tmp_path / f"run{count}/record.jsonl").read_text(encoding="utf-8").splitlines()
        losses.append([one["loss"] for one in map(json.loads, lines) if "loss" in one])
    assert losses[1] == pytest.approx(losses[0], abs=1e-5) and len(losses[0]) >= 4
