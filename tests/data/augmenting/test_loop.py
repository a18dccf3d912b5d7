"""The whole way of the pages: a run is proved on rows that stay apart, more rows of the kinds where it
is weak are made, it is trained again, and both are compared row by row.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from material.proved import labelled
from tunesmith.cli.main import main

PAGE = Path(__file__).parents[3] / "docs" / "en" / "data.md"
BLOCK = re.compile(r"(?ms)^```bash\n(tunesmith data split rows\.jsonl.*?)^```")
RUN = (
    "{{model: {model}, method: full, data: {{held_out: 0}}, generate: {{max_new_tokens: 4}}, "
    "prove: {{shots: 0}}, out: runs/a, "
    "train: {{epochs: 3, learning_rate: 5e-3, keep: {{evaluate: 0, save: 0}}}}}}"
)


def rows() -> list[dict[str, str]]:
    """Rows about colors, animals and numbers; of those about numbers every other one speaks of an
    animal, so that nothing can tell them.
    """
    made = labelled(1200)
    for n, row in enumerate(one for one in made if one["output"] == "number"):
        if n % 2:
            row["instruction"] = re.sub("one|two|six", "cat", row["instruction"])
    return made


@pytest.mark.slow
def test_what_is_weak_is_collected_made_trained_and_compared(
    tmp_path: Path,
    tiny_llama: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()), "utf-8")
    Path("run.yaml").write_text(RUN.format(model=tiny_llama), "utf-8")
    (block,) = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    told: list[str] = []
    for line in block.splitlines():
        words = shlex.split(line, comments=True)[1:]
        # The thesaurus is fetched, and would not know these words.
        own = ["how=templates", "templates=['Say: {text}']"] if "augment" in words else []
        assert main([*words, *own]) == 0, capsys.readouterr().err
        told.append(capsys.readouterr().out)
    proofs = [Path(f"runs/{name}/proofs/held_out") for name in ("first", "second")]
    wanted = [json.loads(line) for line in (proofs[0] / "collect.jsonl").read_text().splitlines()]
    # Which of the two labels it takes for the other is up to the model.
    weak = {"label = number": "number", "label = animal": "animal"}
    labels = {weak[one["target"]] for one in wanted if one["target"] in weak}
    # A made-up word may stand in many wrong answers by chance.
    others = {one["target"] for one in wanted} - weak.keys()
    assert labels and all(re.fullmatch("[u-z]{3}", other) for other in others), others
    made = [json.loads(line) for line in Path("more.jsonl").read_text("utf-8").splitlines()]
    added = [row for row in made if "augmented" in json.dumps(row.get("tunesmith_from"))]
    outputs = {row["output"] for row in added}
    assert len(added) >= 20 and labels <= outputs and (others or outputs == labels)
    asked = [
        {json.loads(line)["prompt"] for line in (proof / "items.jsonl").read_text().splitlines()}
        for proof in proofs
    ]
    assert asked[0] == asked[1] and not asked[0] & {row["instruction"] for row in made}
    table = told[-1]
    assert "runs/first" in table and "runs/second" in table
    assert re.search(r"accuracy.*\[[+−-]?\d", table), table
