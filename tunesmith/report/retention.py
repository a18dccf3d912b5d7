"""What was kept and what was lost, as the page shows it: a row a suite, below it a row a kind, and
questions that the base answered better.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.plain import JsonObject, Named
from tunesmith.proving.retention import BOTH, amount, judge_line, margins_shown
from tunesmith.proving.task import evenly
from tunesmith.report.language import Say

MOST_LOST = 8
"""Lost questions that the page shows; suites.jsonl has all."""


def retention(proof: JsonObject, lines: Sequence[Named], say: Say) -> JsonObject | None:
    """Returns the sentence, the rows, each with its word, and some of the questions that were lost,
    which ``lines`` of suites.jsonl hold; None where no suite was asked.
    """
    weighed = proof.get("retention")
    if weighed is None:
        return None
    rows = []
    for title, suite in weighed["suites"].items():
        word = say(f"suite.word_{suite['verdict'].replace(' ', '_')}")
        rows.append(
            {"name": title, "whole": True, "word": word, **_cells(suite, suite["unit"], say)}
        )
        for kind, entry in suite["kinds"].items() if len(suite["kinds"]) > 1 else ():
            cells = _cells(entry, suite["unit"], say)
            word = say("suite.word_lost") if entry["lost"] else ""
            rows.append({"name": kind_name(kind, say), "whole": False, "word": word, **cells})
    word = weighed["verdict"].replace(" ", "_")
    return {
        "word": word,
        "beside": _beside(weighed, say),
        "says": say(f"suite.verdict_{word}"),
        "means": say("report.retention_says", margins=margins_shown(weighed["suites"], say)),
        "judged": [
            f"{title}: {judge_line(suite['judge'], say)}"
            for title, suite in weighed["suites"].items()
            if "judge" in suite
        ],
        "rows": rows,
        "lost": _lost(lines, say),
    }


def _lost(lines: Sequence[Named], say: Say) -> JsonObject | None:
    """Returns the questions whose written answer scores less than the base's: how many, and some of
    them, drawn evenly.
    """
    worse = [line for line in lines if line["predictions"] and _score(line, 1) < _score(line, 0)]
    if not worse:
        return None
    shown = [
        {
            "kind": f"{line['suite']}: {kind_name(line['kind'], say)}",
            **{name: line[name] for name in ("id", "question", "reference")},
            **{name: line["predictions"][name] for name in BOTH},
        }
        for line in evenly(worse, MOST_LOST)
    ]
    return {"of": len(worse), "shown": shown}


def _score(line: Named, which: int) -> float:
    score, weight = line["sums"][BOTH[which]]
    return score / weight


def _beside(found: Named, say: Say) -> str:
    """Writes the sentence that stands beside the verdict on the task: the suites that decided."""
    weighed_suites = found["suites"]
    decided = [
        title for title in weighed_suites if weighed_suites[title]["verdict"] == found["verdict"]
    ]
    suites = say("suite.beside_and").join(
        say(
            "suite.beside_one",
            suite=title,
            **{
                name: amount(weighed_suites[title]["unit"], weighed_suites[title][name])
                for name in BOTH
            },
        )
        for title in decided
    )
    return say(f"suite.beside_{found['verdict'].replace(' ', '_')}", suites=suites)


def kind_name(kind: str, say: Say) -> str:
    """Returns what people call a kind of questions; one of a user's own file keeps its name."""
    name, mark, language = kind.partition(" (")
    return say.known(f"suite.kind_{name}", name) + mark + language


def _cells(told: JsonObject, unit: str, say: Say) -> dict[str, str]:
    cells = {name: amount(unit, told[name]) for name in BOTH}
    difference, low, high = (
        amount(unit, told[name], sign=True).replace("-", "−")
        for name in ("difference", "low", "high")
    )
    points = say("report.points") if unit == "share" else ""
    shown = say("report.interval", difference=difference, low=low, high=high, unit=points)
    return {"items": str(told["items"]), **cells, "difference": shown}
