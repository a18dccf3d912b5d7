"""``check`` and ``plan`` as processes."""

from __future__ import annotations

from pathlib import Path

from material.terminal import Done, Terminal


def test_check(trained: tuple[Terminal, Done], tiny_llama: Path):
    terminal, _ = trained
    done = terminal("check", "rows.json", f"model={tiny_llama}", "--lang", "en")
    assert (
        done.code == 0
        and "read as alpaca, 120 rows" in done.out
        and "the name is 0<|im_end|>" in done.out
    )
    told = terminal("check", "settings.yaml", "--json").json()
    assert (told["rows"], told["trained"] + told["watch"] + told["proof"]) == (120, 120)
    assert len(told["samples"]) == 3
    zh = terminal("check", "rows.json", f"model={tiny_llama}", "--lang", "zh")
    assert zh.code == 0 and "行" in zh.out and "rows" not in zh.out.replace("rows.json", "")


def test_plan(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    done = terminal("plan", "settings.yaml", "out=other", "method.rank=2", "--lang", "en")
    assert done.code == 0 and "method.rank" in done.out and not (terminal.cwd / "other").exists()
    told = terminal("plan", "settings.yaml", "out=other", "--json", "--probe").json()
    assert (
        told["facts"]["probe"]["tokens"] > 0
        and told["origins"]["train.learning_rate"]["kind"] == "given"
    )
    bad = terminal(
        "plan",
        "settings.yaml",
        "method.targets=nothing",
        "train.cycles=4",
        "--json",
        "--lang",
        "en",
    )
    assert bad.code == 2
    assert {problem["where"] for problem in bad.json()["problems"]} == {
        "out",
        "method.targets",
        "train.cycles",
    }
