"""BOFT in plain torch: peft's own code with its extension replaced, an orthogonal matrix that is
not block-diagonal.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft.tuners.boft import layer as peft_boft

from material.adapted import applied, base, logits, stepped
from tunesmith.models.adapters import beside_base
from tunesmith.models.adapters.layers.butterfly import Butterfly


class InTorch:
    """What peft's compiled extension computes."""

    def forward(self, blocks: torch.Tensor) -> list[torch.Tensor]:
        return [torch.stack([torch.block_diag(*factor) for factor in blocks])]


def drawn(inputs: int, outputs: int, block: int, factors: int) -> Butterfly:
    torch.manual_seed(1)
    made = Butterfly(inputs, outputs, block=block, factors=factors, device=torch.device("cpu"))
    for weight in made.parameters():
        torch.nn.init.normal_(weight, mean=float(weight is made.scale_O), std=0.3)
    return made


@pytest.mark.parametrize(("block", "factors"), [(8, 1), (4, 2), (8, 3), (2, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_what_peft_computes_with_its_extension(
    block: int, factors: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import BOFTConfig

    monkeypatch.setattr(peft_boft, "_FBD_CUDA", InTorch())
    ours, plain = drawn(32, 6, block, factors), torch.nn.Linear(32, 6, bias=bias)
    config = BOFTConfig(boft_block_size=block, boft_n_butterfly_factor=factors)
    theirs: Any = peft_boft.Linear(plain, "default", config)
    rows, columns = torch.triu_indices(block, block, 1)
    with torch.no_grad():
        skew, angles = theirs.boft_R["default"], ours.angles_MNA
        skew[..., rows, columns], skew[..., columns, rows] = angles, -angles
        theirs.boft_s["default"].copy_(ours.scale_O[:, None])
        inputs = torch.randn(2, 5, 32)
        wanted = theirs(inputs)
        ours.beside(plain)
        torch.testing.assert_close(plain(inputs), wanted, rtol=1e-5, atol=1e-5)
        ours.fold(plain)
        assert not dict(plain.named_children())
        torch.testing.assert_close(plain(inputs), wanted, rtol=1e-5, atol=1e-5)


def test_it_is_orthogonal_and_each_factor_makes_blocks_reach_twice_as_far() -> None:
    for factors in (1, 2, 3):
        matrix = drawn(32, 4, 4, factors).rotated(torch.eye(32))
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(32), rtol=1e-5, atol=1e-5)
        reach = 4 * 2 ** (factors - 1)
        inside = torch.block_diag(*[torch.ones(reach, reach)] * (32 // reach)).bool()
        assert bool((matrix[inside].abs() > 0).all()) and not bool(matrix[~inside].any())


def test_merged_beside_others_it_answers_as_before() -> None:
    method, model = applied(
        {"name": "combined", "methods": [{"name": "boft", "block": 4}, "ln_tuning"]}
    )
    stepped(method, model)
    with model.disable_adapter():
        torch.testing.assert_close(logits(model), logits(base()), rtol=1e-5, atol=1e-5)
    wanted = logits(model)
    torch.testing.assert_close(logits(beside_base.merge(model)), wanted, rtol=1e-4, atol=1e-4)
