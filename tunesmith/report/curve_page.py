"""A learning curve as a person reads it: lines on the screen, and a page with the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.display.table import table_lines
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.metric_values import shown
from tunesmith.proving.record import called
from tunesmith.report.build import templates_of
from tunesmith.report.charts import Series, line_chart
from tunesmith.storage.atomic import write_whole
from tunesmith.words import language, metric_name, say

STYLES = ("run-1", "run-2", "run-3", "run-4", "run-5")


def curve_lines(curve: JsonObject) -> list[str]:
    """Returns the table of sizes, the law, and what the next gain takes."""
    by = metric_name(curve["metric"])
    head = say("curve.head", by=by, items=curve["items"], seeds=curve["seeds"])
    rows = _table(curve)
    return [head, "", *table_lines(rows, numbers=len(rows[0])), "", *_told(curve)]


def _table(found: JsonObject) -> list[list[str]]:
    """Returns a heading and a row for each size."""
    name = found["metric"]
    points = found["points"]
    rivals = list(points[-1]["rivals"])
    heads = [
        say("curve.rows"),
        called("tuned"),
        say("curve.interval"),
        *(_called(found, rival) for rival in rivals),
    ]
    rows = [
        [
            str(point["rows"]),
            shown(name, point["value"]),
            f"{shown(name, point['low'])} – {shown(name, point['high'])}",
            *(shown(name, point["rivals"].get(rival)) for rival in rivals),
        ]
        for point in points
    ]
    return [heads, *rows]


def _called(found: JsonObject, rival: str) -> str:
    return called(rival, shots=found["shots"])


def _told(found: JsonObject) -> list[str]:
    """Returns the law in words, then what the gain takes, then what the intervals hold."""
    name = found["metric"]
    law = found["law"]
    gain = found["gain"]
    limits = f"{shown(name, law['limits']['low'])} – {shown(name, law['limits']['high'])}"
    lines = [say("curve.law", limit=shown(name, law["limit"]), limits=limits)]
    values = {
        "gain": shown(name, gain["gain"], sign=found["higher"]),
        "metric": metric_name(name),
        "rows": gain["rows"],
        "farthest": gain["farthest"],
        "low": gain["low"],
        "more": gain["more"],
        "high": gain["high"],
        "never": f"{100 * gain['never']:.0f}",
    }
    if gain["more"] is None:
        lines.append(say("curve.not_reached", **values))
    elif gain["high"] is None:
        lines.append(say("curve.more_open", **values))
    else:
        lines.append(say("curve.more", **values))
    if found["seeds"] == 1:
        lines.append(say("curve.one_seed"))
    return lines


def _along(points: Sequence[Named], name: str) -> tuple[tuple[float, float], ...]:
    """Returns the value called ``name`` over the number of rows."""
    return tuple((point["rows"], point[name]) for point in points)


def write_page(curve: JsonObject, path: Path) -> Path:
    """Writes the page to ``path`` and returns it."""
    name = curve["metric"]
    points = curve["points"]
    rivals = [rival for rival in points[-1]["rivals"] if rival != "most_frequent"]
    title = metric_name(name)
    line = curve["law"]["line"]
    series = [
        Series(say("curve.band"), _along(line, "low"), "faint"),
        Series(say("curve.band"), _along(line, "high"), "faint"),
        Series(say("curve.law_line"), _along(line, "value"), "dashed"),
        Series(called("tuned"), _along(points, "value"), "train"),
    ]
    for rival, style in zip(rivals, STYLES, strict=False):
        asked = [point for point in points if rival in point["rivals"]]
        line_of_rival = tuple((point["rows"], point["rivals"][rival]) for point in asked)
        series.append(Series(_called(curve, rival), line_of_rival, style))
    whiskers = [
        Series("", ((point["rows"], point["low"]), (point["rows"], point["high"])), "train")
        for point in points
    ]
    chart = line_chart([*series, *whiskers], label=title, x_label=say("curve.rows"))
    contents: JsonObject = {
        "lang": "zh-CN" if language() == "zh" else "en",
        "title": say("curve.page_title"),
        "head": curve_lines(curve)[0],
        "caption": title,
        "chart": chart,
        "legend": [(drawn.style, drawn.name) for drawn in series[1:]],
        "table": _table(curve),
        "told": _told(curve),
        "how": say("curve.how"),
        "footer": say("compare.footer"),
    }
    write_whole(path, templates_of().get_template("curve.html.j2").render(contents))
    return path
