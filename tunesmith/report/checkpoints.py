"""The curve over checkpoints as the page shows it: the task, and each suite, by step from the base
on.
"""

from __future__ import annotations

from tunesmith.plain import Named
from tunesmith.report.charts import Point, Series, line_chart
from tunesmith.report.curves import Curve
from tunesmith.report.language import Say
from tunesmith.report.verdict import metric_name
from tunesmith.storage.run_folder import RunFolder


def checkpoints(folder: RunFolder, say: Say) -> list[Curve]:
    """Draws a chart for the task and one for each suite; none where the steps were not proved."""
    proved: Named | None = folder.read(folder.proved_steps)
    if proved is None:
        return []
    points = proved["points"]
    task = [(point["step"], point["value"], *_around(point, point["value"])) for point in points]
    charts = [_chart(metric_name(proved["primary"], say), proved["base"], task, say)]
    for title, suite in proved["suites"].items():
        share = 100.0 if suite["unit"] == "share" else 1.0
        name = f"{title} (%)" if suite["unit"] == "share" else title
        kept = []
        for point in points:
            at_step = point["suites"][title]
            values = (at_step["tuned"], *_around(at_step, at_step["tuned"]))
            kept.append((point["step"], *(share * value for value in values)))
        charts.append(_chart(name, share * suite["base"], kept, say))
    return charts


def _around(one: Named, value: float) -> tuple[float, float]:
    """Returns the interval of the difference, laid around what tuned reaches; where there is none,
    the value alone.
    """
    if one["low"] is None or one["high"] is None:
        return value, value
    apart = value - one["difference"]
    return apart + one["low"], apart + one["high"]


def _chart(
    title: str, base: float | None, line: list[tuple[float, float, float, float]], say: Say
) -> Curve:
    start: list[Point] = [] if base is None else [(0.0, base)]
    series = [Series(title, (*start, *((step, value) for step, value, *_ in line)), "train")]
    series += [Series("", ((step, low), (step, high)), "faint") for step, _, low, high in line]
    chart = line_chart(series, label=title, x_label=say("report.step"))
    return Curve(title, chart)
