"""What the base gives already, and what is far harder than the rest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tunesmith import api
from tunesmith.diagnosis import under_base as under
from tunesmith.diagnosis.under_base import FEW, SHORT, judged, under_base
from tunesmith.errors import SpecError
from tunesmith.settings.given import look_settings


def losses(value: float, tokens: int = SHORT, first: bool = False) -> np.ndarray:
    return np.stack([np.full(tokens, value), np.full(tokens, float(first))], axis=1)


def test_rows_beyond_the_fence_are_hard_and_no_others() -> None:
    usual = [losses(2 + n / FEW) for n in range(FEW)]  # quartiles 2.24 and 2.73: fence at 4.2
    rows = [*usual, losses(4.1), losses(4.4), losses(9, tokens=SHORT - 1), losses(1, first=True)]
    found = judged([f"r:{n}" for n in range(len(rows))], rows, of=100)
    assert [name for name, _ in found.hard] == [f"r:{FEW + 1}"]
    assert found.known == (f"r:{FEW + 3}",)
    assert found.usual == pytest.approx(2.5, abs=0.1)
    many = judged([f"r:{n}" for n in range(150)], [losses(9, first=True)] * 150, of=150)
    assert ",".join(f"r:{n}" for n in range(150)) in many.lines()[1]
    assert judged(["r:1"], [losses(9)], of=1).hard == ()
    quiet = judged([f"r:{n}" for n in range(FEW)], usual, of=FEW)
    assert quiet.lines()[1:] == [
        "Nothing stands out: it gives no answer word for word, and no row is far harder than the others."
    ]


def test_losses_are_those_of_a_plain_forward(tmp_path: Path, tiny_llama: Path) -> None:
    """The losses are those of a plain forward, and so are the tokens that come first."""
    path = tmp_path / "rows.jsonl"
    rows = [{"text": letter * 12} for letter in "abcdefgh"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    asked = {"model": str(tiny_llama), "data": {"path": str(path), "held_out": 0}}
    run = look_settings({**asked, "objective": "pretrain"})
    prepared = api.check(run).prepared
    found = under_base(run, prepared)
    assert found.rows == found.of == 8 and found.known == ()

    from tunesmith.machine.device import choose
    from tunesmith.training.preparing import load_base

    loaded = load_base(tiny_llama, run, choose(run.train.machine), prepared.objective)
    sequence = prepared.train[0].tokens[0]
    (values,) = under.losses(loaded, [(sequence,)])
    import torch

    with torch.no_grad():
        logits_TV = loaded.model(torch.tensor(sequence.ids_T[None].astype(int))).logits[0].double()
    logprobs_TV = logits_TV.log_softmax(-1).numpy()
    ids = sequence.ids_T[1:]
    expected = [-logprobs_TV[place, one] for place, one in enumerate(ids)]
    first = [logprobs_TV[place].argmax() == one for place, one in enumerate(ids)]
    assert np.allclose(values[:, 0], expected, atol=1e-4) and values[:, 1].tolist() == first


def test_what_answers_nothing_is_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    run = look_settings({"data": str(path), "objective": "classify"})
    with pytest.raises(SpecError, match="classify does not"):
        under_base(run, api.check(run).prepared)
