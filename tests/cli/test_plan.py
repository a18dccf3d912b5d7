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


def test_check_shows_a_row_and_asks_the_base(trained: tuple[Terminal, Done], tiny_llama: Path):
    terminal, _ = trained
    done = terminal("check", "settings.yaml", "--row", "1", "--lang", "en")
    assert done.code == 0 and "rows.json:1: a " in done.out and "⟦the name is 0" in done.out
    (row,) = terminal("check", "settings.yaml", "--row", "rows.json:1", "--json").json()["rows"]
    assert {token["weight"] for token in row["sequences"][0]["tokens"]} == {0, 1}
    asked = terminal("check", "settings.yaml", "--base", "--json").json()
    assert asked["rows"] == asked["of"] > 60 and asked["known"] == []


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
