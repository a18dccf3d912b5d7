"""A table of the runs in a folder: what each was, how well it did, and whether it is finished."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from tunesmith.errors import FAULTS, Problem, SpecError, TunesmithError
from tunesmith.plain import JsonObject, Named, Row
from tunesmith.proving.proof import rival_of, units_of
from tunesmith.proving.statistics import FEWEST
from tunesmith.report.curves import held_out
from tunesmith.report.language import Say
from tunesmith.report.verdict import metric_name, number
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.keeping.checkpoint import NAME, Checkpoints
from tunesmith.words import language, say

DEEPEST = 3
"""Folders are searched this many levels down."""
COLUMNS = (
    "name",
    "objective",
    "method",
    "model",
    "rows",
    "steps",
    "last",
    "best",
    "verdict",
    "date",
    "state",
)


def runs(folder_of_runs: Path) -> list[JsonObject]:
    """Returns one dict a run, oldest first: plain values, for a table or JSON. Raises SpecError
    when there is no such folder.
    """
    if not folder_of_runs.is_dir():
        raise SpecError(Problem(str(folder_of_runs), say("runs.no_folder")))
    rows = [
        run_row(RunFolder(path), name_of_run(path, folder_of_runs))
        for path in run_folders(folder_of_runs)
    ]
    return sorted(rows, key=lambda row: (row["date"], row["name"]))


def run_folders(place: Path, depth: int = DEEPEST) -> list[Path]:
    """Finds the folders with a run.yaml; does not search a run's own folders for more. Settings
    that lie beside runs, under the same name, are no run.
    """
    named = (place / "run.yaml").is_file()
    if named and RunFolder(place).begun:
        return [place]
    inside: list[Path] = []
    if depth > 0:
        inner = sorted(
            path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")
        )
        inside = [run for path in inner for run in run_folders(path, depth - 1)]
    return inside or [place][:named]


def name_of_run(path: Path, above: Path) -> str:
    """Returns the name of a run in the table of the folder ``above``."""
    return str(path.relative_to(above)) if path != above else path.resolve().name


def run_row(folder: RunFolder, name: str) -> JsonObject:
    """Returns what the table says of one run, as plain values."""
    changed = max(
        path.stat().st_mtime
        for path in (folder.run_yaml, folder.record, folder.proof)
        if path.is_file()
    )
    row: JsonObject = {
        "name": name,
        "date": datetime.datetime.fromtimestamp(changed).isoformat(timespec="seconds"),
    }
    try:
        return row | _told(folder)
    except TunesmithError as error:
        return row | {"state": "unreadable", "problem": str(error)}
    except FAULTS as error:  # a file of it is damaged; the other runs are told all the same
        text = say("runs.damaged", folder=folder.path, error=f"{type(error).__name__}: {error}")
        return row | {"state": "unreadable", "problem": text}


def _told(folder: RunFolder) -> JsonObject:
    """Returns what the table says of a run whose files can be read."""
    run = folder.resolved().run
    record = folder.steps()
    ledger = folder.read(folder.ledger) or {}
    proof = folder.read(folder.proof)
    watch = [
        point for point in held_out(record) if point[0] > 0
    ]  # the base is in no folder of the run
    best = min(watch, key=lambda point: point[1]) if watch else None
    row = {
        "objective": run.objective.name,
        "method": run.method.name,
        "model": run.model.path,
        "rows": ledger.get("trained"),
        "steps": max((int(line["step"]) for line in record), default=0),
        "held_out": None if best is None else {"last": _point(watch[-1]), "best": _point(best)},
        "model_step": model_step(folder),
        "proof": None if proof is None else _proof(proof),
    }
    return row | state_of(folder)


def _point(point: tuple[float, float]) -> JsonObject:
    return {"loss": point[1], "step": int(point[0])}


def model_step(folder: RunFolder) -> int | None:
    """Returns the step whose weights ``model`` holds."""
    return (folder.read(folder.model / "tunesmith.json") or {}).get("step")


def _proof(proof: Named) -> JsonObject:
    rival = rival_of(proof)
    paired = proof["differences"][rival][proof["primary"]]
    numbers = {key: paired[key] for key in ("difference", "low", "high")}
    return {
        "verdict": proof["verdict"],
        "against": rival,
        "metric": proof["primary"],
        "items": proof["items"],
        "units": units_of(proof),
        **numbers,
    }


def state_of(folder: RunFolder) -> JsonObject:
    """Returns the state: finished, running, stopped (with the step it can be resumed at), or not
    started.
    """
    if (folder.model / "tunesmith.json").is_file():
        return {"state": "finished"}
    if folder.busy:
        return {"state": "running", "resumable_at": _resumable(folder)}
    if not folder.record.is_file():
        return {"state": "not started", "resumable_at": None}
    return {"state": "stopped", "resumable_at": _resumable(folder)}


def _resumable(folder: RunFolder) -> int | None:
    """Returns the step of the newest checkpoint."""
    committed = Checkpoints(folder.checkpoints, keep=1).committed()
    match = NAME.match(committed[0].name) if committed else None
    return int(match[1]) if match else None


def lines(rows: Sequence[Row]) -> list[str]:
    """Returns the table as text, columns aligned, Chinese characters counted as two."""
    from rich.cells import cell_len

    if not rows:
        return [say("runs.none")]
    table = [
        [say(f"runs.{name}") for name in COLUMNS],
        *([cell(row, name) for name in COLUMNS] for row in rows),
    ]
    widths = [max(cell_len(line[i]) for line in table) for i in range(len(COLUMNS))]
    padded = [
        [cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)]
        for line in table
    ]
    star = (
        ["", say("runs.star")] if any(cell.endswith("*") for line in table for cell in line) else []
    )
    return [*("  ".join(line).rstrip() for line in padded), *star]


def cell(row: Row, name: str) -> str:
    """Formats what the table says of a run in one column."""
    if name == "verdict":
        return _verdict(row.get("proof"))
    if name == "state":
        return state_words(row)
    if name in ("last", "best"):
        return _loss(row, name)
    if name == "date":
        return row["date"][:16].replace("T", " ")
    value = row.get(name)
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return Path(value).name if name == "model" else str(value)


def _loss(row: Row, name: str) -> str:
    """Formats the held-out loss of the last evaluation or the best, its step, and a star where
    ``model`` holds it.
    """
    if not row.get("held_out"):
        return "–"
    point = row["held_out"][name]
    return f"{point['loss']:.4f} @{point['step']:,}" + (
        "*" if point["step"] == row.get("model_step") else ""
    )


def _verdict(proof: Named | None) -> str:
    if proof is None:
        return "–"
    speak = Say(language())
    metric = proof["metric"]
    difference, low, high = (
        number(metric, proof[key], sign=True) for key in ("difference", "low", "high")
    )
    word = say(f"prove.word_{proof['verdict'].replace(' ', '_')}")
    if units_of(proof) < FEWEST:
        return say("runs.verdict_few", word=word, items=proof["items"])
    text = say(
        "runs.verdict_text",
        word=word,
        metric=metric_name(metric, speak),
        difference=difference,
        low=low,
        high=high,
    )
    if proof["against"] == "base":
        return text
    return say("runs.verdict_rival", text=text, rival=say(f"report.rival_{proof['against']}"))


def state_words(row: Row) -> str:
    """Says the state, with the step at which a stopped run is resumed."""
    text = say(f"runs.state_{row['state'].replace(' ', '_')}")
    step = row.get("resumable_at")
    return (
        text
        if step is None or row["state"] == "running"
        else say("runs.resumable", state=text, step=step)
    )
