"""A tournament as a person reads it: the table on the screen, as Markdown, and on a page with two
pictures.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from tunesmith.plain import Named
from tunesmith.proving.judge import metric
from tunesmith.report.build import templates_of
from tunesmith.report.language import Say
from tunesmith.report.machine import machine, versions
from tunesmith.report.scatter import Dot, scatter
from tunesmith.report.verdict import metric_name, number
from tunesmith.words import Share, language, written

Found = Named
Cells = list[list[str]]

QUALITY = (
    "place",
    "method",
    "trainable",
    "rate",
    "seeds",
    "quality",
    "minus_base",
    "minus_first",
    "noise",
)
COST = ("seconds", "memory", "disk", "speed", "speed_merged", "general")
NUMBERS = {"trainable", "rate", "quality", "minus_base", "minus_first", *COST}


def cells(standing: Found, columns: Sequence[str], say: Say) -> Cells:
    """Returns a heading, a row for each method, and one for the base."""
    heads = [
        say(f"tournament.col_{name}", metric=metric_name(standing["primary"], say))
        for name in columns
    ]
    rows = [[_cell(standing, row, name, say) for name in columns] for row in standing["methods"]]
    rows.append([_base_cell(standing, name, say) for name in columns])
    return [heads, *([str(written(cell, say.language)) for cell in row] for row in rows)]


def _cell(found: Found, row: Found, name: str, say: Say) -> str:
    primary = found["primary"]
    rank = found["methods"].index(row) + 1
    made = {
        "place": lambda: str(rank),
        "method": lambda: row["method"],
        "trainable": lambda: Share(
            f"{row['trainable']:,} ({_percent(row['trainable'] / row['parameters'])})"
        ),
        "rate": lambda: f"{row['rate']:g}",
        "seeds": lambda: _seeds(primary, row),
        "quality": lambda: number(primary, row["quality"]),
        "minus_base": lambda: interval(primary, row["minus_base"]),
        "minus_first": lambda: interval(primary, row["minus_first"]) if row["minus_first"] else "–",
        "noise": lambda: (
            say(f"tournament.word_{row['minus_first']['verdict'].replace(' ', '_')}")
            if row["minus_first"]
            else "–"
        ),
        "seconds": lambda: f"{row['seconds']:.0f}",
        "memory": lambda: _or_dash(row["memory_gib"], ".2f"),
        "disk": lambda: _size(row["bytes"]),
        "speed": lambda: _or_dash(row["speed"], ".0f"),
        "speed_merged": lambda: _or_dash(row["speed_merged"], ".0f"),
        "general": lambda: interval("nll", row["general"]) if row["general"] else "–",
    }
    return made[name]()


def _base_cell(found: Found, name: str, say: Say) -> str:
    base = found["base"]
    made = {
        "method": say("tournament.base"),
        "quality": number(found["primary"], base["quality"]),
        "speed": _or_dash(base["speed"], ".0f"),
    }
    return made.get(name, "–" if name != "place" else "")


def interval(name: str, compared: Found) -> str:
    """Formats a difference with its interval."""
    low, high = (number(name, compared[side], sign=True) for side in ("low", "high"))
    return f"{number(name, compared['difference'], sign=True)} [{low}, {high}]"


def _seeds(primary: str, row: Found) -> str:
    """Formats how many seeds there are, and between which values they lie."""
    each = row["each_quality"]
    if len(each) == 1:
        return "1"
    low = number(primary, min(each))
    high = number(primary, max(each))
    return Share(f"{len(each)}: {low.removesuffix(' %')}–{high}")


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _size(count: float) -> str:
    return f"{count / 1024:.0f} KiB" if count < 2**20 else f"{count / 2**20:.1f} MiB"


def lines(standing: Found) -> list[str]:
    """Returns two tables, their grounds, and which differences are within the noise."""
    say = Say(language())
    lines_told = [_head(standing, say), "", *_aligned(cells(standing, QUALITY, say), QUALITY), ""]
    lines_told += [
        *_aligned(cells(standing, ("method", *COST), say), ("method", *COST)),
        "",
        *notes(standing, say),
    ]
    return lines_told


def _aligned(rows: Cells, columns: Sequence[str]) -> list[str]:
    widths = [max(cell_len(row[index]) for row in rows) for index in range(len(columns))]
    return [
        "  " + "  ".join(_pad(*cell_) for cell_ in zip(row, widths, columns, strict=True)).rstrip()
        for row in rows
    ]


def _pad(text: str, width: int, column: str) -> str:
    space = " " * (width - cell_len(text))
    return space + text if column in NUMBERS else text + space


def markdown(standing: Found) -> str:
    """Writes the whole table, one row a method, and the notes."""
    say = Say(language())
    columns = (*QUALITY, *COST)
    head, *rows = cells(standing, columns, say)
    bars = ["---:" if name in NUMBERS else "---" for name in columns]
    table = [
        "| " + " | ".join(text.replace("|", "\\|") for text in row) + " |"
        for row in [head, bars, *rows]
    ]
    return (
        "\n".join(
            [_head(standing, say), "", *table, "", *(f"- {note}" for note in notes(standing, say))]
        )
        + "\n"
    )


def _head(found: Found, say: Say) -> str:
    rows = found["rows"]
    fields = {
        "steps": found["steps"],
        "train": rows["train"],
        "watch": rows["watch"],
        "proof": rows["proof"],
    }
    return say(
        "tournament.head", model=found["model"], metric=metric_name(found["primary"], say), **fields
    )


def notes(standing: Found, say: Say) -> list[str]:
    """Returns notes: which differences are within the noise, how rates and places were found, and
    what was left out.
    """
    notes_told = []
    names = [row["method"] for row in standing["methods"]]
    same = [
        row["method"]
        for row in standing["methods"]
        if row["minus_first"] and row["minus_first"]["verdict"] == "within the noise"
    ]
    if len(names) > 1:
        key = "tournament.noise" if same else "tournament.no_noise"
        notes_told.append(say(key, first=names[0], same=", ".join(same)))
        within = sum(pair["verdict"] == "within the noise" for pair in standing["pairs"])
        notes_told.append(say("tournament.pairs", within=within, pairs=len(standing["pairs"])))
    settings = standing["settings"]
    shares = Share(", ".join(f"{100 * share:g} %" for share in settings["rungs"]))
    chosen = (
        metric_name(standing["chosen_by"], say)
        if standing["chosen_by"] != "loss"
        else say("tournament.loss")
    )
    if settings["rates"] > 1:
        notes_told.append(
            say(
                "tournament.how",
                rates=settings["rates"],
                rungs=shares,
                chosen=chosen,
                watch=standing["rows"]["watch"],
            )
        )
    else:
        notes_told.append(say("tournament.own_rates"))
    if any(len(row["seeds"]) > 1 for row in standing["methods"]):
        notes_told.append(
            say("tournament.seeds_say", places=settings["places"], seeds=settings["seeds"])
        )
    if any(row["general"] for row in standing["methods"]):
        notes_told.append(
            say(
                "tournament.general_says",
                rows=settings["general"],
                base=number("nll", standing["base"]["general_nll"]),
            )
        )
    notes_told.append(say("tournament.cost_says"))
    notes_told += [
        say(f"tournament.row_{left['kind']}", method=left["method"], reason=left["reason"])
        for left in standing["left_out"]
    ]
    return notes_told


def page(standing: Found, folder: Path, lang: str) -> str:
    """Renders the page as HTML."""
    say = Say(lang)
    tables = []
    for columns in (QUALITY, ("method", *COST)):
        head, *rows = cells(standing, columns, say)
        tables.append(
            ([(text, name in NUMBERS) for text, name in zip(head, columns, strict=True)], rows)
        )
    ran_on = machine({"threads": str(standing["threads"])})
    contents = {
        "say": lambda key, **values: say(f"tournament.{key}", **values),
        "name": folder.resolve().name,
        "folder": shlex.quote(str(folder)),
        "lang": "zh-CN" if lang == "zh" else "en",
        "head": _head(standing, say),
        "tables": tables,
        "notes": notes(standing, say),
        "pictures": pictures(standing, say),
        "versions": versions({}),
        "machine": ran_on,
        "labels": {
            key: say(f"report.{key}") for key in ("environment", "packages", "footer", *ran_on)
        },
    }
    return templates_of().get_template("tournament.html.j2").render(contents)


def pictures(standing: Found, say: Say) -> list[tuple[str, Any]]:
    """Draws quality against trained weights, and against peak memory; whiskers are the interval
    against the base.
    """
    primary = standing["primary"]
    first = standing["methods"][0]["method"] if standing["methods"] else None
    quality = metric_name(primary, say)
    base = standing["base"]["quality"]
    made = []
    for key in ("trainable", "memory_gib"):
        dots = []
        for row in standing["methods"]:
            low = row["minus_base"]["low"]
            high = row["minus_base"]["high"]
            if row[key] and None not in (low, high):
                style = "first" if row["method"] == first else ""
                dots.append(
                    Dot(row["method"], row[key], row["quality"], base + low, base + high, style)
                )
        title = say(f"tournament.picture_{key}", metric=quality)
        chart = scatter(
            dots,
            label=title,
            x_label=say(f"tournament.axis_{key}"),
            y_label=quality + ("" if metric(primary).higher else " ↓"),
            level=(say("tournament.base"), base),
            text=lambda value: number(primary, value),
        )
        made.append((title, chart))
    return made
