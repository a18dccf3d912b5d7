"""What is wrong with what a proof is given is one clear line on the command line; what can still be
said is said.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from material.judging import judge_that_says
from material.proved import labelled, trained
from tunesmith.cli.main import main
from tunesmith.storage.run_folder import RunFolder

Prove = Callable[..., tuple[int, str, str]]


ASKED = '{{"question": "which?", "A": "1", "B": "2", "C": "3", "D": "4", "answer": "{answer}"}}\n'
"""A question with options, as MMLU has them."""


@pytest.fixture
def prove(adapter_run: RunFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Prove:
    """Proves a copy of a tiny run as it is typed; gives the exit code, what was printed, and the
    lines of what is wrong.
    """

    def typed(*words: str, before: Callable[[Path], None] | None = None) -> tuple[int, str, str]:
        copy = tmp_path / "run"
        shutil.copytree(adapter_run.path, copy, dirs_exist_ok=True)
        if before is not None:
            before(copy)
        capsys.readouterr()
        code = main(["prove", str(copy), "--lang", "en", "--items", "5", "--shots", "0", *words])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return typed


def in_all(files: list[str], old: str, new: str) -> Callable[[Path], None]:
    """Makes a change of a run's files that puts ``new`` in the place of ``old``."""

    def change(run: Path) -> None:
        for name in files:
            text = (run / name).read_text(encoding="utf-8")
            assert old in text, f"{name} has {old}"
            (run / name).write_text(text.replace(old, new), encoding="utf-8")

    return change


def test_a_base_that_is_gone_is_named(prove: Prove, tiny_llama: Path) -> None:
    names = ["run.yaml", "model/tunesmith.json", "model/adapter_config.json"]
    code, _, told = prove(before=in_all(names, str(tiny_llama), "/nowhere/base"))
    assert code == 2 and "/nowhere/base: there is no such folder" in told


def test_a_changed_template_is_told_before_anything_is_scored(prove: Prove) -> None:
    change = in_all(["model/chat_template.jinja"], "assistant", "helper")
    code, out, told = prove(before=change)
    assert code == 2 and "the tokenizer or its chat template was changed after the run" in told
    assert out == ""


def with_rows(
    change: Callable[[list[dict[str, str]]], None], folder: Path
) -> Callable[[Path], None]:
    """Makes a run point to a changed copy of its rows."""

    def point(run: Path) -> None:
        text = (run / "run.yaml").read_text(encoding="utf-8")
        (old,) = re.findall(r"path: (\S+rows\.json)", text)
        rows = json.loads(Path(old).read_text(encoding="utf-8"))
        change(rows)
        (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
        in_all(["run.yaml"], old, str(folder / "rows.json"))(run)

    return point


def test_a_changed_file_is_told_before_anything_is_scored(prove: Prove, tmp_path: Path) -> None:
    change = with_rows(lambda rows: rows[0].update(output="other"), tmp_path)
    code, out, told = prove(before=change)
    assert code == 2 and out == "" and "data.path: the data, or how it is read, has changed" in told


def test_a_file_that_is_gone_is_named(prove: Prove, tmp_path: Path) -> None:
    change = with_rows(lambda rows: None, tmp_path)

    def gone(run: Path) -> None:
        change(run)
        (tmp_path / "rows.json").unlink()

    code, out, told = prove(before=gone)
    assert code == 2 and out == "" and f"{tmp_path / 'rows.json'}: there is no such file" in told


def test_of_too_few_rows_no_verdict_is_given_and_what_they_gave_is_said(prove: Prove) -> None:
    code, out, _ = prove()
    assert code == 0 and "5 rows are too few for a verdict, which takes at least 20." in out
    assert "Verdict: not proven. accuracy " in out and "difference " in out
    assert "Row by row against the base" in out


@pytest.mark.slow  # 3 s
def test_a_run_that_held_nothing_out_says_how_to_hold_out(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = {"steps": 1, "keep": {"evaluate": 0, "save": 0}}
    data = {"path": str(tmp_path / "rows.json"), "held_out": 0}
    run = trained(tmp_path, tiny_llama, labelled(40), data=data, train=train)
    capsys.readouterr()
    assert main(["prove", str(run.path), "--lang", "en"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "data.held_out: the run kept no rows for a proof" in told.err
    # What needs no rows of its own can still be asked.
    file = tmp_path / "other.json"
    file.write_text(json.dumps(labelled(120)[80:]), encoding="utf-8")
    words = ["prove", str(run.path), "--lang", "en", "--shots", "0", "--data", str(file)]
    assert main(words) == 0 and "Verdict" in capsys.readouterr().out


def test_an_unknown_metric_is_told_before_a_row_is_read(prove: Prove) -> None:
    code, out, told = prove("--metric", "nosuch")
    assert code == 2 and out == "" and "unknown metric 'nosuch'; known: accuracy" in told
    assert "splitting" not in told


def test_a_metric_that_does_not_fit_is_told_with_those_that_do(prove: Prove) -> None:
    code, out, told = prove("--metric", "entity_f1")
    assert code == 2 and out == ""
    assert "entity_f1 cannot be computed on the rows of sft; use accuracy" in told


@pytest.mark.parametrize("name", ["json_fields", "number"])
def test_a_metric_that_finds_nothing_to_compare_is_told(name: str, prove: Prove) -> None:
    """Each F1 of values would be 1 where no answer is JSON."""
    code, out, told = prove("--metric", name)
    assert code == 2 and out == "" and f"{name} finds nothing to compare" in told
    assert "use: accuracy" in told and f"{name}," not in told.partition("use: ")[2]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (("--metric", "regex"), "prove.metrics.0.pattern: nothing is given"),
        (("--metric", "regex"), "tunesmith explain prove.metrics\n"),
        (("--metric", "{name:"), "--metric:1: this is not YAML"),
        (("--metric", "none.py:polite"), "write ./FILE.py:FUNCTION"),
        (("--suite", "rows="), "prove.suites.0.path: nothing is given"),
        (("--suite", "rows"), "tunesmith explain prove.suites\n"),
    ],
)
def test_settings_that_are_absent_are_named_with_the_page_that_explains_them(
    what: tuple[str, str], line: str, prove: Prove
) -> None:
    code, out, told = prove(*what)
    assert code == 2 and out == "" and line in told


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("rows", '{"a": 1}\n', "say which column is which"),
        ("rows", '{"question": "x", "answer"\n', "suite.jsonl:1: this is not valid JSON"),
        ("text", '{"a": 1}\n', "say which column is which"),
        ("rows", ASKED.format(answer="E"), "suite.jsonl:1:answer: E is not one of the options"),
        ("rows", None, "there is no such file"),
        ("nosuch", "x", "unknown suite 'nosuch'; known: lm_eval, probe, rows, safety, text"),
    ],
)
def test_a_suite_in_the_wrong_layout_is_told(
    kind: str, text: str | None, line: str, prove: Prove, tmp_path: Path
) -> None:
    file = tmp_path / "suite.jsonl"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    code, out, told = prove("--suite", kind if kind == "nosuch" else f"{kind}={file}")
    assert code == 2 and line in told and out == ""


