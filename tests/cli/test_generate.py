"""``generate`` as a process, with a finished run as the teacher."""

from __future__ import annotations

import json

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
