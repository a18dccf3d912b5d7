"""The proof as the page shows it, from proof.json: the verdict in one sentence, the table, the
intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.plain import Named
from tunesmith.proving.judge import TUNED, metric
from tunesmith.proving.metric_values import interval_kind, shown
from tunesmith.proving.proof import rival_of, stands_key, unbeaten, would_show
from tunesmith.proving.record import called
from tunesmith.report.language import Say
from tunesmith.words import Share

ORDER = (TUNED, "base", "prompted", "few_shot")


@dataclass(frozen=True)
class Interval:
    """A paired difference, tuned minus ``rival``; the last four in percent of the chart's width."""

    rival: str
    text: str
    p: str
    verdict: str
    """improved, worse or open."""
    left: float
    width: float
    at: float
    zero: float


@dataclass(frozen=True)
class Verdict:
    """The sentence at the top, and its word for the colour."""

    word: str
    sentence: str
    detail: str


def number(name: str, value: float | None, *, sign: bool = False) -> str:
    """Formats a value of the metric ``name`` with the typographic minus sign."""
    text = shown(name, value, sign=sign)
    return text if isinstance(text, Share) else text.replace("-", "−")  # no share is below 0


def answer_score(name: str, value: float | None) -> str:
    """Formats the score of a single answer: ✓ or ✗ where a metric tells right from wrong."""
    if value is None or not metric(name).right_or_wrong or value not in (0, 1):
        return number(name, value)
    return "✓" if value else "✗"


def name_of(contender: str, proof: Named, say: Say) -> str:
    """Returns the name of a contender for a person."""
    return called(contender, shots=len(proof["shots"]), speak=say)


def metric_name(name: str, say: Say) -> str:
    """Returns the usual name of a metric; one from outside keeps its own name."""
    return say.known(f"metric.{name}", name)


def contenders(proof: Named) -> list[str]:
    """Returns the contenders' names: tuned, base, base with examples, then the cheap ones as they
    come.
    """
    names = list(proof["contenders"])
    return [name for name in ORDER if name in names] + [name for name in names if name not in ORDER]


def metrics(proof: Named) -> list[str]:
    """Returns the metrics of the table, the primary one first."""
    names = dict.fromkeys(name for scores in proof["contenders"].values() for name in scores)
    return sorted(names, key=lambda name: name != proof["primary"])


def verdict(proof: Named, say: Say) -> Verdict:
    """Writes one sentence with the numbers: what tuned reaches, against the base, with the
    interval.
    """
    name = proof["primary"]
    rival = rival_of(proof)
    tuned, base = (number(name, proof["contenders"][who].get(name)) for who in (TUNED, rival))
    compared = proof["differences"][rival][name]
    word = _word(proof["verdict"])
    sentence = say(
        f"report.verdict_{word}",
        metric=metric_name(name, say),
        tuned=tuned,
        base=base,
        items=proof["items"],
        rival=say(f"report.rival_{rival}"),
    )
    difference, low, high = (
        number(name, compared[key], sign=True) for key in ("difference", "low", "high")
    )
    fields = {
        "unit": say("report.points") if metric(name).right_or_wrong else "",
        "by": interval_kind(compared, say),
    }
    detail = [say("report.verdict_interval", difference=difference, low=low, high=high, **fields)]
    if word == "open":
        detail += would_show(proof, number(name, compared["smallest_effect"]), say)
    return Verdict(word, sentence, " ".join(detail))


def standing(proof: Named, say: Say) -> list[str]:
    """Writes a sentence for each cheaper rival that tuned was not shown to beat."""
    return [say(stands_key(rival), rival=name_of(rival, proof, say)) for rival in unbeaten(proof)]


def intervals(proof: Named, name: str, say: Say) -> list[Interval]:
    """Returns the paired differences of the metric ``name`` to each rival, on one scale that
    includes zero.
    """
    order = [rival for rival in contenders(proof) if name in proof["differences"].get(rival, {})]
    rows = [(rival, proof["differences"][rival][name]) for rival in order]
    ends = [
        0.0,
        *(
            row[key]
            for _, row in rows
            for key in ("difference", "low", "high")
            if row[key] is not None
        ),
    ]
    reach = (max(ends) - min(ends)) * 0.05 or 1.0
    least, most = min(ends) - reach, max(ends) + reach

    def at(value: float | None, otherwise: float) -> float:
        # An end that is not known reaches to the edge: with so few items the difference could be
        # anything.
        return otherwise if value is None else round(100 * (value - least) / (most - least), 2)

    listed = []
    for rival, row in rows:
        left = at(row["low"], 0.0)
        right = at(row["high"], 100.0)
        difference, low, high = (
            number(name, row[key], sign=True) for key in ("difference", "low", "high")
        )
        unit = say("report.points") if metric(name).right_or_wrong else ""
        text = say("report.interval", difference=difference, low=low, high=high, unit=unit)
        drawn_at = (left, round(right - left, 2), at(row["difference"], 50.0), at(0.0, 0.0))
        listed.append(
            Interval(
                name_of(rival, proof, say), text, _p(row.get("p")), _word(row["verdict"]), *drawn_at
            )
        )
    return listed


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _word(verdict: str) -> str:
    return "open" if verdict == "not shown" else verdict
