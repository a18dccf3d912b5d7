"""The cases of every method on a tiny model, and how one is applied and stepped."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from material.architectures import tiny
from material.fast import slow_but
from material.sequences import sequences
from tunesmith.batches.batch import Batch
from tunesmith.models.calling.views import token_loss
from tunesmith.models.loading.load import take_over_attention
from tunesmith.settings.family import METHODS

SMALL: dict[str, dict[str, Any]] = {
    "fourierft": {"frequencies": 100},
    "lora": {"rank": 4},
    "vera": {"rank": 16},
}
SMALL |= {
    "combined": {"methods": [{"name": "lora", "rank": 4}, "ln_tuning"]},
    "moe_lora": {"rank": 4},
    "experts": {"parts": "everything"},
}
"""What the tiny models need; a method that is not here runs at its defaults."""
MORE = [
    {"name": "lora", "rank": 4, "variant": "rslora", "init": "orthogonal"},
    {"name": "lora", "rank": 4, "variant": "dora", "init": "gaussian"},
    {"name": "lora", "rank": 4, "init": "pissa"},
    {"name": "lora", "rank": 4, "init": "olora", "variant": "rslora", "alpha": 3},
    {"name": "lora", "rank": 4, "init": "pissa", "variant": "dora"},
    {"name": "freeze", "last": 1, "parts": "norm"},
    {"name": "bottleneck", "variant": "houlsby", "size": 8, "activation": "gelu"},
    {"name": "bottleneck", "variant": "parallel", "layers": 1},
    {"name": "combined", "methods": [{"name": "lora", "rank": 4}, "bitfit"]},
    {"name": "combined", "methods": ["bottleneck", {"name": "lora", "rank": 4}, "ln_tuning"]},
]
CASES = [{"name": name, **SMALL.get(name, {})} for name in METHODS.names()] + MORE


def called(case: dict[str, Any]) -> str:
    inner = [one if isinstance(one, str) else one["name"] for one in case.get("methods", [])]
    return "-".join(
        [str(value) for key, value in case.items() if key in ("name", "init", "variant", "last")]
        + inner
    )


every = pytest.mark.parametrize(
    "case", slow_but([called(case) for case in CASES if case not in MORE], CASES, called)
)
"""Each method once; further settings of one are slow tests."""


def base(name: str = "llama") -> Any:
    model = tiny(name).requires_grad_(False)
    take_over_attention(model)
    return model


def applied(case: dict[str, Any]) -> tuple[Any, Any]:
    torch.manual_seed(0)
    method = METHODS.make(METHODS.config(case))
    return method, method.apply(base())


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        # Plain peft gives logits for virtual tokens too.
        return model.eval()(input_ids=torch.arange(24)[None], use_cache=False).logits[:, -24:]


def stepped(method: Any, model: Any, steps: int = 10, rate: float = 1e-2) -> Any:
    """The model after AdamW steps as the loop makes them."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate)
    method.begin(steps)
    model.train()
    for step in range(1, steps + 1):
        batch = Batch.grow(sequences(step))
        ((token_loss(model, batch).total + method.penalty(batch)) / batch.units).backward()
        optimizer.step()
        method.after_step(step)
        optimizer.zero_grad()
    return model


def gradient(method: Any, model: Any, batch: Batch) -> tuple[float, torch.Tensor]:
    model.train().zero_grad()
    loss = (token_loss(model, batch).total + method.penalty(batch)) / batch.units
    loss.backward()
    grads = [weight.grad.flatten() for weight in model.parameters() if weight.requires_grad]
    return float(loss.detach()), torch.cat(grads)


def same_gradient(ours: tuple[float, torch.Tensor], theirs: tuple[float, torch.Tensor]) -> None:
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert float((ours[1] - theirs[1]).norm() / theirs[1].norm()) < 1e-5
