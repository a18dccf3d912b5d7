"""Which layers a method's targets mean."""

from __future__ import annotations

from typing import Any

import pytest

from material.architectures import tiny
from tunesmith.errors import SpecError
from tunesmith.methods._peft import names_meant, shortest_names, targets_of

LAYERS = dict.fromkeys(
    f"layers.{number}.{name}" for number in (0, 1) for name in ("attn.q_proj", "mlp.up_proj")
)


@pytest.mark.parametrize(
    ("targets", "meant"),
    [
        (["all-linear"], set(LAYERS)),
        (["q_proj"], {"layers.0.attn.q_proj", "layers.1.attn.q_proj"}),
        ([r"layers\.1\..*"], {"layers.1.attn.q_proj", "layers.1.mlp.up_proj"}),
        (["q_proj", r".*\.0\.mlp\..*"], set(LAYERS) - {"layers.1.mlp.up_proj"}),
    ],
)
def test_targets_are_ends_of_names_or_expressions_over_whole_names(
    targets: list[str], meant: set[str]
) -> None:
    assert names_meant(targets, LAYERS) == meant


def test_each_target_without_a_layer_is_named_with_the_nearest_and_all_that_are_there() -> None:
    with pytest.raises(SpecError) as caught:
        names_meant(["q_prj", "proj", "up_proj"], LAYERS)
    problems = caught.value.problems
    assert len(problems) == 2
    first, second = problems[0], problems[1]
    assert first.where == second.where == "method.targets"
    assert "q_prj" in first.text and "'q_proj'" in first.text
    assert all("q_proj (2)" in one.text and "up_proj (2)" in one.text for one in (first, second))


@pytest.fixture(scope="module")
def llama() -> Any:
    """A model of width 64, whose keys and values are 32 wide, and feed-forward layers 96."""
    return tiny("llama")


def test_names_are_shortened_where_they_still_mean_the_same_layers(llama: Any) -> None:
    both = {f"model.layers.{number}.self_attn.k_proj" for number in (0, 1)}
    assert shortest_names(llama, both) == ["k_proj"]
    one = min(both)
    assert shortest_names(llama, {one}) == [one]
    assert targets_of(llama, [r".*\.1\.mlp\.(up|down)_proj"]) == [
        *("model.layers.1.mlp.down_proj", "model.layers.1.mlp.up_proj")
    ]


def test_layers_too_small_for_a_rank_or_uneven_for_a_block_are_named(llama: Any) -> None:
    assert targets_of(llama, ["q_proj", "k_proj"], rank=32) == ["k_proj", "q_proj"]
    with pytest.raises(SpecError, match=r"(?s)method\.rank.*33.*k_proj") as caught:
        targets_of(llama, ["q_proj", "k_proj"], rank=33)
    assert "q_proj" not in str(caught.value)
    wider = {"model.layers.0.self_attn.k_proj": 40}
    with pytest.raises(SpecError, match=r"(?s)method\.rank.*40.*k_proj"):
        targets_of(llama, ["k_proj"], rank=32, ranks=wider)
    # 64 inputs divide by 64, the 96 of the second feed-forward layer do not.
    assert targets_of(llama, ["up_proj"], divisor=64) == ["up_proj"]
    with pytest.raises(SpecError, match=r"(?s)method\.block.*64.*down_proj") as caught:
        targets_of(llama, ["up_proj", "down_proj"], divisor=64)
    assert "up_proj" not in str(caught.value)
