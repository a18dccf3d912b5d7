"""The curve of a blend: a table for the terminal, and blend.html with its picture."""

from __future__ import annotations

from pathlib import Path

from tunesmith import words
from tunesmith.display.table import table_lines
from tunesmith.plain import JsonObject
from tunesmith.proving.metric_values import interval_shown, shown
from tunesmith.proving.retention import amount, margins_shown
from tunesmith.report.build import templates_of
from tunesmith.report.charts import Point, Series, line_chart
from tunesmith.report.language import Say
from tunesmith.storage.atomic import write_whole
from tunesmith.words import metric_name, say


def blend_lines(blended: JsonObject) -> list[str]:
    """Returns the table and what was chosen; of a blend that was not measured only its alpha."""
    text = say("blend.head", run=blended["of"], alpha=f"{blended['alpha']:g}")
    if not blended["points"]:
        return [text]
    return [text, *reasons(blended), "", *table_lines(rows(blended), numbers=2), "", *rule(blended)]


def reasons(blended: JsonObject) -> list[str]:
    """Says what the choice means where it is one of the ends."""
    ends = {0.0: "blend.chose_base", 1.0: "blend.chose_tuned"}
    return [say(ends[blended["alpha"]])] if blended["alpha"] in ends else []


def rule(blended: JsonObject) -> list[str]:
    """Says how the point was chosen, and on what."""
    suites = blended["points"][0]["retention"]["suites"]
    questions = say("suite.beside_and").join(
        f"{title} {suite['items']}" for title, suite in suites.items()
    )
    fields = {"questions": questions, "items": blended["items"]}
    fields["margins"] = margins_shown(suites)
    return [say("blend.rule", metric=metric_name(blended["primary"]), **fields)]


def rows(blended: JsonObject) -> list[list[str]]:
    """Returns the table with its head: alpha, the score, its difference to the base, and the same
    of each suite.
    """
    suites = blended["points"][0]["retention"]["suites"]
    primary = blended["primary"]
    head = ["α", metric_name(primary), say("blend.minus_base")]
    for title in suites:
        head += [title, say("blend.minus_base")]
    table = [head]
    for point in blended["points"]:
        mark = " ←" if point["alpha"] == blended["alpha"] else ""
        task = point["task"]
        score = shown(primary, task["score"])
        gain = interval_shown(primary, task)
        row = [f"{point['alpha']:g}{mark}", score, gain]
        for suite in point["retention"]["suites"].values():
            row += [amount(suite["unit"], suite["tuned"]), _suite_interval(suite)]
        table.append(row)
    return table


def write_page(blended: JsonObject, path: Path) -> None:
    """Writes the page: task against retention in one picture, and the table."""
    speak = Say(words.language())
    head, *table = rows(blended)
    contents: JsonObject = {
        "lang": "zh-CN" if speak.language == "zh" else "en",
        "title": speak("blend.title"),
        "told": [speak("blend.head", run=blended["of"], alpha=f"{blended['alpha']:g}")],
        "reasons": reasons(blended),
        "rule": rule(blended),
        "head": head,
        "rows": table,
        "charts": _charts(blended, speak),
        "footer": speak("blend.footer"),
    }
    write_whole(path, templates_of().get_template("blend.html.j2").render(contents))


def _charts(found: JsonObject, speak: Say) -> list[JsonObject]:
    """Draws the score against each suite, a point an alpha, the chosen one ringed."""
    metric = metric_name(found["primary"])
    charts = []
    for title, first in found["points"][0]["retention"]["suites"].items():
        share = 100 if first["unit"] == "share" else 1
        line: list[Point] = []
        mark: Point | None = None
        for point in found["points"]:
            at = (share * point["retention"]["suites"][title]["tuned"], point["task"]["score"])
            line.append(at)
            mark = at if point["alpha"] == found["alpha"] else mark
        label = speak("blend.chart", metric=metric, suite=title)
        across = f"{title} (%)" if first["unit"] == "share" else title
        chart = line_chart([Series(title, tuple(line))], label=label, x_label=across, mark=mark)
        charts.append({"title": label, "chart": chart})
    return charts


def _suite_interval(one: JsonObject) -> str:
    low, high = (amount(one["unit"], one[name], sign=True) for name in ("low", "high"))
    return f"{amount(one['unit'], one['difference'], sign=True)} [{low}, {high}]"
