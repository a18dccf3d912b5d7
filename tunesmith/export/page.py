"""What was measured of an exported model beside the trained one, the verdict, and its page."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tunesmith.display.table import readable, table_lines
from tunesmith.export.held_out import EXPORTED, TRAINED
from tunesmith.export.parity import Parity
from tunesmith.plain import JsonObject
from tunesmith.words import say

Verdict = Literal["same", "within the noise", "lost", "not verified"]

NATS = 0.02
"""A loss of likelihood (nats a token) that matters: perplexity 2 % higher. With many tokens the
smallest rounding shows itself, and harms nobody.
"""
DIVERGED = 0.1
"""Without held-out rows: a mean divergence of the next token (nats) that is a loss."""
AGREED = 0.95
"""Without held-out rows: the share of texts whose class must stay."""
NUMBERS_SAME, NUMBERS_NEAR = 0.01, 0.05
"""Largest difference of scores and vectors, as a share of their range, that is called the same, or
within the noise.
"""


@dataclass(frozen=True)
class Speed:
    """How fast a model runs here, one text after the other."""

    unit: str
    a_second: float


@dataclass(frozen=True)
class Page:
    """All that was measured of one export."""

    format: str
    dtype: str
    size: int = 0
    """Bytes of all files."""
    library: str = ""
    """What loaded it, or would."""
    install: str = ""
    """What installs that library, where it is not here."""
    load_seconds: float | None = None
    probes: Parity | None = None
    task: JsonObject | None = None
    task_missing: str = ""
    faults: tuple[str, ...] = ()
    """What is wrong beside the numbers."""
    not_run: str = ""
    """What serves it and has not run it here, with the commands that would show it."""
    speed_before: Speed | None = None
    speed: Speed | None = None
    memory_before: int | None = None
    """Bytes of main memory that the trained model holds, loaded and after it was asked; None where
    the system does not tell.
    """
    memory: int | None = None
    """The same of the exported one."""

    @property
    def verdict(self) -> Verdict:
        """Whether the exported model is the trained one."""
        return self._judged[0]

    @property
    def why(self) -> str:
        """The reason of the verdict, for a person."""
        return self._judged[1]

    @property
    def _judged(self) -> tuple[Verdict, str]:
        if self.probes is None:
            fields = {"library": self.library, "install": self.install}
            return "not verified", self.not_run or say("export.why_not_verified", **fields)
        if self.faults:
            return "lost", " ".join(self.faults)
        if self.probes.numbers:
            return _by_numbers(self.probes)
        asked = self.probes.probes + (self.task["items"] if self.task else 0)
        same = self.probes.same_answers + (self.task["same_answers"] if self.task else 0)
        if same == asked:
            return "same", say("export.why_same", asked=asked)
        if self.task:
            return _by_task(self.task, same, asked)
        return _by_probes(self.probes)

    def meets(self, required: str | None) -> bool:
        """Tells whether the verdict is at least the one that is required."""
        good = {"same": ("same",), "not lost": ("same", "within the noise")}
        return required is None or self.verdict in good[required]

    def to_json(self) -> JsonObject:
        """Returns everything as plain values, for parity.json."""
        return {**asdict(self), "verdict": self.verdict, "why": self.why}

    def short(self) -> list[str]:
        """Returns the verdict and the table, for a terminal."""
        word = say(f"export.verdict_{self.verdict.replace(' ', '_')}")
        return [
            say("export.verdict", verdict=word, why=self.why),
            *table_lines(self._rows(), numbers=2),
            *([self.not_run] if self.not_run and self.probes else []),
        ]

    def markdown(self) -> str:
        """Returns the page."""
        word = say(f"export.verdict_{self.verdict.replace(' ', '_')}")
        head, *rows = self._rows()
        lines = [
            f"# {self._title()}",
            "",
            say("export.verdict", verdict=f"**{word}**", why=self.why),
            "",
            f"| {' | '.join(head)} |",
            "|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
        if self.probes is not None:
            lines += ["", say("export.page_probes", compared=self.probes.told())]
        if self.library and self.probes is not None:
            lines += ["", say("export.page_library", library=self.library)]
        if self.not_run and self.probes is not None:
            lines += ["", self.not_run]
        if self.task_missing:
            lines += ["", self.task_missing]
        return "\n".join([*lines, "", say("export.page_rules"), ""])

    def _title(self) -> str:
        return say("export.page", format=self.format, dtype=self.dtype)

    def _head(self) -> list[str]:
        """Returns the names of the two models."""
        return [say("export.trained"), say("export.exported")]

    def _costs(self) -> list[list[str]]:
        """Returns the rows on speed and size."""
        rows = []
        if self.speed and self.speed_before:
            unit = say(f"export.row_speed_{self.speed.unit}")
            speeds = [f"{speed.a_second:.1f}" for speed in (self.speed_before, self.speed)]
            rows.append([unit, *speeds])
        if self.load_seconds is not None:
            rows.append([say("export.row_load"), "", f"{self.load_seconds:.1f} s"])
        return [*rows, *self._memory(), [say("export.row_size"), "", readable(self.size)]]

    def _memory(self) -> list[list[str]]:
        both = (self.memory_before, self.memory)
        sizes = ["–" if memory is None else readable(memory) for memory in both]
        return [] if both == (None, None) else [[say("export.row_memory"), *sizes]]

    def _rows(self) -> list[list[str]]:
        """Returns the table: a name, the first model's value, the second one's."""
        rows = [["", *self._head()]]
        if self.task:
            rows += _task_rows(self.task)
        if self.probes and self.probes.kind == "language":
            rows.append([say("export.row_top1"), "", f"{self.probes.top1_agreement:.1%}"])
            rows.append([say("export.row_divergence"), "", f"{self.probes.divergence:.4f}"])
        if self.probes:
            difference = f"{self.probes.largest_difference:.3g}"
            rows.append([say("export.row_outputs"), "", difference])
        return rows + self._costs()


def write_page(page: Page, place: Path) -> None:
    """Writes parity.json and parity.md into the folder of the export."""
    text = json.dumps(page.to_json(), ensure_ascii=False, indent=2)
    (place / "parity.json").write_text(text + "\n", encoding="utf-8")
    (place / "parity.md").write_text(page.markdown(), encoding="utf-8")


def _by_numbers(probes: Parity) -> tuple[Verdict, str]:
    """Judges scores and vectors by how far their numbers are apart."""
    fields = {"share": f"{probes.relative:.2%}", "probes": probes.probes}
    if probes.relative <= NUMBERS_SAME:
        return "same", say("export.why_numbers", **fields)
    word: Verdict = "within the noise" if probes.relative <= NUMBERS_NEAR else "lost"
    return word, say("export.why_numbers", **fields)


def _by_task(task: JsonObject, same: int, asked: int) -> tuple[Verdict, str]:
    """Judges by the run's metric, and by the likelihood of the references."""
    differences = task["differences"].get(TRAINED, {})
    fields = {"same": same, "asked": asked, "metric": task["primary"]}
    decides = differences.get(task["primary"])
    likelihood = differences.get("nll")
    if decides and task["primary"] != "nll" and decides["verdict"] == "worse":
        return "lost", say("export.why_worse", **fields, interval=_interval(decides))
    if likelihood and likelihood["low"] is not None and likelihood["low"] > NATS:
        low = f"{math.expm1(likelihood['low']):.1%}"
        return "lost", say("export.why_less_likely", low=low)
    if not decides or decides["low"] is None:
        return "within the noise", say("export.why_unlike", **fields)
    smallest = decides["smallest_effect"]
    shown = f"{smallest:.3g}" if smallest is not None else "–"
    fields |= {"interval": _interval(decides), "smallest": shown}
    return "within the noise", say("export.why_noise", **fields)


