"""``prune`` as a process, on a run and its own rows; the lighter model is trained on."""

from __future__ import annotations

import pytest

from material.terminal import Done, Terminal


@pytest.mark.slow  # 6 s
def test_a_run_is_pruned_and_trained_on(trained: tuple[Terminal, Done]) -> None:
    terminal, _ = trained
    asked = ("share=0.5", "items=4", "generate.max_new_tokens=4", "require=same")
    done = terminal("prune", "run", "light", *asked, "--json", "--lang", "en")
    assert done.code == 1 and "prune.require asks for: same" in done.error
    assert done.json()["task"]["items"] == 4 and done.json()["format"] == "layers"
    healed = terminal("train", "settings.yaml", "model=light", "out=healed", "train.steps=2")
    assert healed.code == 0, healed.error
