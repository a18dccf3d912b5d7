"""The layouts of a run on cards that are not here: memory and bytes sent by hand arithmetic, the
cheapest that fits, and what a run holds when it is measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith import api, words
from tunesmith.errors import SpecError
from tunesmith.planning.cards import Asked, Cards, Inner, sent_by_one
from tunesmith.planning.shape import Shape
from tunesmith.settings.run import Run, validate

GIB = 2**30


@pytest.fixture(autouse=True)
def english():
    words.use("en")
    yield
    words.use("auto")


def eight_billion(method: str, **train: Any) -> tuple[Run, Shape]:
    """A model of 8 · 10⁹ weights, of which LoRA adds 40 · 10⁶."""
    machine = {"device": "cpu", "precision": "bf16"}
    asked = {"model": {"path": "m", "dtype": "bf16"}, "data": "d", "out": "o", "method": method}
    run = validate(asked | {"train": {"batch": 16, "machine": machine, **train}})
    added = 40_000_000 if method == "lora" else 0
    form = Shape(
        kind="llama",
        parameters=8_000_000_000 + added,
        trainable=added or 8_000_000_000,
        limit=8192,
        vocabulary=128_000,
        linear=7_000_000_000,
        kept=(3_000_000.0, 300_000.0),
        block=200_000_000,
        outside=1_050_000_000,
    )
    return run, form


def asked(method: str, **train: Any) -> Asked:
    run, form = eight_billion(method, **train)
    return Asked(run, form, 1000, mean=500.0, batch=16, beside=0.0, inner=Inner(32, 4096, 8))


def test_lora_holds_the_whole_base_or_its_part() -> None:
    whole = asked("lora").layout(4, "none", True, 1.0).needed
    assert whole.weights == 8e9 * 2 + 40e6 * 4
    assert (whole.gradients, whole.optimizer) == (40e6 * 4, 40e6 * 8)
    # 1000 tokens, the longest row, are more than the least micro-batch; bf16 has 2 bytes.
    assert whole.activations == 1000 * 300_000 * 2
    part = asked("lora").layout(4, "fsdp", True, 1.0).needed
    # Two bytes of a quarter of the base, of a block and what is outside of blocks; the adapter.
    assert part.weights == 8e9 * 2 / 4 + 1.25e9 * 2 + 40e6 * 4
    assert (part.gradients, part.optimizer) == (whole.gradients, whole.optimizer)


def test_full_tuning_divides_the_optimizer_too() -> None:
    part = asked("full").layout(4, "fsdp", True, 1.0).needed
    assert part.weights == 8e9 * 4 / 4 + 1.25e9 * 4
    assert (part.gradients, part.optimizer) == (8e9 * 4 / 4, 8e9 * 8 / 4)


def test_parts_are_computed_with_and_never_gathered() -> None:
    full = asked("full").layout(4, "tensor", True, 1.0)
    # What stands in no block is whole in each: its weights, gradients and moments.
    assert full.needed.weights == 8e9 * 4 / 4 + 1.05e9 * 4
    assert (full.needed.gradients, full.needed.optimizer) == (
        (2e9 + 1.05e9) * 4,
        (2e9 + 1.05e9) * 8,
    )
    lora = asked("lora").layout(4, "tensor", False, 1.0)
    assert lora.needed.weights == 8e9 * 2 / 4 + 1.05e9 * 2 + 40e6 * 4
    # 16 rows of 500 tokens: 7 sums of the width in each of 32 blocks, and the logits; bf16.
    assert lora.sent == 0.75 * 8000 * (2 * (32 * 7 + 1) * 4096 + 128_000) * 2
    assert full.sent == 0.75 * 8000 * (2 * (32 * 9 + 1) * 4096 + 128_000) * 2


def test_what_does_not_go_into_so_many_parts_is_said() -> None:
    three = asked("lora").layout(3, "tensor", True, 80.0)
    assert "8 key-value heads" in three.refused and not three.fits(80.0)
    other = asked("lora")
    other = Asked(**{**vars(other), "inner": Inner(32, 4096, None)})
    assert "llama" in other.layout(4, "tensor", True, 80.0).refused
    assert asked("ia3").layout(4, "tensor", True, 80.0).refused


def test_bytes_sent_in_a_step() -> None:
    def sent(method: str, shard: str) -> float:
        run, form = eight_billion(method, micro_tokens=2000)
        machine = run.train.machine.model_copy(update={"shard": shard})
        run = run.model_copy(update={"train": run.train.model_copy(update={"machine": machine})})
        return sent_by_one(form, run, 2, processes=4, passes=3)

    # A ring of four sends 2 · 3/4 of what is summed, 3/4 of what is gathered.
    assert sent("lora", "none") == 1.5 * 40e6 * 4
    assert sent("full", "none") == 1.5 * 8e9 * 4
    assert sent("lora", "fsdp") == pytest.approx(0.75 * (3 * 2 * 16e9 + 2 * 160e6))
    assert sent("full", "fsdp") == pytest.approx(0.75 * 3 * 3 * 32e9)


def test_the_micro_batch_is_the_largest_that_fits() -> None:
    this = asked("lora", micro_tokens=None)
    for gib in (24.0, 40.0, 80.0):
        found = this.layout(4, "fsdp", True, gib)
        assert found.fits(gib)
        assert found.needed.activations == min(found.micro_tokens, 4 * 1000) * 600_000
    given = asked("lora", micro_tokens=1500).layout(4, "fsdp", True, 80.0)
    assert given.micro_tokens == 1500


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    made = [{"instruction": f"what is {n}", "output": f"{n * 7 % 13}"} for n in range(60)]
    (tmp_path / "rows.json").write_text(json.dumps(made), encoding="utf-8")
    return tmp_path / "rows.json"


def found(tiny_llama: Path, rows: Path, cards: str, **settings: Any):
    asked = {"model": str(tiny_llama), "data": str(rows), "out": str(rows.parent / "o")}
    return api.plan_cards(asked | {"train": {"batch": 8}} | settings, cards=cards)


def test_what_fits_is_taken_from_the_cheapest_and_needs_no_card(
    tiny_llama: Path, rows: Path
) -> None:
    plenty = found(tiny_llama, rows, "4x24")
    assert plenty.chosen is not None
    assert plenty.chosen.words()[:2] == [
        "processes=4",
        "train.machine.checkpointing=false",
    ]
    assert plenty.fewest == 1
    # What the chosen layout says of itself is a run that the settings take.
    validate({"model": "m", "data": "d", "out": "o", "processes": 4})
    sizes = sorted(one.needed.high for one in plenty.layouts)
    between = (sizes[0] + sizes[1]) / 2 / GIB
    tight = found(tiny_llama, rows, f"4x{between:.5f}")
    assert tight.chosen is not None
    assert tight.chosen.needed.high <= between * GIB
    assert [one.fits(between) for one in tight.layouts].count(True) >= 1


def test_nothing_that_fits_is_said_with_what_would_help(tiny_llama: Path, rows: Path) -> None:
    never = found(tiny_llama, rows, "2x0.01")
    assert (never.chosen, never.fewest) == (None, None)
    assert any("No number of such cards" in line for line in never.lines())


def test_a_method_that_is_not_divided_says_why(tiny_llama: Path, rows: Path) -> None:
    made = found(tiny_llama, rows, "2x24", model={"path": str(tiny_llama), "quantize": "int8"})
    why = {one.shard: one.refused for one in made.layouts}
    assert why["none"] == "" and "int8" in why["fsdp"]


def test_more_cards_than_rows_of_a_step_stay_idle(tiny_llama: Path, rows: Path) -> None:
    made = found(tiny_llama, rows, "12x24")
    assert made.idle == 4 and made.chosen is not None and made.chosen.processes == 8


@pytest.mark.parametrize("text", ["", "x24", "4x", "0x24", "4x0", "four", "4x-1", "4x24x2"])
def test_what_are_no_cards_is_said(text: str) -> None:
    with pytest.raises(SpecError, match="cards=4x24"):
        Cards.read(text)


def test_cards_are_read() -> None:
    assert Cards.read("4x24") == Cards(4, 24.0)
    assert Cards.read("80GB") == Cards(1, 80.0)
