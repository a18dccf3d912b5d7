"""What a learning curve is asked: how many rows its points have, and what is to be gained."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Le
from pydantic import BeforeValidator

from tunesmith.settings.spec import Spec

Share = Annotated[float, Gt(0), Le(1)]
_ONE_OR_MORE = BeforeValidator(lambda value: [value] if isinstance(value, float | int) else value)


class Curve(Spec):
    """Quality by number of training rows; read by ``tunesmith curve`` alone."""

    shares: Annotated[tuple[Share, ...], _ONE_OR_MORE] = (0.125, 0.25, 0.5, 1.0)
    """Shares of the training rows, each trained whole and proved; three or more, and the rows of a
    smaller one are among those of a larger."""
    seeds: Annotated[int, Gt(0)] = 3
    """Trainings at each share, each on rows drawn by its own seed, counted from ``train.seed``;
    what is held out stays the same."""
    gain: Annotated[float, Gt(0)] | None = None
    """How much better the metric is to become, in its own unit; a hundredth when not given, one
    where the metric goes to 100 (bleu, chrf)."""

    model_config = Spec.model_config | {"validate_default": True}
