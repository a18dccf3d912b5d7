"""Points with names as inline SVG, the x axis by powers of ten; colours come from the page's CSS,
as in charts.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tunesmith.report.charts import short, ticks

WIDTH, HEIGHT = 880, 400
LEFT, RIGHT, TOP, BOTTOM = 92, 24, 16, 52
LETTER, LINE = 6.3, 13
"""Width and height that a letter of a name takes."""
MANTISSAS = (1, 1.5, 2, 3, 5, 7)

Box = tuple[float, float, float, float]
Place = Callable[[float, float], tuple[float, float]]
"""From a point's values to where it stands in the picture."""


@dataclass(frozen=True)
class Dot:
    """One named point with the ends of its interval; ``style`` is a CSS class, first or nothing."""

    name: str
    x: float
    y: float
    low: float
    high: float
    style: str = ""


def scatter(
    dots: Sequence[Dot],
    *,
    label: str,
    x_label: str,
    y_label: str,
    level: tuple[str, float] | None = None,
    text: Callable = short,
) -> Markup:
    """Draws the picture; ``level`` is a named horizontal line, ``text`` formats the values of y.
    Empty where there is no point.
    """
    drawn = [dot for dot in dots if dot.x > 0 and math.isfinite(dot.y)]
    if not drawn:
        return Markup("")
    heights = [value for dot in drawn for value in (dot.low, dot.high)]
    low, high = _widened(min(heights), max(heights), 0.06)
    widths = [math.log10(dot.x) for dot in drawn]
    left, right = _widened(min(widths), max(widths), 0.08)

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (math.log10(x) - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        down = TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH, HEIGHT, label
        )
    ]
    parts += _axes(place, (left, right), (low, high), text)
    parts += _titles(x_label, y_label)
    end = WIDTH - RIGHT
    taken: list[Box] = [(end - LETTER * len(y_label), TOP - 8, end, TOP + 10)]
    if level and low < level[1] < high:  # far away it would press the points together
        _, y = place(drawn[0].x, level[1])
        parts += _level(level[0], y)
    spots = [place(dot.x, dot.y) for dot in drawn]
    taken += [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    for dot in drawn:
        parts += _point(dot, place)
    for dot, spot in zip(drawn, spots, strict=True):
        parts.append(_name(dot.name, spot, taken))
    return Markup("").join([*parts, Markup("</svg>")])


def _titles(x_label: str, y_label: str) -> list[Markup]:
    """Writes the titles of the axes: across below the picture, up at its top."""
    across = Markup('<text class="name" x="{}" y="{}">{}</text>')
    up = Markup('<text class="tag-left" x="{}" y="{}">{}</text>')
    return [
        across.format(WIDTH - RIGHT, HEIGHT - 4, x_label),
        up.format(WIDTH - RIGHT, TOP + 6, y_label),
    ]


def _level(name: str, y: float) -> list[Markup]:
    """Draws a horizontal line with its name."""
    line = Markup('<line class="level" x1="{}" x2="{}" y1="{}" y2="{}"/>')
    tag = Markup('<text class="tag-right" x="{}" y="{}">{}</text>')
    return [line.format(LEFT, WIDTH - RIGHT, y, y), tag.format(LEFT + 4, y - 5, name)]


def _point(dot: Dot, place: Place) -> list[Markup]:
    """Draws a point and its interval."""
    (x, y), (_, bottom), (_, top) = (place(dot.x, at) for at in (dot.y, dot.low, dot.high))
    whisker = Markup('<line class="whisker {}" x1="{}" x2="{}" y1="{}" y2="{}"/>')
    circle = Markup('<circle class="point {}" cx="{}" cy="{}" r="4.5"/>')
    return [
        whisker.format(dot.style, x, x, bottom, top),
        circle.format(dot.style, x, y),
    ]


def _axes(
    place: Place,
    across: tuple[float, float],
    up: tuple[float, float],
    text: Callable,
) -> list[Markup]:
    parts = []
    for value in ticks(*up):
        _, y = place(10 ** across[0], value)
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                LEFT, WIDTH - RIGHT, y, y
            )
        )
        parts.append(
            Markup('<text class="y" x="{}" y="{}" dy="0.35em">{}</text>').format(
                LEFT - 8, y, text(value)
            )
        )
    for value in powers(*across):
        x, _ = place(value, up[0])
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                x, x, TOP, HEIGHT - BOTTOM
            )
        )
        parts.append(
            Markup('<text class="x" x="{}" y="{}">{}</text>').format(
                x, HEIGHT - BOTTOM + 20, short(value)
            )
        )
    return parts


def powers(left: float, right: float) -> list[float]:
    """Returns round numbers between two powers of ten (their exponents are given): whole powers,
    with more between where few fit.
    """
    marks: list[float] = []
    for mantissas in ((1,), (1, 3), MANTISSAS):
        exponents = range(math.floor(left), math.ceil(right) + 1)
        marks = [
            m * 10.0**e
            for e in exponents
            for m in mantissas
            if left <= math.log10(m * 10.0**e) <= right
        ]
        if len(marks) >= 3:
            break
    return marks


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    reach = (high - low) * share or abs(low) * 0.1 or 0.1
    return low - reach, high + reach


def _name(name: str, spot: tuple[float, float], taken: list[Box]) -> Markup:
    """Writes the name beside its point, at the first place where it covers nothing, else to the
    right.
    """
    x, y = spot
    width = LETTER * len(name)
    places = []
    for up in (0, -LINE, LINE, -2 * LINE, 2 * LINE, -3 * LINE, 3 * LINE):
        places += [("tag-right", x + 9, y + up), ("tag-left", x - 9, y + up)]
    boxes = [_box(anchor, at, height, width) for anchor, at, height in places]
    free = (
        n
        for n, box in enumerate(boxes)
        if _inside(box) and not any(_meet(box, other) for other in taken)
    )
    chosen = next(free, 0)
    anchor, at, height = places[chosen]
    taken.append(boxes[chosen])
    return Markup('<text class="named {}" x="{:.1f}" y="{:.1f}" dy="0.35em">{}</text>').format(
        anchor, at, height, name
    )


def _box(anchor: str, at: float, height: float, width: float) -> Box:
    start = at if anchor == "tag-right" else at - width
    return (start, height - LINE / 2, start + width, height + LINE / 2)


def _inside(box: Box) -> bool:
    left, top, right, bottom = box
    across = left >= LEFT and right <= WIDTH
    return across and top >= 0 and bottom <= HEIGHT - BOTTOM


def _meet(one: Box, other: Box) -> bool:
    left, top, right, bottom = other
    beside = one[0] >= right or left >= one[2]
    apart = one[1] >= bottom or top >= one[3]
    return not beside and not apart
