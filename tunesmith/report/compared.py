"""Several runs side by side: the settings that differ, how each went, and their proofs paired on
the rows that they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import ge
from pathlib import Path

from tunesmith.display.table import table_lines
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.efficiency import duration, training_cost
from tunesmith.proving.judge import FIELDS, TUNED, given_by, judge, metric, rows_of
from tunesmith.proving.metric_values import interval_kind, interval_shown, shown
from tunesmith.proving.retention import amount
from tunesmith.proving.statistics import FEWEST
from tunesmith.report.curves import held_out, points
from tunesmith.report.samples import read_items
from tunesmith.report.settings import settings
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import metric_name, say

PLACES = frozenset({"out", "lang"})
"""Settings that do not change what is learned."""


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found. ``found`` is what ``--json`` prints."""

    folders: Sequence[RunFolder]
    found: JsonObject

    def to_json(self) -> JsonObject:
        """Returns the runs, the settings that differ, and the paired differences."""
        return self.found

    def lines(self) -> list[str]:
        """Returns a column a run: its settings that differ, its course and its scores; then the
        paired differences.
        """
        runs = [run["run"] for run in self.found["runs"]]
        rows = [["", *runs], *differing(self.found), *results(self.found)]
        return [*table_lines(rows, numbers=len(runs)), "", *paired_lines(self.found)]


def compare_runs(
    folders: Sequence[RunFolder], data: str | None = None, *, names: Sequence[str] = ()
) -> Comparison:
    """Compares the first run with each of the others, by their proofs on the file ``data`` where it
    is given; raises SpecError for fewer than two, or for one that is given twice. The runs are
    called by ``names``, or by their folders.
    """
    names = names or [str(folder.path) for folder in folders]
    if len(folders) < 2 or len({folder.path.resolve() for folder in folders}) < len(folders):
        raise SpecError(Problem("runs", say("compare.two_runs", given=", ".join(names))))
    written = [written_settings(folder) for folder in folders]
    every = dict.fromkeys(path for some in written for path in some)
    differ = {
        path: [some.get(path) for some in written]
        for path in every
        if len({some.get(path) for some in written}) > 1
    }
    places = [proof_place(folder, data) for folder in folders]
    runs = [
        _course(name, folder) | {"suites": _suites(proof_folder)}
        for name, folder, proof_folder in zip(names, folders, places, strict=True)
    ]
    proof = _paired(names, places, data) | {"data": data}
    comparison: JsonObject = {"runs": runs, "settings": differ, "proof": proof}
    return Comparison(folders, comparison | {"unbeaten": _unbeaten(runs, proof)})


def written_settings(folder: RunFolder) -> dict[str, str]:
    """Returns the settings of a run that change what is learned, by path."""
    every = settings(folder.settings_text)
    return {setting.path: setting.value for setting in every if setting.path not in PLACES}


def proof_place(folder: RunFolder, data: str | None) -> RunFolder:
    """Returns the folder that holds a run's proof: its own, or that of the file ``data``."""
    return folder if data is None else RunFolder(folder.path / "proofs" / Path(data).stem)


def _course(name: str, folder: RunFolder) -> JsonObject:
    record = folder.steps()
    watched = [point for point in held_out(record) if point[0] > 0]
    trained = points(record, "loss")
    best = min(watched, key=lambda point: point[1]) if watched else None
    proof = folder.read(folder.proof)
    return {
        "run": name,
        "rows": (folder.read(folder.ledger) or {}).get("trained"),
        "steps": max((int(line["step"]) for line in record), default=0),
        "cost": training_cost(folder),
        "train_loss": trained[-1][1] if trained else None,
        "held_out_loss": watched[-1][1] if watched else None,
        "best": None if best is None else {"step": int(best[0]), "loss": best[1]},
        "proved": None if proof is None else {"items": proof["items"], "primary": proof["primary"]},
    }


def _suites(place: RunFolder) -> JsonObject:
    """Returns what the proof says of each suite, without its kinds."""
    suites = ((place.read(place.proof) or {}).get("retention") or {}).get("suites", {})
    names = ("unit", "items", "base", "tuned", "difference", "low", "high", "verdict")
    return {title: {name: suite[name] for name in names} for title, suite in suites.items()}


