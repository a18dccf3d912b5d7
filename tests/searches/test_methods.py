"""The best of each method: by closed cases, and in the lines and on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from material.page import Page
from tunesmith.report.search_page import method_lines, write_page
from tunesmith.searches.methods import by_method
from tunesmith.settings.run import Run, validate


def run_of(method: Any) -> Run:
    return validate({"model": "starter", "data": "rows.json", "out": "out", "method": method})


def trials(*of: tuple[dict[str, Any], float, float | None]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number, (values, share, score) in enumerate(of):
        one = {"run": f"{number:03d}", "values": values, "share": share, "score": score}
        ended = {"watch": None, "reason": "why"} if score is None else {"watch": {"loss": score}}
        found.append(one | ended | ({} if score is None else {"seconds": 10.0 + number}))
    return found


TRIED = trials(
    ({}, 0.1, 3.0),
    ({"method.name": "lora", "method.rank": 4}, 0.1, 2.0),
    ({"method.name": "ia3", "train.learning_rate": 0.02}, 0.1, 1.0),
    ({"method.name": "full", "method.rank": 4}, 0.1, None),
    ({"method.name": "ia3", "train.learning_rate": 0.02}, 0.3, 1.9),
    ({"method.name": "lora", "method.rank": 4}, 0.3, 1.8),
    ({"method.name": "ia3", "train.learning_rate": 0.01}, 0.3, None),
)


def test_each_method_has_its_best_of_those_trained_longest_and_what_failed_is_last() -> None:
    assert by_method(run_of("lora"), TRIED) == [
        {"method": "lora", "run": "005"},
        {"method": "ia3", "run": "004"},
        {"method": "full", "run": "003"},
    ]


def test_the_run_as_given_is_of_its_own_method_with_the_settings_of_that() -> None:
    own = run_of({"name": "lora", "rank": 32})
    of = ({}, 0.3, 2.0), ({"method": "lora", "train.learning_rate": 1e-4}, 0.3, 1.0)
    other = {"method": {"name": "lora", "variant": "dora"}, "method.rank": 4}
    assert by_method(own, trials(*of)) == [], "one method has no table"
    assert by_method(own, trials(*of, (other, 0.3, 3.0))) == [
        {"method": "lora rank=32", "run": "001"},
        {"method": "lora variant=dora", "run": "002"},
    ]


def test_lines_and_page_tell_the_best_of_each_method(tmp_path: Path) -> None:
    found: dict[str, Any] = {"chosen_by": "loss", "trials": TRIED, "front": [], "importance": []}
    found |= {"methods": by_method(run_of("lora"), TRIED), "best": TRIED[5]["values"]}
    head, *rows, empty = method_lines(found)
    assert head and empty == "" and [row.split()[0] for row in rows] == ["lora", "ia3", "full"]
    wanted = ["lora", "30", "%", "1.8000", "15", "s", "005", "method.name=lora", "method.rank=4"]
    assert rows[0].split() == wanted
    write_page(found, tmp_path / "search.html")
    page = Page((tmp_path / "search.html").read_text(encoding="utf-8"))
    assert page.tags.count("table") == 2 and head in page.text
    write_page(found | {"methods": []}, tmp_path / "search.html")
    page = Page((tmp_path / "search.html").read_text(encoding="utf-8"))
    assert page.tags.count("table") == 1 and head not in page.text
    assert method_lines(found | {"methods": []}) == []
