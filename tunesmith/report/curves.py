"""The curves of a run, from record.jsonl: as charts for the page, and loss_curve.png."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from tunesmith.plain import Named
from tunesmith.report.charts import FEW_POINTS, Point, Series, finite, line_chart, running_mean
from tunesmith.report.language import Say
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.run_folder import RunFolder

CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Zen Hei",
)
SAMPLED = (
    *("unseen_reward", "stopped", "length", "entropy", "teaching", "clipped", "sampler_gap"),
    "explained_variance",
)
"""Numbers of sampled answers that are drawn."""
PART = "reward/"
"""How the name of one of several rewards begins in the record."""
TITLES = {"stopped": "report.ending"}
OWN_PLACE = ("answers", "watched_answers")
"""Events that stand in a section of the page."""


@dataclass(frozen=True)
class Curve:
    """One chart of the page."""

    title: str
    chart: Markup
    legend: tuple[tuple[str, str], ...] = ()
    """CSS class and name of each line, where there are several."""
    wide: bool = False


def points(record: Sequence[Named], name: str) -> tuple[Point, ...]:
    """Returns the (step, value) pairs of a measure of the steps."""
    steps = (line for line in record if "evaluation" not in line and "event" not in line)
    return finite(
        [(float(line["step"]), float(line[name])) for line in steps if line.get(name) is not None]
    )


def held_out(record: Sequence[Named], name: str = "loss") -> tuple[Point, ...]:
    """Returns the (step, value) pairs of a measure on the watched rows."""
    values = [
        (line["step"], line["evaluation"].get(name)) for line in record if "evaluation" in line
    ]
    return finite([(float(step), float(value)) for step, value in values if value is not None])


def watched_kind(record: Sequence[Named]) -> str:
    """Returns what the watched rows are: ``validation``, or ``proof`` where there are too few to be
    divided and nothing is chosen by them.
    """
    # Warnings have an ``of`` too, a number.
    watched = (line for line in record if "evaluation" in line and "of" in line)
    return next((str(line["of"]) for line in watched), "validation")


def _mark(watch: tuple[Point, ...], used: int | None) -> tuple[Point | None, str]:
    """Returns the point of the held-out loss that is marked, and the key of its text."""
    if used is not None:
        return next((point for point in watch if point[0] == used), None), "report.used"
    lowest = min(watch, key=lambda point: point[1]) if len(watch) > 1 else None
    return lowest, "report.lowest"


def curves(
    record: Sequence[Named],
    say: Say,
    *,
    pairs: bool = False,
    used: int | None = None,
) -> list[Curve]:
    """Draws the loss first, over the whole width, then what else was recorded; accuracy over
    ``pairs`` tells two answers apart. Where answers are sampled their reward comes first: the loss
    of such a run does not say whether it learns.
    """
    losses = _losses(record, say, used)
    measured = _measured(record, say, pairs=pairs)
    if points(record, "reward"):
        first, *others = measured
        return [replace(first, wide=True), *others, *losses, *_course(record, say)]
    return [*losses, *measured, *_course(record, say)]


def _losses(record: Sequence[Named], say: Say, used: int | None) -> list[Curve]:
    """Draws training and held-out loss; the latter is marked at the step that is ``used``, and at
    its lowest while there is no model.
    """
    train = points(record, "loss")
    watch = held_out(record)
    held_out_name = say(f"report.loss_of_{watched_kind(record)}")
    lines = []
    if train:
        smooth = running_mean(train)
        if smooth != train:
            lines.append(Series(say("report.each_step"), train, "faint"))
        lines.append(Series(say("report.train_loss"), smooth, "train"))
    if watch:
        lines.append(Series(held_out_name, watch, "held_out"))
    if not lines:
        return []
    mark, marked = _mark(watch, used)
    title = say("report.loss")
    legend = [(line.style, line.name) for line in lines]
    if mark:
        fields = {"value": f"{mark[1]:.4g}", "step": int(mark[0]), "loss": held_out_name}
        legend.append(("ring", say(marked, **fields)))
    chart = line_chart(lines, label=title, x_label=say("report.step"), mark=mark)
    return [Curve(title, chart, tuple(legend), wide=True)]


def _measured(record: Sequence[Named], say: Say, *, pairs: bool) -> list[Curve]:
    """Draws what was recorded beside the loss, rewards first."""
    rows = watched_kind(record)
    step = say("report.step")
    drawn_curves = [
        curve for curve in (_sides(record, name, say) for name in ("rewards", "length")) if curve
    ]
    every = dict.fromkeys(name for line in record for name in line if name.startswith(PART))
    for name in ("reward", *every, "margin", "accuracy", "divergence", "kl", *SAMPLED):
        both = (
            Series(say("report.each_step"), points(record, name), "faint"),
            Series(say(f"report.of_{rows}"), held_out(record, name)),
        )
        drawn = [each for each in both if each.points]
        if drawn:
            title = _title(name, say, pairs=pairs)
            chart = line_chart(drawn, label=title, x_label=step)
            legend_of_it = tuple((each.style, each.name) for each in drawn)
            drawn_curves.append(Curve(title, chart, legend_of_it))
    return drawn_curves


def _title(name: str, say: Say, *, pairs: bool) -> str:
    """Returns the title of the chart of a measure."""
    if name.startswith(PART):
        return say("report.reward_part", name=name.removeprefix(PART))
    if pairs and name == "accuracy":
        return say("report.pair_accuracy")
    return say(TITLES.get(name, f"report.{name}"))


def _course(record: Sequence[Named], say: Say) -> list[Curve]:
    """Draws how the steps went: rate, gradient, speed and memory."""
    drawn = []
    for name in ("learning_rate", "grad_norm", "tokens_per_second", "memory_gib"):
        values = points(record, name)
        if values:
            title = say(f"report.{name}")
            step = say("report.step")
            chart = line_chart([Series(title, values)], label=title, x_label=step)
            drawn.append(Curve(title, chart))
    return drawn


def _sides(record: Sequence[Named], name: str, say: Say) -> Curve | None:
    """Draws the values of chosen and rejected answers in one chart."""
    pairs = (("chosen", "train"), ("rejected", "held_out"))
    lines = [
        Series(say(f"report.{side}"), running_mean(points(record, f"{name}/{side}")), style)
        for side, style in pairs
    ]
    if not all(line.points for line in lines):
        return None
    title = say(f"report.{name}")
    chart = line_chart(lines, label=title, x_label=say("report.step"))
    return Curve(title, chart, tuple((line.style, line.name) for line in lines))


def events(record: Sequence[Named], say: Say) -> list[tuple[int, str]]:
    """Lists what happened at which step, in order; answers have their own place."""
    listed = []
    for line in record:
        name = line.get("event")
        if name is None or name in OWN_PLACE:
            continue
        numbers_told = {
            key: value
            for key, value in line.items()
            if key not in ("step", "event") and not isinstance(value, list)
        }
        numbers = [
            f"{say.known(f'report.told_{key}', key)} {value}".strip()
            for key, value in numbers_told.items()
        ]
        text = say.known(f"report.event_{name}", str(name))
        listed.append((int(line["step"]), f"{text} ({', '.join(numbers)})" if numbers else text))
    return listed


def draw_loss_curve(folder: RunFolder, say: Say) -> bool:
    """Writes loss_curve.png, training and held-out loss on one axis; False when no step was
    recorded.
    """
    record = folder.steps()
    train = points(record, "loss")
    watch = held_out(record)
    if not train and not watch:
        return False
    # The object interface, not pyplot: a report may be written while a notebook or a server draws
    # its own pictures.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    family, say = _font(say)
    with rc_context({"font.family": family, "axes.unicode_minus": False}):
        figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        if train:
            smooth = running_mean(train)
            if smooth != train:
                axes.plot(*zip(*train, strict=True), color="#1f6f8b", alpha=0.25, linewidth=1)
            axes.plot(
                *zip(*smooth, strict=True),
                _shape(train),
                color="#1f6f8b",
                label=say("report.train_loss"),
            )
        if watch:
            axes.plot(
                *zip(*watch, strict=True),
                _shape(watch),
                color="#c8692b",
                label=say(f"report.loss_of_{watched_kind(record)}"),
            )
        axes.set(xlabel=say("report.step"), ylabel=say("report.loss"))
        axes.grid(axis="y", color="#e4e6e8", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
    write_whole(folder.loss_curve, picture.getvalue())
    return True


def _shape(line: Sequence[Point]) -> str:
    return "o-" if len(line) <= FEW_POINTS else "-"


def _font(say: Say) -> tuple[list[str], Say]:
    """Chooses a font that has the language's characters, and English where the machine has none for
    Chinese.
    """
    if say.language != "zh":
        return ["DejaVu Sans"], say
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    fonts = [name for name in CHINESE_FONTS if name in there]
    return ([*fonts, "DejaVu Sans"], say) if fonts else (["DejaVu Sans"], Say("en"))
