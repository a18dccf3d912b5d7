"""Rewards in their own process: what fails, hangs or returns nonsense abstains, is named, and ends
nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tunesmith.errors import SpecError
from tunesmith.rewards import REWARDS, Asked
from tunesmith.rollout.scoring import Scorer

MINE = """
import logging, os, sys, time

def mine(prompt, completion, row):
    print("said to nobody")
    if completion == "log":
        logging.getLogger("bitsandbytes.backends.cpu.ops").warning("no kernel")
        logging.getLogger("mine").warning("mine is told")
    if completion == "hang":
        while True:
            pass
    if completion == "exit":
        os._exit(3)
    if completion == "raise":
        raise ValueError("no")
    if completion == "row":
        return row["gone"]
    return {"nan": float("nan"), "text": "good", "none": None, "yes": True}.get(completion, 0.25)

not_callable = 3
"""


def asked(*completions: str) -> list[Asked]:
    return [
        Asked(f"rows.json:{place}", "What?", text, {"answer": "hang", "when": object()})
        for place, text in enumerate(completions, 1)
    ]


@pytest.fixture
def scorer(tmp_path: Path) -> Iterator[Scorer]:
    (tmp_path / "mine.py").write_text(MINE)
    own = {"name": "function", "path": f"{tmp_path}/mine.py:mine"}
    found = Scorer([REWARDS.config("exact"), REWARDS.config(own), REWARDS.config("json")], 2.0)
    found._begin(load=True)
    yield found
    found.close()


def test_numbers_come_in_the_order_of_answers_and_rewards(scorer: Scorer) -> None:
    values, faults = scorer.scores(asked("a", "none", "yes", "1"))
    assert values == [[0, 0.25, 0], [0, None, 0], [0, 1, 0], [0, 0.25, 1]]
    assert faults == []


@pytest.mark.parametrize(
    ("completion", "told"),
    [
        ("nan", "reward function returned nan, which is not a finite number"),
        ("text", "reward function returned 'good' instead of a number or None"),
        ("raise", "reward function raised ValueError('no')"),
        ("row", "reward function needs the column 'gone', which this row does not have"),
        ("exit", "reward function ended its process"),
        ("hang", "reward function took more than 2 s and was ended (source.timeout)"),
    ],
)
def test_what_goes_wrong_abstains_and_names_the_row(
    scorer: Scorer, completion: str, told: str
) -> None:
    values, faults = scorer.scores(asked("1", completion, "1"))
    right = [float(completion == "hang"), None, 0.0]
    assert values == [[0, 0.25, 1], right, [0, 0.25, 1]], "what comes after it is answered"
    assert [(fault.row, fault.text) for fault in faults] == [("rows.json:2", told)]


def test_a_kernel_that_is_not_used_is_no_word_to_a_person(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    run = RUN.replace('"hang"', '"log"') + "scorer.close()"
    command = [sys.executable, "-c", run, f"{tmp_path}/mine.py:mine"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "mine is told" in told and "no kernel" not in told


def test_what_cannot_load_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "bad.py").write_text("import nothing_of_this_name")
    paths = ("mine.py:not_callable", "bad.py:mine", "gone.py:mine")
    configs = [REWARDS.config({"name": "function", "path": f"{tmp_path}/{path}"}) for path in paths]
    with pytest.raises(SpecError) as error:
        Scorer([REWARDS.config("exact"), *configs], 1.0).check()
    texts = [str(problem) for problem in error.value.problems]
    assert texts[0].startswith("source.rewards.1: ") and "no function 'not_callable'" in texts[0]
    assert "mine" in texts[0], "the functions that are there"
    assert "nothing_of_this_name" in texts[1] and "there is no file" in texts[2]


def test_the_process_ends_with_the_run(scorer: Scorer) -> None:
    assert scorer._process is not None
    pid = scorer._process.pid
    scorer.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert scorer.scores(asked("1"))[0] == [[0, 0.25, 1]], "and begins again when it is asked"
    began = time.monotonic()
    scorer.close()
    assert time.monotonic() - began < 1


RUN = """
import sys
from tunesmith.rewards import REWARDS, Asked
from tunesmith.rollout.scoring import Scorer

scorer = Scorer([REWARDS.config({"name": "function", "path": sys.argv[1]})], 600.0)
scorer._begin(load=True)
print(scorer._process.pid, flush=True)
scorer.scores([Asked("rows.json:1", "What?", "hang", {})])
"""


@pytest.mark.skipif(os.name == "nt", reason="a process has no other parent there when its own ends")
@pytest.mark.slow  # 3 s
def test_a_reward_that_hangs_ends_with_a_run_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    command = [sys.executable, "-c", RUN, f"{tmp_path}/mine.py:mine"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    worker = psutil.Process(int(run.stdout.readline()))
    run.kill()
    run.wait()
    worker.wait(60)  # raises where it goes on
