"""``prove``, ``predict``, ``report`` and ``runs`` as processes."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from material.terminal import Done, Terminal, rows


def test_prove_predict_report_runs(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    proof = terminal("prove", "run", "--items", "6", "--json")
    assert proof.code == 0, proof.error
    assert (
        proof.json()["verdict"] in ("improved", "worse", "not shown") and proof.json()["items"] == 6
    )
    page = terminal.cwd / "run/report.html"
    page.unlink()
    again = terminal("eval", "run", "--items", "6", "--shots", "0", "--lang", "zh")
    assert again.code == 0 and again.out.endswith("报告：run/report.html\n")
    assert "tunesmith prove" not in page.read_text(encoding="utf-8"), "it is proved"

    asked = "".join(
        json.dumps({"id": n, "instruction": row["instruction"]}) + "\n"
        for n, row in enumerate(rows(3))
    )
    done = terminal("predict", "run", "-", stdin=asked)
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0 and [(row["id"], row["instruction"]) for row in answers] == [
        (n, row["instruction"]) for n, row in enumerate(rows(3))
    ]
    assert all(isinstance(row["prediction"], str) for row in answers)
    (terminal.cwd / "asked.jsonl").write_text(asked, encoding="utf-8")
    (terminal.cwd / "link.jsonl").symlink_to("answers.jsonl")
    done = terminal("infer", "run", "asked.jsonl", "--out", "link.jsonl", "--lang", "en")
    assert (
        done.code == 0
        and done.out == "written: link.jsonl\n"
        and (terminal.cwd / "link.jsonl").is_symlink()
    )
    assert [
        json.loads(line)
        for line in (terminal.cwd / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    ] == answers
    (terminal.cwd / "bad.json").write_text('[{"instruction": "a"}, {"foo": 1}]', encoding="utf-8")
    bad = terminal("predict", "run", "bad.json", "--lang", "en")
    assert bad.code == 2 and bad.error.startswith("bad.json:2: has no question"), bad
    assert "The row has the columns foo;" in bad.error
    none = terminal("prove", "run", "--items", "0", "--lang", "en")
    assert none.code == 2 and "items: must be above 0" in none.error
    broken = terminal("predict", "run", "-", "--lang", "en", stdin='{"instruction": "a"}\n[1]\n')
    assert broken.code == 2 and "line 2 of standard input is not a JSON object" in broken.error

    assert terminal("report", "run", "--lang", "zh").code == 0
    assert page.read_text(encoding="utf-8").startswith("<!")
    table = terminal("runs", ".", "--json").json()["runs"]
    assert [row["name"] for row in table] == ["run"]
    assert "run" in terminal("runs", ".").out
    assert terminal("runs", "absent").code == 2


def test_a_verdict_that_was_required_and_not_given_is_told_beside_the_one_json_object(
    trained: tuple[Terminal, Done],
):
    terminal, _ = trained
    shutil.copytree(terminal.cwd / "run", terminal.cwd / "strict")
    settings = (terminal.cwd / "strict/run.yaml").read_text(encoding="utf-8")
    read = yaml.safe_load(settings)
    assert read["prove"]["require"] is None
    read["prove"]["require"] = "improved"
    changed = yaml.safe_dump(read, allow_unicode=True)
    (terminal.cwd / "strict/run.yaml").write_text(changed, encoding="utf-8")
    done = terminal("prove", "strict", "--items", "6", "--shots", "0", "--json", "--lang", "en")
    shutil.rmtree(terminal.cwd / "strict")
    assert done.code == 1 and done.json()["verdict"] == "not shown"
    assert done.error.strip().endswith(
        "the verdict is not proven, and prove.require asks for improved"
    )


@pytest.mark.slow  # 3 s
def test_what_has_to_be_retained_and_is_not_shown_ends_with_1(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    shutil.copytree(terminal.cwd / "run", terminal.cwd / "gate")
    settings = (terminal.cwd / "gate/run.yaml").read_text(encoding="utf-8")
    assert "retain: null" in settings
    changed = settings.replace("retain: null", "retain: kept")
    (terminal.cwd / "gate/run.yaml").write_text(changed, encoding="utf-8")
    asked = "".join(f'{{"question": "q{n}?", "answer": "a{n}"}}\n' for n in range(5))
    (terminal.cwd / "own.jsonl").write_text(asked, encoding="utf-8")
    suite = ("--suite", "rows=own.jsonl")
    done = terminal("prove", "gate", "--items", "6", "--shots", "0", *suite, "--json")
    shutil.rmtree(terminal.cwd / "gate")
    assert done.code == 1 and done.json()["retention"]["verdict"] == "not shown"
    assert done.json()["retention"]["suites"]["own"]["items"] == 5
    assert "prove.retain asks for (kept)" in done.error
