"""The untouched base as a whole model: behind the adapter where that can be switched off, else
loaded a second time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.models.finding.hub import folder_of
from tunesmith.models.loading.load import Loaded, load_model
from tunesmith.models.roles import ROLES, FrozenModel, Role, base_at_hand
from tunesmith.settings.family import METHODS

if TYPE_CHECKING:
    from tunesmith.methods import Method


@ROLES.register
class Base(Role):
    """The model that the run began with."""

    copy: FrozenModel | None = None

    def folder(self) -> Path | None:
        """Returns the base's folder where it is loaded twice."""
        method = METHODS.make(self.run.method)
        behind = method.adapter and not method.rewrites_base
        return None if behind else folder_of(self.run.model)

    def load(self, dtype: torch.dtype, device: Any) -> None:
        """Loads the second one, where one is needed."""
        folder = self.folder()
        model = self.run.model
        if folder is not None:
            options: Any = {"quantize": model.quantize, "add_tokens": model.add_tokens}
            trust = model.trust_remote_code
            loaded = load_model(
                folder, dtype=dtype, device=device, trust_remote_code=trust, **options
            )
            loaded.model.requires_grad_(False)
            self.copy = FrozenModel(loaded.model, loaded.layout)

    def model(self, policy: Loaded, method: Method) -> FrozenModel | None:
        """Returns the copy, or the policy with its adapter off."""
        return self.copy or base_at_hand(policy.model, policy.layout, method)
