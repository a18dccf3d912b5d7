"""A run is one folder; this names what lies in it, and writes files that are whole or absent."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import validate
from tunesmith.settings.yaml_file import settings_in
from tunesmith.storage.atomic import barred, write_whole
from tunesmith.storage.process import is_held
from tunesmith.words import say

NEAR = 6
"""Run folders that an error names."""
ALIKE = 0.6
"""From this likeness on a folder is the one that is meant."""


def runs_near(path: Path) -> list[str]:
    """Returns the run folders inside ``path``, beside it, and in ``runs``: where people look for
    the one they mean.
    """
    places = dict.fromkeys([path, path.parent, path.parent / "runs", Path("runs")])
    folders = [
        inner.parent
        for folder in places
        if folder.is_dir()
        for inner in sorted(folder.glob("*/run.yaml"))
    ]
    return [str(folder) for folder in dict.fromkeys(folders)]


def told_near(path: Path) -> str:
    """Says which runs lie near ``path`` and which of them is probably meant; empty for none."""
    near = runs_near(path)
    if not near:
        return ""
    alike, meant = max((_likeness(str(path), name), name) for name in near)
    meant_text = say("spec.did_you_mean", name=repr(meant)) if alike >= ALIKE else ""
    more = ", …" if len(near) > NEAR else ""
    return meant_text + say("spec.runs_near", known=", ".join(near[:NEAR]), more=more)


def _likeness(asked: str, name: str) -> float:
    """Returns how alike the names of two folders are, from 0 to 1: as they are spelt, or word by
    word, where somebody wrote several words wrong, in another order, or one too few.
    """
    asked, name = (Path(path).name.casefold() for path in (asked, name))
    spelt = difflib.SequenceMatcher(None, asked, name).ratio()
    ours, theirs = (
        list(filter(None, re.split(r"[\W_]+", name_given))) or [name_given]
        for name_given in (asked, name)
    )
    nearest = [
        max(difflib.SequenceMatcher(None, word, other_word).ratio() for other_word in others)
        for words, others in ((ours, theirs), (theirs, ours))
        for word in words
    ]
    return max(spelt, sum(nearest) / len(nearest))


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of one run; ``which`` of its models is looked at: ``model``, ``best``, or
    ``step-120`` of a checkpoint.
    """

    path: Path
    which: str = "model"

    @property
    def run_yaml(self) -> Path:
        """The file with every value used, and its origin."""
        return self.path / "run.yaml"

    @property
    def plan(self) -> Path:
        """The plan as it was printed."""
        return self.path / "plan.txt"

    @property
    def ledger(self) -> Path:
        """The account of where every row went."""
        return self.path / "ledger.json"

    @property
    def dropped(self) -> Path:
        """The rows that were not used: one JSON object a line with file, row and reason."""
        return self.path / "dropped.jsonl"

    @property
    def record(self) -> Path:
        """The record: one JSON object a step."""
        return self.path / "record.jsonl"

    @property
    def reference(self) -> Path:
        """The reference's log-probabilities of the run's rows, where its objective has one."""
        return self.path / "reference.safetensors"

    @property
    def fisher(self) -> Path:
        """How much each weight counts to which the run is held, where its objective is ewc."""
        return self.path / "fisher.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The folder of resumable states."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The best model by ``train.keep.best_by``, apart from the last."""
        return self.path / "best"

    @property
    def model(self) -> Path:
        """The tuned model: an adapter in peft's format, or a Hugging Face folder."""
        step = re.fullmatch(r"step-0*(\d+)", self.which)
        if step is None:
            return self.path / self.which
        return self.models_of_steps.get(int(step[1]), self.checkpoints / self.which) / "model"

    @property
    def models_of_steps(self) -> dict[int, Path]:
        """The checkpoints that hold a model, by step; of several of one step the newest."""
        by_step = {}
        for facts in sorted(self.checkpoints.glob("step-*/model/tunesmith.json")):
            name = re.fullmatch(r"step-(\d+)(\.\d+)?", facts.parent.parent.name)
            if name is not None:
                by_step[int(name[1])] = facts.parent.parent
        return by_step

    @property
    def proved_in(self) -> Path:
        """Where the proof of the model that is looked at goes: a checkpoint's has its own place."""
        step = re.fullmatch(r"step-0*(\d+)", self.which)
        return self.path if step is None else self.path / "proofs" / f"step-{step[1]}"

    @property
    def proved_steps(self) -> Path:
        """The curve over the checkpoints that were proved."""
        return self.path / "checkpoints.json"

    @property
    def proof(self) -> Path:
        """The verdict and its tables."""
        return self.path / "proof.json"

    @property
    def blend(self) -> Path:
        """The curve that a blended run was chosen from, and the questions that chose it."""
        return self.path / "blend.json"

    @property
    def items(self) -> Path:
        """Per-item predictions and scores, from which every number in the proof follows."""
        return self.path / "items.jsonl"

    @property
    def questions(self) -> Path:
        """The file with own questions and their answers over the run."""
        return self.path / "questions.md"

    @property
    def loss_curve(self) -> Path:
        """The training and held-out loss as a picture."""
        return self.path / "loss_curve.png"

    @property
    def report(self) -> Path:
        """The report, one self-contained page."""
        return self.path / "report.html"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the folder for this process alone, until it ends or dies; raises SpecError while
        another trains in it.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        try:
            # Who only looks whether it is held (busy) has it for microseconds.
            lock.acquire(timeout=0.2, poll_interval=0.02)
        except Timeout:
            raise SpecError(Problem(str(self.path), say("spec.folder_busy"))) from None
        try:
            yield
        finally:
            lock.release()

    @property
    def busy(self) -> bool:
        """Whether a process trains in it now."""
        return is_held(self.path / ".lock")

    def resolved(self) -> Resolved:
        """Returns the settings that this run used, read once; raises SpecError when the folder
        holds no run.
        """
        return self._resolved

    @cached_property
    def _resolved(self) -> Resolved:
        if not self.run_yaml.is_file():
            raise SpecError(Problem(str(self.path), self._missing()))
        given = settings_in(self.settings_text, self.run_yaml)
        return Resolved(validate(_as_it_was(given)))

    @cached_property
    def settings_text(self) -> str:
        """The text of ``run.yaml``, read once."""
        return self.run_yaml.read_text(encoding="utf-8")

    def begin(self, resolved: Resolved) -> None:
        """Writes ``run.yaml``, by which a folder is known to hold a run, and can be continued."""
        text = resolved.dump()
        write_whole(self.run_yaml, text)
        self.__dict__["settings_text"] = text  # it is not read again

    def _missing(self) -> str:
        """Explains why this is no run, and names the runs near it."""
        if self.path.is_file():
            return say("spec.run_is_file")
        key = "spec.not_a_run" if self.path.is_dir() else "spec.no_run"
        return say(key) + (told_near(self.path) or say("spec.no_runs_near"))

    def taken(self) -> str | None:
        """Returns why no new run can be started here; None where one can."""
        wrong = barred(self.path / "run.yaml")
        if wrong:
            return wrong
        if self.busy:
            return say("spec.folder_busy")
        if (self.model / "tunesmith.json").is_file():
            return say("plan.out_finished", out=self.path)
        held = self.run_yaml.exists() or self.begun
        return say("plan.out_taken", out=self.path) if held else None

    @property
    def begun(self) -> bool:
        """Whether a run has left something here beside its settings."""
        return any(path.exists() for path in (self.record, self.checkpoints, self.model))

    def refuse_taken(self) -> None:
        """Raises SpecError where no new run can be started here."""
        why = self.taken()
        if why is not None:
            raise SpecError(Problem("out", why))

    def next_step(self) -> str:
        """Returns what to do with a finished run: prove it, where rows were kept for that."""
        proof = (self.read(self.ledger) or {}).get("proof")
        return say("cli.next_step" if proof else "cli.next_without_proof", folder=self.path)

    def read(self, path: Path) -> Any:
        """Reads a JSON file of the run, which holds one object; None where it is missing; raises
        DataError where it is damaged.
        """
        if not path.is_file():
            return None
        return _object(path.read_bytes(), str(path))

    def steps(self) -> list[JsonObject]:
        """Reads the record's lines, without a last line that a crash cut short."""
        if not self.record.is_file():
            return []
        return read_lines(self.record, whole=False)


def read_lines(path: Path, *, whole: bool = True) -> list[JsonObject]:
    """Reads a file of JSON lines of a run, one that is not ``whole`` without a last line that was
    cut short; raises DataError that names a damaged line.
    """
    rows = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines if whole else lines[:-1], start=1):
        if line.strip():
            rows.append(_object(line, f"{path}:{number}"))
    return rows


def _object(text: bytes, where: str) -> JsonObject:
    """Reads a JSON object; raises DataError that names ``where`` for anything else."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(Problem(where, say("spec.damaged_json", error=error))) from None
    if not isinstance(value, dict):
        fault = say("spec.no_json_object")
        raise DataError(Problem(where, say("spec.damaged_json", error=fault)))
    return value


def _as_it_was(settings: dict[str, object]) -> dict[str, object]:
    """Completes the settings of a folder, which holds all of them: one that is older than a setting
    was made as if the setting were off.
    """
    objective = settings.get("objective")
    if isinstance(objective, dict) and objective.get("name") == "classify":
        settings["objective"] = {"stratify": False, **objective}
    return settings
