"""``generate`` as a process, with a finished run as the teacher."""

from __future__ import annotations

import json
import shutil

from material.terminal import Done, Terminal, rows


def test_generate(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    asked = "".join(
        json.dumps({"id": n, "instruction": row["instruction"]}) + "\n"
        for n, row in enumerate(rows(3))
    )
    (terminal.cwd / "questions.jsonl").write_text(asked, encoding="utf-8")
    words = (
        "generate",
        "model=run",
        "data=questions.jsonl",
        "out=taught.jsonl",
        "generate.max_new_tokens=4",
        "teacher.cut=keep",
    )
    done = terminal(*words, "--json")
    assert done.code == 0, done.error
    written = [
        json.loads(line)
        for line in (terminal.cwd / "taught.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert done.json()["written"] == len(written) and done.json()["rows"] == 3
    assert all(
        row["messages"][0]["content"] == rows(3)[row["id"]]["instruction"] for row in written
    )
    again = terminal(*words, "--lang", "en")
    assert again.code == 2 and "out: taught.jsonl already exists; choose another out" in again.error
    shown = terminal(*words, "out=other.jsonl", "--lang", "zh")
    assert shown.code == 0 and "已写入：other.jsonl" in shown.out


def test_where_a_refused_setting_says_to_change_answers_they_change(
    trained: tuple[Terminal, Done],
) -> None:
    terminal, _ = trained
    shutil.copytree(terminal.cwd / "run", terminal.cwd / "brief")
    refused = terminal("predict", "brief", "rows.json", "generate.max_new_tokens=1", "--lang", "en")
    assert refused.code == 2 and "generate in brief/run.yaml" in refused.error
    before = terminal("predict", "brief", "rows.json").out.splitlines()
    file = terminal.cwd / "brief" / "run.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count("  max_new_tokens: 8") == 1
    file.write_text(text.replace("  max_new_tokens: 8", "  max_new_tokens: 1"), encoding="utf-8")
    after = terminal("predict", "brief", "rows.json").out.splitlines()
    told = [[len(json.loads(line)["prediction"]) for line in lines] for lines in (before, after)]
    assert len(told[0]) == len(told[1]) and sum(told[1]) < sum(told[0]) / 2
    shutil.rmtree(terminal.cwd / "brief")  # other tests list the runs of this folder