def _unbeaten(runs: Sequence[Named], proof: Named) -> list[str]:
    """Returns the runs that no other equals or beats in the deciding metric and in every suite of
    which all were asked as many questions, and beats in one of them; none where there is no such
    suite.
    """
    values = proof.get("values", {})
    asked = [run for run in runs if run["run"] in values]
    titles = dict.fromkeys(title for run in asked for title in run["suites"])
    counts = {
        title: {(run["suites"].get(title) or {}).get("items") for run in asked} for title in titles
    }
    suites = [title for title, count in counts.items() if len(count) == 1 and None not in count]
    if not suites:
        return []
    sign = 1 if metric(proof["metric"]).higher else -1
    at = {
        run["run"]: (
            sign * values[run["run"]],
            *(run["suites"][title]["tuned"] for title in suites),
        )
        for run in asked
    }

    def beaten(mine: tuple[float, ...]) -> bool:
        """Tells whether another run is as good everywhere, and better somewhere."""
        others = [theirs for theirs in at.values() if theirs != mine]
        return any(all(map(ge, theirs, mine)) for theirs in others)

    return [name for name, mine in at.items() if not beaten(mine)]


def _paired(names: Sequence[str], folders: Sequence[RunFolder], data: str | None) -> JsonObject:
    """Compares the proofs in ``folders``: the first run's deciding metric on the rows that all runs
    with a proof share.

    ``left_out`` says by run why it takes no part.
    """
    lines = {name: read_items(f.items) for name, f in zip(names, folders, strict=True)}
    proofs = {name: f.read(f.proof) for name, f in zip(names, folders, strict=True)}
    left_out = {
        name: "no proof"
        for name, proof in proofs.items()
        if not lines[name] or proof is None or _is_of_another(proof, data)
    }
    first = names[0]
    if first in left_out:
        return {"left_out": left_out, "items": 0}
    primary = proofs[first]["primary"]
    seed = proofs[first]["seed"]
    for name in names:
        if name not in left_out and TUNED not in given_by(lines[name][0], primary):
            left_out[name] = "no metric"
    proved = [name for name in names if name not in left_out]
    shared = _shared({name: lines[name] for name in proved})
    facts: JsonObject = {"metric": primary, "left_out": left_out, "items": 0, "against": first}
    if len(proved) < 2 or not shared:
        return facts
    together = [_together(rows, primary, first) for rows in shared]
    judged = judge(together, [primary], seed=seed, decides=("", primary), judged=first)
    values = {name: judged["contenders"][name] for name in proved}
    return facts | {
        "items": int(rows_of(together).max()) + 1,
        "values": {name: of_run[primary] for name, of_run in values.items()},
        "differences": {name: of_pair[primary] for name, of_pair in judged["differences"].items()},
    }


def _is_of_another(proof: Named, data: str | None) -> bool:
    """Tells whether a proof lies where that on ``data`` would, and is of another file, whose name
    is the same.
    """
    files = [Path(file) for file in (proof.get("file"), data) if file is not None]
    return len(files) == 2 and all(map(Path.exists, files)) and not files[0].samefile(files[1])


def _shared(lines: dict[str, list[JsonObject]]) -> list[dict[str, JsonObject]]:
    """Returns the lines of each row that was asked of all, by run: same id, question and right
    answer.
    """
    by_run = {name: {_row(line): line for line in some} for name, some in lines.items()}
    first, *others = by_run.values()
    common = [row for row in first if all(row in other for other in others)]
    return [{name: rows[row] for name, rows in by_run.items()} for row in common]


def _row(line: Named) -> tuple[str, str, str]:
    return line["id"], line["prompt"], repr(line["reference"])


def _together(rows: dict[str, JsonObject], primary: str, first: str) -> JsonObject:
    """Makes one line of a row, in which each run is a contender."""
    mine = rows[first]
    given = {name: given_by(row, primary)[TUNED] for name, row in rows.items()}
    reads = metric(primary).reads
    by_reading = {"grades": {primary: given}} if reads == "grade" else {FIELDS[reads]: given}
    kept = {key: mine[key] for key in ("id", "prompt", "reference", "group") if key in mine}
    return kept | by_reading


