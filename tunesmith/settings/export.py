"""What a run becomes for use elsewhere, and what that must show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import ValidationError

from tunesmith.errors import SpecError
from tunesmith.settings.family import FORMATS, choice
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.problems import problems_of
from tunesmith.settings.spec import Spec


class Export(Spec):
    """What ``tunesmith export`` makes of the run, and what it must show."""

    format: choice(FORMATS, "hf") = "hf"  # type: ignore[valid-type]
    """What is written: one of ``tunesmith explain format``."""
    items: Annotated[int, Ge(0)] = 50
    """At most this many held-out rows are asked of the trained and of the exported model; 0 leaves
    it at the probe prompts.
    """
    require: Literal["same", "not lost"] | None = None
    """What the exported model must reach: same, all answers are the same; not lost, it has not been
    shown to lose. Otherwise the exit code is 1.
    """
    hub: str | None = None
    """Where the folder is sent: owner/name on Hugging Face, ms:owner/name on ModelScope. Without a
    token nothing is sent, and the command says what would be.
    """
    public: bool = False
    """Whether a model that is made on the hub can be seen by all; otherwise it is private."""

    model_config = Spec.model_config | {"validate_default": True}


def export_settings(known: Export, overrides: Sequence[str] | Mapping[str, object]) -> Export:
    """Lays overrides over a run's ``export``: ``format=gguf``, ``format.type=q8_0``,
    ``require=same``; raises SpecError with every problem.
    """
    pairs = overrides if isinstance(overrides, Mapping) else dict.fromkeys(overrides)
    # In a run's file the same settings stand under ``export``.
    named = {key.removeprefix("export."): value for key, value in pairs.items()}
    given = named if isinstance(overrides, Mapping) else list(named)
    plain = with_overrides(known.model_dump(), given)
    try:
        return Export.model_validate(plain)
    except ValidationError as error:
        raise SpecError(problems_of(error, Export)) from None
