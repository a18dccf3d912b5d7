"""The matrix of a sequence of tasks: a table for the terminal, and sequence.html."""

from __future__ import annotations

from pathlib import Path

from tunesmith import words
from tunesmith.display.table import table_lines
from tunesmith.plain import JsonObject
from tunesmith.proving.metric_values import interval_shown, shown
from tunesmith.report.build import templates_of
from tunesmith.report.language import Say
from tunesmith.storage.atomic import write_whole
from tunesmith.words import metric_name, say

MEANS = ("average", "backward_transfer", "forward_transfer", "forgetting")


def sequence_lines(sequence: JsonObject) -> list[str]:
    """Returns the matrix, what became of each earlier task, and the means."""
    lines = [
        say("sequence.title"),
        "",
        *table_lines(rows(sequence), numbers=len(sequence["tasks"])),
    ]
    return [*lines, "", *kept_lines(sequence), *mean_lines(sequence)]


def rows(sequence: JsonObject) -> list[list[str]]:
    """Returns the matrix with its head; the score of a stage's own task is marked."""
    named = zip(sequence["tasks"], sequence["metrics"], sequence["items"], strict=True)
    head = [f"{task} ({metric_name(name)}, {items})" for task, name, items in named]
    table = [["", *head]]
    for index, (name, scores) in enumerate(
        zip(sequence["models"], sequence["scores"], strict=True)
    ):
        after = say("sequence.before") if index == 0 else say("sequence.after", stage=name)
        marks = ["*" if task == index - 1 else "" for task in range(len(scores))]
        marked = zip(sequence["metrics"], scores, marks, strict=True)
        cells = [f"{shown(metric, score)}{mark}" for metric, score, mark in marked]
        table.append([after, *cells])
    return table


def kept_lines(sequence: JsonObject) -> list[str]:
    """Says of each task but the last how it stands at the end beside just after its own stage."""
    lines = []
    earlier = zip(sequence["tasks"], sequence["metrics"], sequence["kept"], strict=False)
    for task, name, kept_ in earlier:
        interval = interval_shown(name, kept_)
        key = f"sequence.{kept_['verdict'].replace(' ', '_')}"
        lines.append(say(key, task=task, interval=interval))
    return lines


def mean_lines(sequence: JsonObject) -> list[str]:
    """Returns the means over the tasks; why there are none where their metrics differ."""
    if "average" not in sequence:
        return [say("sequence.no_means")]
    metric = sequence["metrics"][0]
    return [
        say(f"sequence.{name}", value=shown(metric, sequence[name], sign=name != "average"))
        for name in MEANS
    ]


def write_page(sequence: JsonObject, path: Path) -> None:
    """Writes the page."""
    speak = Say(words.language())
    head, *table = rows(sequence)
    contents: JsonObject = {
        "lang": "zh-CN" if speak.language == "zh" else "en",
        "title": speak("sequence.title"),
        "told": [*kept_lines(sequence), *mean_lines(sequence)],
        "reasons": [],
        "rule": [speak("sequence.rule")],
        "head": head,
        "rows": table,
        "charts": [],
        "footer": speak("sequence.footer"),
    }
    write_whole(path, templates_of().get_template("blend.html.j2").render(contents))
