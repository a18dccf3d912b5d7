"""The suites: the built-in questions have right answers that their rules take, and benchmarks are
read as they are published.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

if hasattr(re, "_parser"):
    from re import _parser as parser  # type: ignore[attr-defined]
else:
    import sre_parse as parser

from tunesmith import api
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Chat, Text
from tunesmith.settings.run import validate
from tunesmith.suites import Question, suites_of
from tunesmith.suites._rules import EITHER, RULES

RUN = validate({"model": "m", "data": "d.json", "out": "runs/x"})
NO_ANSWERS = ("", "I do not know what you mean by that.", "我不明白你的意思。")


def questions(*given: str) -> list[Question]:
    return [one for suite in suites_of(given, RUN) for one in suite.questions()]


def shortest(pattern: str) -> str:
    """A text that a regular expression matches whole."""

    def of(tree: object) -> str:
        said = ""
        for kind, value in tree:  # type: ignore[attr-defined]
            name = str(kind)
            if name == "LITERAL":
                said += chr(value)
            elif name == "MAX_REPEAT":
                said += of(value[2]) * value[0] if value[0] else ""
            elif name == "IN":
                said += chr(next(one[1] for one in value if str(one[0]) == "LITERAL"))
            elif name == "SUBPATTERN":
                said += of(value[-1])
            else:
                assert name == "BRANCH", name
                said += of(value[1][0])
        return said

    return of(parser.parse(pattern))


def test_the_probe_has_200_questions_20_of_each_kind_in_each_language() -> None:
    found = questions("probe")
    kinds = ("facts", "arithmetic", "instructions", "format", "refusal")
    assert Counter(one.kind for one in found) == {
        f"{kind} ({language})": 20 for kind in kinds for language in ("en", "zh")
    }


def test_harmful_and_harmless_requests_balance() -> None:
    found = questions("safety")
    assert Counter((one.kind, one.rule) for one in found) == {
        (f"{kind} ({language})", rule): 20
        for kind, rule in (("harmful", "refuses"), ("harmless", "complies"))
        for language in ("en", "zh")
    }


@pytest.mark.parametrize("one", questions("probe", "safety"), ids=lambda one: one.id)
def test_every_built_in_question_takes_its_right_answer_and_no_other(one: Question) -> None:
    assert isinstance(one.example, Chat)
    rule, right = RULES[one.rule], one.example.answer
    if one.rule == "refuses":
        assert rule("I'm sorry, but I can't help with that.", right)
        assert rule("抱歉，我不能提供这方面的帮助。", right)
        assert not rule("Sure, first you need", right) and not rule("", right)
        return
    if one.rule == "complies":
        assert rule("Sure: it is simple.", right)
        assert not rule("I'm sorry, but I can't help with that.", right) and not rule("", right)
        return
    answers = [shortest(right)] if one.rule == "pattern" else right.split(EITHER)
    for answer in answers:
        assert rule(answer, right), answer
        if one.rule in ("contains", "number"):
            assert rule(f"The answer is {answer}.", right) and rule(f"答案是{answer}。", right)
    assert not any(rule(answer, right) for answer in NO_ANSWERS)


@pytest.mark.parametrize(
    ("rule", "answer", "right", "taken"),
    [
        ("contains", "It is Paris, of course.", "Paris", True),
        ("contains", "Parish", "Paris", False),
        ("contains", "悟空保护唐僧", "孙悟空 | 悟空", True),
        ("number", "6 times 7 is 42.", "42", True),
        ("number", "42 or 43", "42", False),
        ("number", "1,000", "1000", True),
        ("number", "none", "42", False),
        ("same", " Yes.", "yes", True),
        ("same", "yes, sir", "yes", False),
        ("same", " > ", ">", True),
        ("same", "<", ">", False),
        ("same", "", ">", False),
        ("contains", "2 > 1", "> | =", True),
        ("contains", "2 is more", "> | =", False),
        ("json", '```json\n{"a": 1}\n```', '{"a": 1}', True),
        ("json", 'Here: {"a": 1}', '{"a": 1}', False),
        ("json", "[" * 5000, '{"a": 1}', False),
        ("json", '{"a": 1.0}', '{"a": 1}', True),
        ("pattern", "RIVER", "RIVER", True),
        ("pattern", "river", "RIVER", False),
    ],
)
def test_rules(rule: str, answer: str, right: str, taken: bool) -> None:
    assert RULES[rule](answer, right) == taken


@pytest.mark.parametrize(
    ("path", "rule", "letters", "kinds"),
    [
        pytest.param("mmlu_en/test", "option", {4}, 8, marks=pytest.mark.slow),
        ("cmmlu_zh/test", "option", {4}, 8),
        ("agieval/aqua-rat.jsonl", "option", {5}, 1),
        ("agieval/gaokao-history.jsonl", "option", {4}, 1),
        ("gsm8k_en/train.jsonl", "number", {0}, 1),
        ("cmath_zh/cmath_dev.jsonl", "number", {0}, 1),
    ],
)
def test_benchmarks_are_read_as_they_are_published(
    shared_data: Path, path: str, rule: str, letters: set[int], kinds: int
) -> None:
    found = questions(f"rows={shared_data / path}")
    assert len(found) == 200 and {one.rule for one in found} == {rule}
    assert {len(one.options) for one in found} == letters
    assert len({one.kind for one in found}) == kinds
    for one in found:
        assert isinstance(one.example, Chat)
        if rule == "option":
            assert one.example.answer in one.options
        else:
            assert re.fullmatch(r"-?[\d,./%]+", one.example.answer)


@pytest.mark.parametrize(
    ("row", "more", "rule", "answer"),
    [
        ({"question": "q?", "answer": "so 3.\n#### 3 apples"}, {}, "number", "3 apples"),
        ({"question": "q?", "answer": "He is.\n#### yes"}, {}, "same", "yes"),
        ({"question": "q?", "answer": "3/4"}, {}, "number", "3/4"),
        ({"question": "q?", "answer": "three"}, {}, "same", "three"),
        ({"question": "q?", "answer": "3"}, {"rule": "same"}, "same", "3"),
        (
            {"problem": "q?", "solution": "so $4$", "answer": "4"},
            {"columns": {"question": "problem", "answer": "answer"}},
            "number",
            "4",
        ),
    ],
)
def test_the_rule_follows_from_the_answers(
    row: dict[str, str], more: dict[str, object], rule: str, answer: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"extra": 1}) + "\n")
    (first, _) = (
        one
        for suite in suites_of([{"name": "rows", "path": str(path), **more}], RUN)
        for one in suite.questions()
    )
    assert isinstance(first.example, Chat)
    assert (first.rule, first.example.answer) == (rule, answer)


def test_a_part_of_a_benchmark_is_named_with_its_folder() -> None:
    given = ["rows=mmlu/test", "rows=cmmlu/test", "rows=a/svamp.jsonl", "text=test.txt"]
    titles = [suite.title for suite in suites_of(given, RUN)]
    assert titles == ["mmlu/test", "cmmlu/test", "svamp", "test"]


def test_columns_that_no_reader_knows_are_named_beside_the_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"problem": "q?", "solution": "s", "level": "5", "answer": "4"}\n')
    with pytest.raises(DataError, match=r"--suite '\{name: rows, path: .*, columns: "):
        questions(f"rows={path}")
    texts = {"name": "text", "path": str(path), "columns": {"text": "solution"}}
    (suite,) = suites_of([texts], RUN)
    (one,) = suite.questions()
    assert isinstance(one.example, Text) and one.example.text == "s"


def test_own_rows_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"question": f"q{n}?", "answer": f"a {n}"} for n in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert [one.rule for one in questions(f"rows={path}")] == ["same"] * 5
    with pytest.raises(DataError, match="no row that is read as plain text") as error:
        questions(f"text={path}")
    assert f"--suite '{{name: text, path: {path}, columns: {{…}}}}'" in str(error.value)
    with pytest.raises(SpecError, match="probe, rows, safety, text"):
        questions("prob")
    with pytest.raises(SpecError, match="path"):
        questions("rows")
    with pytest.raises(DataError, match=r"none\.jsonl"):
        questions(f"rows={tmp_path / 'none.jsonl'}")


@pytest.mark.slow  # 8 s
def test_suites_are_explained_and_refused_where_nothing_is_written(tmp_path: Path) -> None:
    from tunesmith.settings.explain import explain

    (page,) = explain("suites")
    assert [entry.name for entry in page.entries] == ["lm_eval", "probe", "rows", "safety", "text"]
    (one,) = suites_of(["{name: rows, path: mine.jsonl, items: 4}"], RUN)
    assert (one.title, one.config.items) == ("mine", 4)
    rows = [{"text": f"text {n}", "label": str(n % 2)} for n in range(30)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = {"model": "starter", "data": str(path), "out": str(tmp_path / "run")}
    made = api.plan({**asked, "objective": "classify", "prove": {"suites": "probe"}})
    assert any(one.where == "prove.suites" for one in made.problems)
