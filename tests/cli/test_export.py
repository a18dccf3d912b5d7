"""``export`` and ``chat`` as processes."""

from __future__ import annotations

from material.terminal import Done, Terminal


def test_export_and_chat(trained: tuple[Terminal, Done]):
    terminal, _ = trained
    done = terminal("export", "run", "merged", "--json")
    assert done.code == 0, done.error
    assert done.json()["out"] == "merged" and (terminal.cwd / "merged/model.safetensors").is_file()
    wrong = terminal("export", "run", "merged2", "--which", "newest", "--lang", "en")
    assert wrong.code == 2 and "--which: newest is not one of model, best, step-" in wrong.error
    gone = terminal("export", "run", "merged2", "--which", "step-99", "--lang", "en")
    assert gone.code == 2 and "step-99 is not among the checkpoints" in gone.error
    talk = terminal(
        "chat",
        "run",
        "--lang",
        "en",
        stdin="what is the name of 3\n/new\nwhat is the name of 4\n\n",
    )
    assert talk.code == 0, talk.error
    # A pipe gets the answers alone.
    assert "you>" not in talk.out and "Ctrl-D" not in talk.out and len(talk.out.splitlines()) >= 2
