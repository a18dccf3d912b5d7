"""What a tournament measures on a merged model is measured on one in which nothing of the adapter
is left beside the weights.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from material.adapted import applied, logits, stepped
from tunesmith.models.adapters.layers.hooked import HookedLayer
from tunesmith.models.loading.load import Loaded
from tunesmith.tournaments.scoring import merged


@pytest.mark.parametrize(
    "case", ["lora", "boft", {"name": "combined", "methods": ["boft", "ln_tuning"]}], ids=str
)
def test_every_adapter_that_folds_is_folded(case: Any) -> None:
    method, model = applied(case if isinstance(case, dict) else {"name": case})
    wanted = logits(stepped(method, model, steps=3))
    found = merged(Loaded(model, None, "forest"), method)
    assert found is not None and not any(
        isinstance(part, HookedLayer) for part in found.model.modules()
    )
    torch.testing.assert_close(logits(found.model), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["bottleneck", "prompt", "full"])
def test_what_does_not_fold_has_no_merged_speed(name: str) -> None:
    method, model = applied({"name": name})
    assert merged(Loaded(model, None, "forest"), method) is None
