"""Python's side of the verbs: what the package shows, and what is said of settings that are
none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith import api, words
from tunesmith.errors import SpecError


def test_the_package_shows_its_names():
    assert dir(ts) == sorted(ts.__all__)
    assert {"train", "prove", "predict"} < set(api.__all__)
    assert set(api.__all__) <= set(ts.__all__), "every verb is there in Python"
    assert all(getattr(ts, name) is getattr(api, name) for name in api.__all__)


@pytest.mark.parametrize("verb", ["check", "plan", "train", "rlhf", "tournament", "generate"])
@pytest.mark.parametrize("settings", [None, ["model=x"], 3], ids=str)
def test_settings_that_are_none_are_told(verb: str, settings: Any):
    words.use("en")
    with pytest.raises(
        SpecError, match=r'^settings: .*{"model": …, .* path of a YAML file'
    ) as caught:
        getattr(ts, verb)(settings)
    assert str(caught.value).endswith(f"got a {type(settings).__name__}")


def test_a_path_is_taken_as_a_path_and_as_a_text(tmp_path: Path):
    words.use("en")
    (tmp_path / "run.yaml").write_text("model: x\nout: y\n", encoding="utf-8")
    for path in (tmp_path / "run.yaml", str(tmp_path / "run.yaml")):
        with pytest.raises(SpecError, match="data: nothing is given, and it is required"):
            ts.plan(path)
