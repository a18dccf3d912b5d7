"""A proof outside the page: as Markdown for a pull request, and as CSV, a comparison a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.plain import JsonObject, Named
from tunesmith.report.language import Say, speaker
from tunesmith.report.retention import retention
from tunesmith.report.verdict import (
    contenders,
    intervals,
    metric_name,
    metrics,
    name_of,
    number,
    standing,
    verdict,
)
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say
from tunesmith.words import written as share_in

COLUMNS: list[str] = [
    *("of", "against", "metric", "items", "tuned", "other"),
    *("difference", "low", "high", "interval", "verdict"),
]
"""What a comparison is of (the task, a suite or one of its kinds), its numbers, how its interval
was made, and its word.
"""


def written(folder: RunFolder, path: Path, *, lang: str | None = None) -> str:
    """Returns the proof of a run in the form that the end of ``path`` names, .md or .csv; raises
    SpecError for another, DataError for a run without a proof.
    """
    speak = speaker(folder.resolved().run, lang)
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise SpecError(Problem(str(path), say("report.forms", forms=", ".join(FORMS))))
    proof = folder.read(folder.proof)
    if proof is None:
        text = say("report.no_proof_to_write", run=folder.path)
        raise DataError(Problem(str(folder.proof), text))
    return form(folder, proof, speak)


def _markdown(folder: RunFolder, proof: JsonObject, speak: Say) -> str:
    said, columns = verdict(proof, speak), metrics(proof)
    heads = [speak("report.contender"), *(metric_name(name, speak) for name in columns)]
    apart = {one.rival: one.text for one in intervals(proof, proof["primary"], speak)}
    rows = []
    for who in contenders(proof):
        values = [number(name, proof["contenders"][who].get(name)) for name in columns]
        name = name_of(who, proof, speak)
        rows.append([name, *values, apart.get(name, "")])
    kept = retention(proof, [], speak)
    lines = [f"**{speak('report.proof')}: {folder.path.resolve().name}**", ""]
    lines += [f"**{speak(f'report.word_{said.word}')}** {said.sentence} {said.detail}"]
    lines += [*standing(proof, speak), *([kept["beside"]] if kept else []), ""]
    lines += _table([*heads, speak("report.paired", metric=heads[1])], rows, speak)
    if kept is not None:
        names = ("items", "base", "tuned", "difference")
        heads = [speak(f"report.retention_{name}") for name in ("suite", *names)]
        rows = [[one["name"], *(one[name] for name in names), one["word"]] for one in kept["rows"]]
        lines += ["", kept["says"], "", *_table([*heads, ""], rows, speak)]
    return "\n".join(lines) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], speak: Say) -> list[str]:
    marks = ["---", *("---:" for _ in heads[1:])]
    cells = [[_cell(text, speak) for text in row] for row in (heads, marks, *rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _cell(text: str, speak: Say) -> str:
    shown = str(share_in(text, speak.language))
    return " ".join(shown.replace("|", "\\|").split())


def _csv(folder: RunFolder, proof: JsonObject, speak: Say) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(_comparisons(proof))
    return text.getvalue()


def _comparisons(proof: JsonObject) -> Iterator[JsonObject]:
    """Yields every comparison of the proof with its numbers as proof.json holds them."""
    values = proof["contenders"]
    for other, by_metric in proof["differences"].items():
        for name, told in by_metric.items():
            scores = (values["tuned"].get(name), values[other].get(name))
            at = ("task", other, name, proof["items"])
            yield _line(at, scores, told, told["verdict"])
    for title, suite in ((proof.get("retention") or {}).get("suites") or {}).items():
        kinds = [(f"{title}: {kind}", one) for kind, one in suite["kinds"].items()]
        for name, told in [(title, suite), *(kinds if len(kinds) > 1 else [])]:
            word = told.get("verdict", "lost" if told.get("lost") else "")
            at = (name, "base", suite["unit"], told["items"])
            yield _line(at, (told["tuned"], told["base"]), told, word)


def _line(at: Sequence[object], scores: Sequence[object], told: Named, word: str) -> JsonObject:
    apart = (told[name] for name in ("difference", "low", "high"))
    how = told.get("interval", "")  # proofs from before 2026-11-29 do not say it
    return dict(zip(COLUMNS, (*at, *scores, *apart, how, word), strict=True))


FORMS: dict[str, Callable[[RunFolder, JsonObject, Say], str]] = {".md": _markdown, ".csv": _csv}
"""By the end of the file's name."""
