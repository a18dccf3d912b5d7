"""The plan as a person reads it: facts, warnings, and a table of every value with its origin and
reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from tunesmith.data.ledger import divided
from tunesmith.data.split import few_notes
from tunesmith.display.table import readable
from tunesmith.models.finding.parent import parent_of
from tunesmith.planning.duration import expected, told
from tunesmith.settings.explain import first_sentence
from tunesmith.settings.resolved import Origin
from tunesmith.settings.run import Run
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.planning.plan import Plan

WIDEST_VALUE = 36
"""A longer value pushes what follows it to the right; it is never cut."""


def plan_lines(plan: Plan) -> list[str]:
    """Returns all lines of the plan; where there are problems, these and no table of settings."""
    if plan.problems:
        facts = [f"  {line}" for line in fact_lines(plan)]
        settled = [say("plan.head_facts"), *facts, ""] if facts else []
        return [*settled, say("plan.head_problems"), *(f"  {problem}" for problem in plan.problems)]
    lines = [
        say("plan.head_facts"),
        *(f"  {line}" for line in (*fact_lines(plan), *few_lines(plan))),
        "",
        say("plan.head_values"),
    ]
    rows = value_rows(plan.resolved.run, plan.resolved.origins)
    path_width = max(cell_len(row[0]) for row in rows)
    value_width = min(WIDEST_VALUE, max(cell_len(row[1]) for row in rows))
    origin_width = max(cell_len(row[2]) for row in rows)
    for path, value, origin, reason in rows:
        row = (
            f"  {_pad(path, path_width)}  {_pad(value, value_width)}  "
            f"{_pad(origin, origin_width)}  {reason}"
        )
        lines.append(row.rstrip())
    return lines


def fact_lines(plan: Plan) -> list[str]:
    """Returns the lines on what follows from model and data, and the warnings."""
    facts, run, lines = plan.facts, plan.resolved.run, []
    parent = parent_of(run.model.path)
    if parent is not None:
        lines.append(parent.told())
    if "rows" in facts:
        lines.append(divided(**facts["rows"]))
        lines.append(
            say(
                "plan.fact_steps",
                steps=facts["steps"],
                per_epoch=facts["steps_per_epoch"],
                batch=run.train.batch,
            )
        )
        key = "plan.fact_tokens" if facts["scored_tokens"] else "plan.fact_tokens_read"
        lines.append(say(key, tokens=f"{facts['tokens']:,}", scored=f"{facts['scored_tokens']:,}"))
    if "parameters" in facts:
        total = facts["parameters"]
        trainable = facts["trainable"]
        share = 100 * trainable / total
        lines.append(
            say("plan.fact_parameters", total=f"{total:,}", trainable=f"{trainable:,}", share=share)
        )
        disk = facts["disk"]
        needed = readable(disk["needed"])
        free = readable(disk["free"])
        count = disk["checkpoints"]
        lines.append(say("plan.fact_disk", needed=needed, free=free, checkpoints=count))
        lines.append(say("plan.fact_memory", **facts["memory_gib"]))
    if "probe" in facts:
        probe = facts["probe"]
        lines.append(say("plan.fact_layout", layout=facts["layout"]))
        lines.append(
            say(
                "plan.fact_probe",
                tokens=probe["tokens"],
                peak=probe["peak_gib"],
                seconds=probe["seconds"],
            )
        )
    time = expected(facts)
    if time is not None:
        lines.append(told(facts, time))
    return lines + [say("plan.warning", text=text) for text in plan.warnings]


def few_lines(plan: Plan) -> list[str]:
    """Returns what so few held-out rows cannot do; the ledger says it too, which a plan does not
    show.
    """
    rows = plan.facts.get("rows")
    if rows is None:
        return []
    return few_notes(rows["train"], rows["watch"] + rows["proof"], rows["watch"])


def value_rows(run: Run, origins: dict[str, Origin]) -> list[tuple[str, str, str, str]]:
    """Returns path, value, origin and reason of every setting; a default's reason is the first
    sentence of its help.
    """
    rows = []
    for path, value in leaves(run):
        origin = origins[path]
        reason = origin.reason or (first_sentence(path, run) if origin.kind == "default" else "")
        rows.append((path, _short(value), say(f"plan.col_{origin.kind}"), reason))
    return rows


def leaves(group: Spec, path: str = "") -> list[tuple[str, object]]:
    """Returns every value of a group with its dotted path."""
    values: list[tuple[str, object]] = []
    # A plug-in's name stands before its settings.
    for name, value in sorted(group, key=lambda setting: setting[0] != "name"):
        here = f"{path}.{name}" if path else name
        values += leaves(value, here) if isinstance(value, Spec) else [(here, value)]
    return values


def _short(value: object) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, tuple | list):
        value = ", ".join(
            str(item.values().get("name", item)) if isinstance(item, Spec) else str(item)
            for item in value
        )
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value).replace("\n", "\\n")


def _pad(text: str, width: int) -> str:
    return text + " " * max(0, width - cell_len(text))
