"""A search on one page, search.html: score against time with the front, the best of each method,
what each setting mattered, and every trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith import words
from tunesmith.plain import JsonObject
from tunesmith.report.build import templates_of
from tunesmith.report.language import Say
from tunesmith.report.scatter import Dot, scatter
from tunesmith.settings.family import method_has
from tunesmith.storage.atomic import write_whole
from tunesmith.words import Share, metric_name, say


def tried(trials: Sequence[JsonObject]) -> int:
    """Counts the settings that were tried; those that climbed were trained more than once."""
    return len({typed(trial["values"]) for trial in trials})


def typed(values: Mapping[str, Any]) -> str:
    """Writes settings as they are typed, without those that a drawn method does not have; the run's
    own have a word.
    """
    method = values.get("method", values.get("method.name"))
    pairs = [
        f"{k}={value}" for k, value in values.items() if method is None or method_has(method, k)
    ]
    return " ".join(pairs) or say("search.own")


def chosen_line(found: JsonObject) -> str:
    """Says which settings were chosen, or that there was nothing to choose from."""
    if not found["trials"]:
        return say("search.alone")
    return say("search.chosen", values=typed(found["best"]))


def mattered_lines(found: JsonObject) -> list[str]:
    """Says how much each setting mattered, or that too few trials tell it."""
    if not found["importance"]:
        return [say("search.importance_none")]
    count = found["importance"][0]["trials"]
    lines = [say("search.importance_head", count=count)]
    for setting in found["importance"]:
        key = "search.mattered" if setting["share"] > setting["chance"] else "search.as_chance"
        lines.append("  " + say(key, setting=setting["setting"], **_percent(setting)))
    return lines


def method_lines(found: JsonObject) -> list[str]:
    """Writes the best of each method, and an empty line; nothing where there is one method."""
    rows = _methods(found)
    if not rows:
        return []
    width = max(len(row[0]) for row in rows)
    lines = [say("search.methods_told")]
    for method, share, number, seconds, run, values in rows:
        took = f"{seconds} s" if seconds else ""
        lines.append(f"  {method:<{width}}  {share:>6}  {number:>9}  {took:>6}  {run}  {values}")
    return [*lines, ""]


def front_line(found: JsonObject) -> str:
    """Names the trials that no other beats in all of score, time and general texts at once."""
    named = {trial["run"]: trial for trial in found["trials"]}
    runs = [f"{run} ({_aims(named[run])})" for run in found["front"]]
    three = any("general" in trial for trial in found["trials"])
    return say("search.front_general" if three else "search.front", runs=", ".join(runs))


def _aims(one: JsonObject) -> str:
    general = f", {one['general']:.3f}" if "general" in one else ""
    return f"{one['seconds']:.0f} s{general}"


def write_page(found: JsonObject, path: Path) -> None:
    """Writes the page."""
    speak = Say(words.language())
    by = metric_name(found["chosen_by"])
    label = speak("search.chart", by=by)
    general = any("general" in one for one in found["trials"])
    trials = [_with_general(trial, found["chosen_by"], general) for trial in found["trials"]]
    mattered = [
        [
            setting["setting"],
            *(Share(f"{_percent(setting)[name]} %") for name in ("share", "low", "high", "chance")),
        ]
        for setting in found["importance"]
    ]
    shares = ("setting", "share", "low", "high", "chance")
    matters = {
        "title": speak("search.mattering"),
        "texts": [0],
        "told": mattered_lines(found)[:1],
        "head": [speak(f"search.col_{column}") for column in shares],
        "rows": mattered,
    }
    head = [speak("search.col_trial"), speak("search.col_part"), by, speak("search.col_seconds")]
    head += [speak("search.col_general")] if general else []
    every_trial = {
        "title": speak("search.every_trial"),
        "texts": [0, 4 + general],
        "told": [],
        "head": [*head, speak("search.col_values")],
        "rows": trials,
    }
    contents: JsonObject = {
        "lang": "zh-CN" if speak.language == "zh" else "en",
        "title": speak("search.page_title"),
        "told": [
            chosen_line(found),
            *([speak("search.optimism", count=tried(found["trials"]))] if trials else []),
        ],
        "charts": _charts(found, label, by),
        "about_front": front_line(found) if trials else "",
        "tables": [*_by_method(found, by), matters, every_trial] if trials else [],
        "footer": speak("search.footer"),
    }
    write_whole(path, templates_of().get_template("search.html.j2").render(contents))


def _by_method(found: JsonObject, by: str) -> list[JsonObject]:
    """Returns the table of the best of each method; none where there is one method."""
    rows = _methods(found)
    names = [say(f"search.col_{n}") for n in ("method", "part", "seconds", "trial", "values")]
    table: JsonObject = {
        "title": say("search.methods"),
        "texts": [0, 4, 5],
        "told": [say("search.methods_told")],
        "head": [*names[:2], by, *names[2:]],
        "rows": rows,
    }
    return [table] if rows else []


def _methods(found: JsonObject) -> list[list[str]]:
    """Returns the rows of that table: method, share, score, seconds, trial, settings."""
    named = {trial["run"]: _cells(trial, found["chosen_by"]) for trial in found["trials"]}
    rows = []
    for best in found["methods"]:
        run, *numbers, values = named[best["run"]]
        rows.append([best["method"], *numbers, run, values])
    return rows


def _cells(one: JsonObject, by: str) -> list[str]:
    """Returns a trial's number, share, score, seconds and settings."""
    number = say("search.failed") if one["score"] is None else f"{one['watch'][by]:.4f}"
    seconds = f"{one['seconds']:.0f}" if "seconds" in one else ""
    return [one["run"], Share(f"{100 * one['share']:.3g} %"), number, seconds, typed(one["values"])]


def _with_general(one: JsonObject, by: str, general: bool) -> list[str]:
    """Returns the cells of a trial, with the loss of general texts where that was measured."""
    *numbers, values = _cells(one, by)
    return [*numbers, *([f"{one['general']:.3f}" if "general" in one else ""] * general), values]


def _charts(found: JsonObject, label: str, by: str) -> list[JsonObject]:
    """Draws the trials that were trained longest, against what else is aimed at; those of the front
    stand out.
    """
    scored = [trial for trial in found["trials"] if trial["score"] is not None]
    longest = max((trial["share"] for trial in scored), default=0.0)
    last = [trial for trial in scored if trial["share"] == longest]
    aims = {"seconds": label}
    if last and all("general" in trial for trial in last):
        aims["general"] = say("search.chart_general", by=by)
    charts = []
    for aim, title in aims.items():
        dots = []
        for trial in last:
            value = trial["watch"][found["chosen_by"]]
            style = "first" if trial["run"] in found["front"] else ""
            dots.append(Dot(trial["run"], max(trial[aim], 1e-3), value, value, value, style))
        x_label = say(f"search.col_{aim}")
        picture = scatter(dots, label=title, x_label=x_label, y_label=by)
        charts.append({"title": title, "picture": picture})
    return [chart for chart in charts if chart["picture"]]


def _percent(one: JsonObject) -> dict[str, str]:
    return {name: f"{100 * one[name]:.0f}" for name in ("share", "low", "high", "chance")}