def test_a_judge_that_answers_nonsense_grades_nothing_and_the_rest_is_said(prove: Prove) -> None:
    with judge_that_says("banana") as url:
        code, out, _ = prove("--metric", f"{{name: judge, url: {url}, model: x}}")
    assert code == 0, "it decides nothing"
    assert "gave no grade for 5 of 5 items" in out and "banana" in out
    # Five rows give no verdict, and that is said too.
    assert "5 rows are too few for a verdict" in out


@pytest.mark.parametrize(
    ("status", "whole", "told"),
    [
        pytest.param(401, None, "did not judge: it answered 401", marks=pytest.mark.slow),
        (200, "<html>hello</html>", "is no reply of an OpenAI-compatible /chat/completions"),
        pytest.param(
            *(200, "{}", "is no reply of an OpenAI-compatible /chat/completions"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_no_judge_is_said_in_plain_words(
    status: int, whole: str | None, told: str, prove: Prove
) -> None:
    with judge_that_says("A", status=status, whole=whole) as url:
        code, out, _ = prove("--metric", f"{{name: judge, url: {url}, model: x}}")
    assert code == 0 and told in out and "Verdict" in out
    assert "Error(" not in out, "no name of Python's"


@pytest.mark.parametrize("url", ["http://", "http://[::1/v1", "http://host:port/v1", "HOST/v1"])
@pytest.mark.parametrize("what", ["--metric", "--suite"])
def test_an_address_without_a_host_is_told_before_anything_is_scored(
    what: str, url: str, prove: Prove
) -> None:
    name = "judge" if what == "--metric" else "safety"
    code, out, told = prove(what, f"{{name: {name}, url: '{url}', model: x}}")
    assert code == 2 and out == "" and f"'{url}' is not an address" in told


@pytest.mark.parametrize("url", ["http://", "http://[::1/v1", "http://host:port/v1"])
def test_an_endpoint_without_a_host_is_no_contender(url: str, prove: Prove) -> None:
    code, out, told = prove("--against", url)
    assert code == 2 and out == "" and "is not an address" in told


@pytest.mark.slow  # 3 s; one that answers nonsense is asked below
def test_a_judge_that_is_down_grades_nothing_and_the_rest_is_said(prove: Prove) -> None:
    code, out, _ = prove("--metric", "{name: judge, url: http://127.0.0.1:9/v1, model: x}")
    assert code == 0 and "gave no grade for 5 of 5 items" in out and "127.0.0.1:9" in out
    assert "Verdict" in out


def test_a_judge_whose_address_is_none_is_told_before_anything_is_scored(prove: Prove) -> None:
    code, out, told = prove("--metric", "{name: judge, url: banana, model: x}")
    assert code == 2 and out == "" and "prove.metrics" in told and "banana" in told