def differing(comparison: Named) -> list[list[str]]:
    """Returns a row for each setting that differs."""
    return [
        [path, *("–" if value is None else value for value in values)]
        for path, values in comparison["settings"].items()
    ]


def course(comparison: Named) -> list[list[str]]:
    """Returns rows of how each run went; those that no run knows are left out."""
    rows = []
    for name in ("rows", "steps", "train_loss", "held_out_loss"):
        values = [run[name] for run in comparison["runs"]]
        if any(value is not None for value in values):
            rows.append([say(f"compare.{name}"), *map(_number, values)])
    costs = [run["cost"] for run in comparison["runs"]]
    if any(costs):
        times = ["–" if cost is None else duration(cost["seconds"], say) for cost in costs]
        rows.append([say("compare.time"), *times])
    memory = [cost and cost["memory_gib"] for cost in costs]
    if any(memory):
        rows.append([say("compare.memory"), *(f"{g:.1f} GiB" if g else "–" for g in memory)])
    best = [run["best"] for run in comparison["runs"]]
    if any(best):
        lowest = [
            "–" if best_of_run is None else f"{best_of_run['loss']:.4f} @{best_of_run['step']:,}"
            for best_of_run in best
        ]
        rows.append([say("compare.best"), *lowest])
    return rows


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def results(comparison: Named) -> list[list[str]]:
    """Returns the rows of how each run went, what it is worth, and what it kept."""
    return [*course(comparison), *scores(comparison), *kept(comparison)]


def kept(comparison: Named) -> list[list[str]]:
    """Returns a row for each suite that a run was asked: its score after the training, and the
    difference to before.
    """
    asked = [run["suites"] for run in comparison["runs"]]
    titles = dict.fromkeys(title for suites in asked for title in suites)
    return [
        [say("compare.suite", suite=title), *(_kept(suites.get(title)) for suites in asked)]
        for title in titles
    ]


def _kept(suite: Named | None) -> str:
    if suite is None:
        return "–"
    names = ("difference", "low", "high")
    change, low, high = (amount(suite["unit"], suite[name], sign=True) for name in names)
    word = say(f"suite.word_{suite['verdict'].replace(' ', '_')}")
    return f"{amount(suite['unit'], suite['tuned'])}, {change} [{low}, {high}]: {word}"


def scores(comparison: Named) -> list[list[str]]:
    """Returns the row of the deciding metric on the shared rows; nothing where none is shared."""
    proof = comparison["proof"]
    if not proof.get("values"):
        return []
    name = proof["metric"]
    values = [shown(name, proof["values"].get(run["run"])) for run in comparison["runs"]]
    return [[say("compare.shared", metric=metric_name(name), items=proof["items"]), *values]]


def paired_lines(comparison: Named) -> list[str]:
    """Says of each other run whether the first is better, or why they cannot be paired."""
    proof = comparison["proof"]
    lines = []
    for other, compared in proof.get("differences", {}).items():
        fields = {"run": proof["against"], "other": other, "metric": metric_name(proof["metric"])}
        fields["interval"] = interval_shown(proof["metric"], compared) + interval_kind(
            compared, say
        )
        word = compared["verdict"].replace(" ", "_")
        lines.append(say(f"compare.{word}", **fields))
    if proof.get("differences") and proof["items"] < FEWEST:
        lines.append(say("prove.too_few", items=proof["items"], fewest=FEWEST))
    if len(proof.get("differences", {})) > 1:
        lines.append(say("compare.holm", count=len(proof["differences"])))
    if comparison["unbeaten"]:
        lines.append(say("compare.unbeaten", runs=", ".join(comparison["unbeaten"])))
    for name, why in proof["left_out"].items():
        data = f" --data {proof['data']}" if proof["data"] else ""
        lines.append(say(f"compare.{why.replace(' ', '_')}", run=name, data=data))
    if not proof.get("differences") and not proof["left_out"]:
        lines.append(say("compare.nothing_shared"))
    if {"objective.name", "model.path"} & {*comparison["settings"]}:
        lines.append(say("compare.other_scale"))
    return lines
