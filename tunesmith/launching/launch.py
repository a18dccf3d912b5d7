"""The job of a run: written here, and handed to the cluster where that is asked."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import Problem, SpecError, TunesmithError
from tunesmith.launching.clusters import CLUSTERS, Job
from tunesmith.plain import JsonObject
from tunesmith.planning.processes import too_many
from tunesmith.settings.launch import Launch
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import file_to_write, write_whole
from tunesmith.words import say


@dataclass(frozen=True)
class Launched:
    """Where the job's file is, the command that submits it, and what that said."""

    path: Path
    command: tuple[str, ...]
    said: str | None

    def lines(self) -> list[str]:
        """Returns what was done, and what is next."""
        lines = [say("launch.written", path=self.path)]
        if self.said is None:
            return [*lines, say("launch.next", command=" ".join(self.command))]
        return [*lines, say("launch.submitted", said=self.said)]

    def to_json(self) -> JsonObject:
        """Returns it for programs."""
        return {"path": str(self.path), "command": list(self.command), "submitted": self.said}


def launch(run: Run, words: Sequence[str], *, out: Path | None, submit: bool) -> Launched:
    """Writes the job of ``run``, whose ``words`` are those of ``tunesmith train``; with ``submit``
    hands it to the cluster, and raises TunesmithError where that refuses it.
    """
    asked = run.launch or Launch()
    cluster = CLUSTERS.make(asked.cluster)
    job = Job(_name(run.out), words, run)
    problems = [*cluster.refused(job), *too_many(run, dict(asked.cluster)["nodes"])]
    program = cluster.submit[0]
    if submit and shutil.which(program) is None:
        problems.append(Problem("--submit", say("launch.no_program", program=program)))
    if problems:
        raise SpecError(problems)
    path = file_to_write(out or Path(f"{job.name}.{cluster.suffix}"))
    assert path is not None, "a path was given"
    write_whole(path, cluster.text(job))
    command = (*cluster.submit, str(path))
    return Launched(path, command, _submitted(command) if submit else None)


def _name(out: str) -> str:
    """Returns the job's name, as Kubernetes allows it: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", Path(out).name.lower()).strip("-")[:50] or "run"


def _submitted(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = _without_calls((done.stderr or done.stdout).strip())
        raise TunesmithError(say("launch.refused", command=" ".join(command), told=reason))
    return done.stdout.strip()


def _without_calls(told: str) -> str:
    """Returns what a Python program, as ray is one, says at its end, without the calls before."""
    if "Traceback (most recent call last):" not in told:
        return told
    lines = told.rpartition("Traceback (most recent call last):")[2].split("\n")
    calls = [index for index, line in enumerate(lines) if line.startswith("  File ")]
    after = lines[calls[-1] + 1 :] if calls else lines
    return "\n".join(line for line in after if not line.startswith("    ")).strip()
