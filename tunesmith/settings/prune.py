"""What makes a model lighter, by how much, and what that must show."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from tunesmith.settings.family import PRUNERS, choice
from tunesmith.settings.spec import Spec


class Prune(Spec):
    """What ``tunesmith prune`` takes out of a model, and what the rest must show."""

    how: choice(PRUNERS, "layers") = "layers"  # type: ignore[valid-type]
    """What is taken out: one of ``tunesmith explain how``."""
    share: Annotated[float, Gt(0), Lt(1)] | None = None
    """Share of the weights, heads, channels or layers that goes; the way's own when not given."""
    items: Annotated[int, Ge(0)] = 50
    """At most this many held-out rows are asked of the model before and after; 0 leaves it at the
    probe prompts.
    """
    require: Literal["same", "not lost"] | None = None
    """Exit with code 1 unless the lighter model gives the same answers (same), or has at least not
    been shown to lose (not lost).
    """
    hub: str | None = None
    """Where the folder is sent: owner/name on Hugging Face, ms:owner/name on ModelScope. Without a
    token nothing is sent, and the command says what would be.
    """
    public: bool = False
    """Whether a model that is made on the hub can be seen by all; otherwise it is private."""

    model_config = Spec.model_config | {"validate_default": True}
