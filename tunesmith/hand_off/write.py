"""Writes a run as another toolkit takes it: model, rows, rewards where it learns from them,
command, and what has no counterpart there.
"""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.files.writing import write_rows
from tunesmith.data.items import Item
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.errors import Problem, SpecError
from tunesmith.export.make import export
from tunesmith.hand_off import megatron_swift, ms_swift, openrlhf, torchtitan, verl
from tunesmith.hand_off.conversations import conversations
from tunesmith.hand_off.recipe import Recipe, Translated
from tunesmith.hand_off.reward_file import reward_file
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.finding.parent import parent_of
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.plain import JsonObject
from tunesmith.planning.make import make
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import barred, write_whole
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say


@dataclass(frozen=True)
class Target:
    """Another toolkit: how a run is said there, the kind of its rows' files, and whether it takes
    runs on rewards or runs on conversations.
    """

    translate: Callable[[Recipe], Translated]
    command: Callable[[dict[str, object]], list[str]]
    form: str = "jsonl"
    rewards: bool = True
    beside: Callable[[Recipe], dict[str, str]] = lambda _: {}
    """More files that its command reads, by name."""


def _titan_files(recipe: Recipe) -> dict[str, str]:
    return {f"{torchtitan.CONFIG}.py": torchtitan.config_file(recipe)}


TARGETS = {
    "verl": Target(verl.translate, verl.command, "parquet"),
    "openrlhf": Target(openrlhf.translate, openrlhf.command),
    "ms-swift": Target(ms_swift.translate, ms_swift.command),
    "megatron-swift": Target(megatron_swift.translate, megatron_swift.command, rewards=False),
    "torchtitan": Target(
        torchtitan.translate, torchtitan.command, rewards=False, beside=_titan_files
    ),
}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class HandedOff:
    """What was written, and our settings without a counterpart."""

    out: str
    to: str
    rows: int
    missing: list[str]
    notes: list[str]

    def to_json(self) -> JsonObject:
        """Returns it for programs."""
        return dict(vars(self))

    def lines(self) -> list[str]:
        """Returns lines for a person to read."""
        key = "hand_off.written" if TARGETS[self.to].rewards else "hand_off.written_rows"
        lines = [say(key, out=self.out, to=self.to, rows=self.rows)]
        if self.missing:
            lines.append(say("hand_off.missing", to=self.to, settings=", ".join(self.missing)))
        return [*lines, *self.notes]


def hand_off(
    run: Run, to: str, out: Path, *, trained: RunFolder | None, progress: Progress | None = None
) -> HandedOff:
    """Writes ``run`` for ``to`` into the new folder ``out``, with the model of the run ``trained``
    where it goes on from there. Raises SpecError with all that is wrong before a weight is loaded.
    """
    _refuse(run, to, out)
    target = TARGETS[to]
    settled, prepared = _settled(run, trained, progress)
    parent = trained
    if trained is None:
        earlier = parent_of(run.model.path)
        parent = earlier.folder if earlier else None
    recipe = _recipe(settled, prepared, "model" if parent else _base(run))
    translated = target.translate(recipe)
    notes = [say(f"hand_off.{name}") for name in translated.notes]
    notes += _own_notes(settled, translated, rewards=target.rewards)
    if parent is not None:
        export(parent, out / "model", progress=progress)
    for name, items in (("train", prepared.train), ("watch", prepared.watch)):
        if items:
            rows = _rows(items, settled, to) if target.rewards else conversations(settled, items)
            _write_rows(out / "rows" / f"{name}.{target.form}", list(rows))
    if target.rewards:
        write_whole(out / "reward.py", reward_file(settled, _ends(prepared)))
    for name, text in target.beside(recipe).items():
        write_whole(out / name, text)
    words = " \\\n  ".join(shlex.quote(word) for word in target.command(translated.options))
    script = f'#!/bin/sh\n# {say("hand_off.script", to=to)}\ncd "$(dirname "$0")"\n{words} "$@"\n'
    write_whole(out / "run.sh", script)
    os.chmod(out / "run.sh", 0o755)
    done = HandedOff(str(out), to, len(prepared.train), translated.missing, notes)
    write_whole(out / "differences.txt", "\n".join(done.lines()) + "\n")
    return done


def _settled(
    run: Run, trained: RunFolder | None, progress: Progress | None
) -> tuple[Run, Prepared]:
    """Returns the run without open values, and its rows, split as they were."""
    if trained is not None:
        tokenizer = load_tokenizer(trained.model)
        seed = (trained.read(trained.ledger) or {}).get("split_seed")
        return run, prepare(run, tokenizer, seed=seed, progress=progress)
    plan = make(run, progress=progress).require()
    assert plan.prepared is not None, "a plan without problems has its data"
    return plan.resolved.run, plan.prepared


