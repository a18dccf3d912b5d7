"""Asks the rewards about answers, in a process of their own that is killed where one of them hangs.

A reward that fails has abstained: a fault never becomes the number 0, and never ends a run.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.rewards import REWARDS, AnswerReward, Asked
from tunesmith.rewards._worker import ready
from tunesmith.words import say

STARTS_WITHIN, LOADS_WITHIN = 120.0, 900.0
"""Seconds in which the process must have begun with the user's own file, and in which the weights
of reward models must be there.
"""


@dataclass(frozen=True)
class Fault:
    """A reward that gave no number for an answer though it did not abstain."""

    row: str
    text: str
    kind: str
    """The end of its key in the words."""
    told: str
    """What was found."""


class Scorer:
    """The rewards of a run, of which each answer gets a number or None, in order.

    ``configs`` are validated rewards; ``timeout`` is for one reward of one answer (seconds);
    ``where`` is the setting that holds the rewards, or ``places`` are those of each.
    """

    def __init__(
        self,
        configs: Sequence[Any],
        timeout: float,
        where: str = "source.rewards",
        places: Sequence[str] = (),
    ) -> None:
        self.configs, self.timeout, self.where = list(configs), timeout, where
        self.places = places or [f"{where}.{index}" for index in range(len(self.configs))]
        self.rewards: list[AnswerReward] = [REWARDS.make(config) for config in self.configs]
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()

    def check(self) -> None:
        """Raises SpecError at their setting where a reward could not load; reads no
        weights.
        """
        if any(reward.runs_users_code for reward in self.rewards):
            self._begin(load=False)
            self.close()
        else:
            # A process for this would import torch once more: 6 seconds of CPU for a reward model.
            self._refuse([ready(reward, load=False) for reward in self.rewards])

    def _begin(self, *, load: bool) -> None:
        """Starts the process; raises SpecError where a reward does not load."""
        # Of its own session, so that Ctrl-C reaches the run alone, which then stops when it can.
        # Rewards are imported from where this process imports, which the environment alone may not
        # tell.
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tunesmith.rewards._worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._lines = queue.Queue()
        assert self._process.stdout is not None
        reader = (self._process.stdout, self._lines)
        threading.Thread(target=_pump, args=reader, daemon=True).start()
        configs = [config.model_dump(mode="json") for config in self.configs]
        self._send({"configs": configs, "load": load})
        line = self._line(LOADS_WITHIN if load else STARTS_WITHIN)
        if not line:
            self.close()
            raise SpecError(Problem(self.where, say("rewards.not_started")))
        self._refuse(json.loads(line))

    def _refuse(self, told: Sequence[str | None]) -> None:
        """Raises SpecError at the settings of the rewards of which something was told."""
        wrong = [
            Problem(path, text)
            for path, text in zip(self.places, told, strict=True)
            if text is not None
        ]
        if wrong:
            self.close()
            raise SpecError(wrong)

    def scores(self, asked: Sequence[Asked]) -> tuple[list[list[float | None]], list[Fault]]:
        """Returns the rewards of each answer, and what went wrong; a process that was lost is
        started again.
        """
        values: list[list[float | None]] = [[] for _ in asked]
        faults: list[Fault] = []
        for index, reward in enumerate(self.rewards):
            for start in range(0, len(asked), reward.at_once):
                part = asked[start : start + reward.at_once]
                rows = values[start : start + len(part)]
                for row, answer, said in zip(rows, part, self._ask(index, part), strict=True):
                    row.append(said.get("value"))
                    if "fault" in said:
                        fields = {"reward": reward.name, "row": answer.id, "told": said["told"]}
                        text = say(f"rewards.fault_{said['fault']}", **fields)
                        faults.append(Fault(answer.id, text, said["fault"], said["told"]))
        return values, faults

    def _ask(self, place: int, answers: Sequence[Asked]) -> list[JsonObject]:
        """Asks one reward about each answer; returns a fault for all of them where the process
        ended or hung.
        """
        if self._process is None:
            self._begin(load=True)
        self._send({"reward": place, "answers": [vars(answer) for answer in answers]})
        seconds = self.timeout * len(answers)
        line = self._line(seconds)
        if line:
            return json.loads(line)
        self.close()
        fault = {"fault": "ended" if line is None else "timeout", "told": f"{seconds:g}"}
        return [fault] * len(answers)

    def _send(self, value: object) -> None:
        assert self._process is not None and self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which the missing answer tells
            self._process.stdin.write(json.dumps(value, default=str) + "\n")
            self._process.stdin.flush()

    def _line(self, seconds: float) -> str | None:
        """Returns the next line of the process; empty where it is silent for so long, None where it
        has ended.
        """
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return ""

    def close(self) -> None:
        """Ends the process."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process = None


def _pump(pipe: IO[str], lines: queue.Queue[str | None]) -> None:
    """Hands on each line as it comes, and None at the end."""
    for line in pipe:
        lines.put(line)
    pipe.close()
    lines.put(None)
