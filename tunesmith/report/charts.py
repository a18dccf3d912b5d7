"""Line charts as inline SVG: colours and text sizes come from the page's CSS, so they follow dark
mode, print and phones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 88, 30, 14, 48
# More points than pixels only make the file large and the line thick.
MOST_POINTS = 400
FEW_POINTS = 12  # a line of so few shows where it was measured, with dots

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line; ``style`` is a CSS class: train, held_out or plain."""

    name: str
    points: tuple[Point, ...]
    style: str = "plain"


def finite(points: Sequence[Point]) -> tuple[Point, ...]:
    """Returns the points that can be drawn."""
    return tuple((x, y) for x, y in points if math.isfinite(x) and math.isfinite(y))


def running_mean(points: Sequence[Point]) -> tuple[Point, ...]:
    """Averages neighbouring points, for a noisy line of many; returns the points themselves when
    they are few.
    """
    half = len(points) // 50
    if half == 0:
        return tuple(points)
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + y)
    smooth = []
    for i, (x, _) in enumerate(points):
        start = max(0, i - half)
        stop = min(len(points), i + half + 1)
        smooth.append((x, (sums[stop] - sums[start]) / (stop - start)))
    return tuple(smooth)


def thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    """Keeps at most MOST_POINTS of the points, evenly; first and last always stay."""
    if len(points) <= MOST_POINTS:
        return tuple(points)
    last = len(points) - 1
    return tuple(points[round(i * last / (MOST_POINTS - 1))] for i in range(MOST_POINTS))


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Returns round numbers between ``low`` and ``high``."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def short(value: float) -> str:
    """Formats a number in few characters: 12k, 0.25, 2e-4."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:g}k"
    if abs(value) < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.4g}"


def _range(values: Sequence[float]) -> tuple[float, float]:
    low = min(values)
    high = max(values)
    if low == high:
        reach = abs(low) * 0.1 or 1.0
        return low - reach, high + reach
    reach = (high - low) * 0.06
    # A quantity that is never negative gets no axis below zero.
    return (max(0.0, low - reach) if low >= 0 else low - reach), high + reach


def line_chart(
    series: Sequence[Series], *, label: str, x_label: str, mark: Point | None = None
) -> Markup:
    """Draws one chart of all ``series``; ``mark`` is a point to ring. Empty when there is nothing
    to draw.
    """
    drawn = [
        Series(each.name, thinned(finite(each.points)), each.style)
        for each in series
        if finite(each.points)
    ]
    if not drawn:
        return Markup("")
    xs = [x for each in drawn for x, _ in each.points]
    low, high = _range([y for each in drawn for _, y in each.points])
    left, right = min(xs), max(xs)
    width = (right - left) or 1.0

    def place(point: Point) -> tuple[float, float]:
        share = 0.5 if left == right else (point[0] - left) / width
        x = LEFT + share * (WIDTH - LEFT - RIGHT)
        return round(x, 1), round(
            TOP + (high - point[1]) / (high - low) * (HEIGHT - TOP - BOTTOM), 1
        )

    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH, HEIGHT, label
        )
    ]
    for value in ticks(low, high):
        _, y = place((left, value))
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                LEFT, WIDTH - RIGHT, y, y
            )
        )
        parts.append(
            Markup('<text class="y" x="{}" y="{}" dy="0.35em">{}</text>').format(
                LEFT - 8, y, short(value)
            )
        )
    for value in _steps(left, right):
        x, _ = place((value, low))
        parts.append(
            Markup('<text class="x" x="{}" y="{}">{}</text>').format(
                x, HEIGHT - BOTTOM + 22, short(value)
            )
        )
    parts.append(
        Markup('<text class="name" x="{}" y="{}">{}</text>').format(
            WIDTH - RIGHT, HEIGHT - 4, x_label
        )
    )
    for each in drawn:
        parts.append(_line([place(point) for point in each.points], each.style))
    if mark:
        x, y = place(mark)
        parts.append(Markup('<circle class="mark" cx="{}" cy="{}" r="6"/>').format(x, y))
    return Markup("").join([*parts, Markup("</svg>")])


def _steps(left: float, right: float) -> list[float]:
    """Returns the ticks of the x axis: whole steps only."""
    return [value for value in ticks(left, right, 5) if float(value).is_integer()] or [left]


def _line(places: Sequence[Point], style: str) -> Markup:
    path = " ".join(f"{x:g},{y:g}" for x, y in places)
    line = Markup('<polyline class="line {}" points="{}"/>').format(style, path)
    if len(places) > FEW_POINTS:
        return line
    dots = [
        Markup('<circle class="dot {}" cx="{}" cy="{}" r="3.5"/>').format(escape(style), x, y)
        for x, y in places
    ]
    return line + Markup("").join(dots)