def _refuse(run: Run, to: str, out: Path) -> None:
    problems = []
    if to not in TARGETS:
        problems.append(Problem("to", say("hand_off.no_target", to=to, known=", ".join(TARGETS))))
    rewarded = run.source.name == "rollout" and OBJECTIVES.make(run.objective).by_rewards
    taken = rewarded if to not in TARGETS or TARGETS[to].rewards else run.objective.name == "sft"
    if not taken:
        fitting = [name for name, target_here in TARGETS.items() if target_here.rewards == rewarded]
        key = "hand_off.no_rewards" if rewarded or run.objective.name == "sft" else "hand_off.never"
        text = say(key, objective=run.objective.name, known=", ".join(fitting))
        problems.append(Problem("objective", text))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        problems.append(Problem("out", say("hand_off.out_there", out=out)))
    elif wrong := barred(out):
        problems.append(Problem("out", wrong))
    if problems:
        raise SpecError(problems)


def _base(run: Run) -> str:
    """Returns the model by a name that another toolkit finds: a hub id as it is, else a folder."""
    path = run.model.path
    is_id = not Path(path).exists() and ":" not in path and path != "starter"
    return path if is_id else str(folder_of(run.model).resolve())


def _recipe(run: Run, prepared: Prepared, model: str) -> Recipe:
    longest = max(len(item.tokens[0]) for item in [*prepared.train, *prepared.watch])
    rows, batch = len(prepared.train), run.train.batch or 1
    steps = run.train.steps or math.ceil(run.train.epochs * rows / batch)
    epochs = math.ceil(steps * batch / rows) if run.train.steps else math.ceil(run.train.epochs)
    tokens = sum(len(sequence) for item in prepared.train for sequence in item.tokens)
    return Recipe(run, model, longest, epochs, steps, rows, tokens, bool(prepared.watch))


def _own_notes(run: Run, found: Translated, *, rewards: bool) -> list[str]:
    """Returns what every target lacks: calibrated rewards, limits of time, other methods."""
    notes = [say("hand_off.rewards_alone")] if rewards else []
    if rewards and any(
        reward.model_dump().get("calibrate", False) is not False for reward in run.source.rewards
    ):
        notes.append(say("hand_off.uncalibrated"))
    here = _on_this_disk(run) if rewards else []
    if here:
        notes.append(say("hand_off.on_this_disk", paths=", ".join(here)))
    if run.method.name not in ("lora", "full"):
        found.missing.append(f"method={run.method.name}")
    return notes


def _on_this_disk(run: Run) -> list[str]:
    """Returns the files and folders that the rewards read: functions of one's own, and models."""
    settings = [reward.model_dump() for reward in run.source.rewards]
    named = [
        str(setting[key]) for setting in settings for key in ("path", "run") if setting.get(key)
    ]
    places = [name.rpartition(":")[0] if ".py:" in name else name for name in named]
    return [path for path in dict.fromkeys(places) if Path(path).exists()]


def _ends(prepared: Prepared) -> list[str]:
    """Returns the texts of the tokens that end an answer."""
    tokenizer = prepared.render.tokenizer
    return [str(tokenizer.decode([stop_id])) for stop_id in prepared.render.stop_ids]


def _write_rows(path: Path, rows: list[JsonObject]) -> None:
    """Writes rows as JSON lines, or as Parquet with the nested values that verl reads."""
    if path.suffix == ".jsonl":
        write_rows(path, lambda: iter(rows))
        return
    import pyarrow
    from pyarrow import parquet

    buffer = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    write_whole(path, buffer.getvalue().to_pybytes())


def _rows(items: Sequence[Item], run: Run, to: str) -> Iterator[JsonObject]:
    """Yields the prompts as the target reads them, the run's own system turn before those that have
    none, with all that a reward looks at as JSON.
    """
    system = [{"role": "system", "content": run.data.system}] if run.data.system else []
    for index, item in enumerate(items):
        columns = item.tokens[0].columns
        row, turns = columns["row"], columns["turns"]
        prompt = turns if any(turn["role"] == "system" for turn in turns) else [*system, *turns]
        row_json = json.dumps({"row": row, "turns": turns}, ensure_ascii=False, default=str)
        if to == "verl":
            answer = {"style": "rule", "ground_truth": str(row.get("answer", ""))}
            info = {"index": index, "tunesmith": row_json}
            yield {
                "data_source": "tunesmith",
                "prompt": prompt,
                "ability": "",
                "reward_model": answer,
                "extra_info": info,
            }
        elif to == "openrlhf":
            yield {"input": prompt, "label": row_json}
        else:
            yield {"messages": prompt, "tunesmith": row_json}