def _by_probes(probes: Parity) -> tuple[Verdict, str]:
    """Judges by the probes alone."""
    fields = {"same": probes.same_answers, "asked": probes.probes}
    if probes.kind == "language":
        lost = not probes.divergence <= DIVERGED
    else:
        lost = probes.same_answers < AGREED * probes.probes
    word: Verdict = "lost" if lost else "within the noise"
    return word, say("export.why_probes", **fields, divergence=f"{probes.divergence:.3g}")


def _interval(one: JsonObject) -> str:
    low, high = (_signed(one[key]) if one[key] is not None else "–" for key in ("low", "high"))
    return f"{_signed(one['difference'])} [{low}, {high}]"


def _signed(value: float) -> str:
    """Writes a difference; one of nothing but rounding is +0, never -0 or -1e-17."""
    return f"{round(value, 9) + 0.0:+.3g}"


def _task_rows(task: JsonObject) -> list[list[str]]:
    rows = []
    for name in task["metrics"]:
        values = [task["contenders"].get(who, {}).get(name) for who in (TRAINED, EXPORTED)]
        if None in values:
            continue
        shown = [f"{value:.4g}" for value in values]
        label = name
        if name == "nll":
            label, shown = say("export.row_perplexity"), [f"{math.exp(v):.4g}" for v in values]
        else:
            difference = task["differences"].get(TRAINED, {}).get(name)
            shown[1] += (
                f"  ({_interval(difference)})"
                if difference and difference["difference"] is not None
                else ""
            )
        rows.append([label, *shown])
    same = f"{task['same_answers']} / {task['items']}"
    rows.append([say("export.row_same"), "", same])
    if task["stopped"]:
        ended = [f"{task['stopped'][who]:.0%}" for who in (TRAINED, EXPORTED)]
        rows.append([say("export.row_stopped"), *ended])
    return rows
