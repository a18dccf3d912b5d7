"""compare.html: several runs on one page, the curves of all in one chart each."""

from __future__ import annotations

from pathlib import Path

from tunesmith import words
from tunesmith.plain import JsonObject
from tunesmith.report.build import templates_of
from tunesmith.report.charts import Point, Series, line_chart, running_mean
from tunesmith.report.compared import Comparison, differing, paired_lines, results
from tunesmith.report.curves import Curve, held_out, points
from tunesmith.report.language import Say
from tunesmith.storage.atomic import write_whole

COLOURS = 6
"""Lines that have a colour of their own; those after them begin again, dashed."""


def write_page(comparison: Comparison, path: Path) -> Path:
    """Writes the page to ``path`` and returns it."""
    write_whole(path, page(comparison))
    return path


def page(comparison: Comparison) -> str:
    """Renders the page as HTML."""
    return templates_of().get_template("compare.html.j2").render(contents(comparison))


def contents(comparison: Comparison) -> JsonObject:
    """Returns what the page shows, and its ``say``."""
    say = Say(words.language())
    results_of = comparison.found
    return {
        "say": lambda key, **values: say(f"compare.{key}", **values),
        "lang": "zh-CN" if say.language == "zh" else "en",
        "runs": [(run["run"], _style(index)) for index, run in enumerate(results_of["runs"])],
        "settings": differing(results_of),
        "course": results(results_of),
        "paired": paired_lines(results_of),
        "curves": _curves(comparison, say),
        "footer": say("compare.footer"),
    }


def _style(place: int) -> str:
    return f"run-{place % COLOURS}" + (" dashed" if place >= COLOURS else "")


def _curves(comparison: Comparison, say: Say) -> list[Curve]:
    """Draws the losses over the whole width, then how the steps went."""
    records = [folder.steps() for folder in comparison.folders]
    charts: dict[str, list[tuple[Point, ...]]] = {
        "train_loss": [running_mean(points(record, "loss")) for record in records],
        "held_out_loss": [held_out(record) for record in records],
    }
    for name in ("learning_rate", "grad_norm", "tokens_per_second", "memory_gib"):
        charts[name] = [running_mean(points(record, name)) for record in records]
    names = [run["run"] for run in comparison.found["runs"]]
    drawn = []
    for name, lines in charts.items():
        series = [
            Series(names[index], line, _style(index)) for index, line in enumerate(lines) if line
        ]
        if series:
            title = say(f"report.{name}")
            chart = line_chart(series, label=title, x_label=say("report.step"))
            drawn.append(Curve(title, chart, wide=name.endswith("loss")))
    return drawn
