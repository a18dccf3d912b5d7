"""Points stand where their logarithms say, and no name covers another."""

from __future__ import annotations

import re

import pytest

from tunesmith.report.scatter import HEIGHT, LEFT, LETTER, LINE, WIDTH, Dot, powers, scatter


def spots(svg: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for x, y in re.findall(r'<circle class="point [a-z]*" cx="([\d.]+)" cy="([\d.]+)"', svg)
    ]


def draw(dots: list[Dot], level: tuple[str, float] | None = None) -> str:
    return str(scatter(dots, label="a", x_label="weights", y_label="accuracy", level=level))


def test_equal_ratios_are_equal_distances():
    (a, low), (b, middle), (c, high) = spots(
        draw([Dot(str(n), 10.0**n, n / 10, n / 10, n / 10) for n in (3, 5, 7)])
    )
    assert b - a == pytest.approx(c - b, abs=0.2) and a < b
    assert low - middle == pytest.approx(middle - high, abs=0.2) and low > middle


def test_there_are_round_numbers_on_the_axis_however_narrow_it_is():
    assert powers(3.9, 7.1) == [1e4, 1e5, 1e6, 1e7]
    assert powers(0.0, 1.0) == [1, 3, 10]
    assert powers(0.25, 0.6) == [2, 3]


def test_names_cover_neither_each_other_nor_a_point():
    dots = [
        Dot(f"method {n}", 1e6 * 1.02**n, 0.8 + 0.004 * (n % 3), 0.79, 0.82) for n in range(8)
    ] + [Dot("far", 1e3, 0.2, 0.1, 0.3)]
    svg = draw(dots)
    boxes = []
    for anchor, x, y, name in re.findall(
        r'<text class="named (tag-\w+)" x="([\d.]+)" y="([\d.]+)" dy="0.35em">([^<]+)<', svg
    ):
        width, start = LETTER * len(name), float(x)
        start -= width if anchor == "tag-left" else 0
        boxes.append((start, float(y) - LINE / 2, start + width, float(y) + LINE / 2))
    assert len(boxes) == 9
    for index, one in enumerate(boxes):
        assert one[0] >= LEFT and one[2] <= WIDTH and one[3] <= HEIGHT
        assert not any(
            one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
            for other in boxes[:index]
        )
        assert not any(one[0] < x < one[2] and one[1] < y < one[3] for x, y in spots(svg))


def test_the_base_is_a_line_where_it_is_near_and_nothing_is_drawn_of_nothing():
    dots = [Dot("a", 1e3, 0.5, 0.4, 0.6), Dot("<b>", 1e4, 0.6, 0.5, 0.7)]
    assert 'class="level"' in draw(dots, ("base", 0.45)) and 'class="level"' not in draw(
        dots, ("base", 0.1)
    )
    assert "&lt;b&gt;" in draw(dots) and draw([]) == "" and draw([Dot("a", 0, 1, 1, 1)]) == ""
