"""A blend is chosen on rows that neither train nor prove, and what is written is a run like any
other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from material.proved import labelled, trained
from tunesmith import api, words
from tunesmith.blending.curve import chosen
from tunesmith.cli.main import main
from tunesmith.errors import DataError, SpecError
from tunesmith.events.stream import Event, Phase
from tunesmith.storage.run_folder import RunFolder


def point(alpha: float, score: float, *differences: float) -> dict[str, Any]:
    suites = {str(n): {"difference": one, "margin": 0.05} for n, one in enumerate(differences)}
    return {"alpha": alpha, "task": {"score": score}, "retention": {"suites": suites}}


@pytest.mark.parametrize(
    ("scores", "losses", "primary", "alpha"),
    [
        ((0.2, 0.7, 0.9), (0.0, 0.04, 0.2), "accuracy", 0.5),  # the best loses too much
        ((0.2, 0.7, 0.9), (0.0, 0.04, 0.05), "accuracy", 1.0),  # the margin itself may be lost
        ((0.2, 0.7, 0.7), (0.0, 0.0, 0.0), "accuracy", 0.5),  # of equal ones the nearer to base
        ((2.0, 1.0, 0.5), (0.0, 0.0, 0.2), "nll", 0.5),  # lower is better
        ((0.2, 0.7, 0.9), (0.0, 0.1, 0.2), "accuracy", 0.0),
    ],
)
def test_the_best_that_keeps_enough_is_chosen(
    scores: tuple[float, ...], losses: tuple[float, ...], primary: str, alpha: float
) -> None:
    made = [
        point(at, score, -lost, 0.1)
        for at, score, lost in zip((0.0, 0.5, 1.0), scores, losses, strict=True)
    ]
    assert chosen(made, primary)["alpha"] == alpha


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Rows of the task too: more of what was learned is more of these."""
    file = tmp_path_factory.mktemp("suite") / "known.jsonl"
    rows = [json.dumps(row, ensure_ascii=False) for row in labelled(360)[320:]]
    file.write_text("\n".join(rows), encoding="utf-8")
    return f"rows={file}"


@pytest.fixture(scope="module")
def blended(label_run: RunFolder, suite: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    words.use("en")
    out = tmp_path_factory.mktemp("blended") / "run"
    return api.blend(label_run, out, alphas=[0.5], items=40, suites=[suite])


def test_what_is_written_is_a_run_that_is_asked_and_proved(
    label_run: RunFolder, blended: Any, suite: str
) -> None:
    found, folder = blended.to_json(), blended.folder
    assert [one["alpha"] for one in found["points"]] == [0.0, 0.5, 1.0]
    assert folder.read(folder.model / "tunesmith.json")["blend"] == {
        "alpha": found["alpha"],
        "of": str(label_run.path),
    }
    scores = [one["task"]["score"] for one in found["points"]]
    assert scores[2] > scores[0], "it has learned"
    assert found["alpha"] > 0
    assert {path.name for path in folder.path.iterdir()} >= {"blend.json", "blend.html", "run.yaml"}
    assert not (folder.path / "candidate").exists()
    assert api.predict(folder, [{"instruction": "cat xyz", "input": ""}])[0]["prediction"]


@pytest.mark.slow  # 3 s
def test_a_proof_asks_nothing_that_chose(blended: Any, suite: str) -> None:
    chose = {one for ids in blended.to_json()["asked"].values() for one in ids}
    assert len(chose) == 20
    api.prove(blended.folder, items=20, suites=[suite])
    lines = (blended.folder.path / "suites.jsonl").read_text(encoding="utf-8").splitlines()
    asked = {json.loads(line)["id"] for line in lines}
    assert len(asked) == 20 and not asked & chose


def test_the_table_and_the_page_show_every_point(blended: Any) -> None:
    text = "\n".join(blended.lines())
    page = (blended.folder.path / "blend.html").read_text(encoding="utf-8")
    for one in blended.to_json()["points"]:
        score = f"{100 * one['task']['score']:.1f} %"
        assert score in text and score in page
    assert "those that lost no more than" in text and "<svg" in page and 'class="mark"' in page


def test_a_share_that_is_named_is_written_without_measuring(
    label_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["blend", str(label_run.path), str(tmp_path / "half"), "--alpha", "0.5"]) == 0
    assert "alpha 0.5" in capsys.readouterr().out
    assert not (tmp_path / "half" / "blend.html").exists()
    with pytest.raises(SpecError, match="already exists and is not empty"):
        api.blend(label_run, tmp_path / "half", alpha=0.5)
    with pytest.raises(SpecError, match=r"alphas: is the share .* given: 1.5"):
        api.blend(label_run, tmp_path / "more", alpha=1.5)


@pytest.mark.slow  # 3 s
def test_the_same_call_goes_on_after_an_interruption(
    label_run: RunFolder, suite: str, tmp_path: Path
) -> None:
    asked: list[str] = []

    def until(count: int) -> Any:
        def hear(event: Event) -> None:
            if isinstance(event, Phase) and event.phase.startswith("blend"):
                asked.append(event.phase)
                if len(asked) == count:
                    raise KeyboardInterrupt

        return hear

    how: dict[str, Any] = {"alphas": [0.5], "items": 4, "suites": [suite]}
    with pytest.raises(KeyboardInterrupt):
        api.blend(label_run, tmp_path / "out", **how, listen=[until(2)])
    assert not (tmp_path / "out").exists()
    api.blend(label_run, tmp_path / "out", **how, listen=[until(9)])
    assert asked == ["blend 0", "blend 0.5", "blend 0.5", "blend 1"]


def test_without_watched_rows_nothing_is_chosen(
    tiny_llama: Path, tmp_path: Path, suite: str
) -> None:
    short = {"steps": 1, "keep": {"evaluate": 0, "save": 0}}
    run = trained(tmp_path, tiny_llama, labelled(40), train=short)
    with pytest.raises(DataError, match=r"data.held_out: the run watched no rows.*--alpha 0.5"):
        api.blend(run, suites=[suite])
