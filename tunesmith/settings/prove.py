"""How a run is proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import BeforeValidator, ValidationError

from tunesmith.errors import SpecError
from tunesmith.settings.family import METRICS, SUITES, choices
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.problems import problems_of
from tunesmith.settings.spec import Spec


def _metric(value: Any) -> Any:
    """Returns a metric by its name where that is all, else with its settings; a function of the
    user's own, ``metric.py:polite``, is one with settings.
    """
    if isinstance(value, str) and ".py:" in value:
        value = {"name": "function", "path": value}
    if isinstance(value, str) and value not in METRICS.names():
        return value  # the plan names what is there
    config = METRICS.config(value)
    return config.name if set(type(config).model_fields) == {"name"} else config


_ONE_OR_MORE = BeforeValidator(
    lambda value: (value,) if isinstance(value, str | Mapping) else value
)


class Prove(Spec):
    """How the result is proved."""

    items: Annotated[int, Gt(0)] = 500
    """At most this many held-out rows are scored."""
    shots: Annotated[int, Ge(0)] = 6
    """Training rows shown in the prompt of the few-shot base; 0 leaves that rival out."""
    embeddings: bool = False
    """Whether logistic regression on the untuned base's hidden states is a rival too, where answers
    are a small set; ``tunesmith auto`` asks for it."""
    prompt: str | None = None
    """A file with a hard prompt, under which the base is scored too, without and with the examples;
    ``{question}`` and other columns of the rows may stand in it. For classes of a masked model a
    cloze: ``{text} It was [MASK].``, and above a line
    ``---`` the words of each label (``label: word``)."""
    metrics: Annotated[tuple[Annotated[Any, BeforeValidator(_metric)], ...], _ONE_OR_MORE] = ()
    """Metrics by name; chosen from the answers when not given. A function of yours is
    ``metric.py:polite``; one with settings ``{name: code, run_code: true}``."""
    primary: str | None = None
    """The metric that decides the verdict; the first of ``metrics`` when not given."""
    require: Literal["improved", "not worse"] | None = None
    """Exit with code 1 unless the verdict is this."""
    suites: choices(SUITES) = ()  # type: ignore[valid-type]
    """What is asked besides, base and tuned, to see what was forgotten: probe, safety, files as
    ``{name: rows, path: mmlu}`` or ``{name: text, path: wiki.txt}``, and tasks of lm-eval as
    ``{name: lm_eval, path: task.yaml}``; read by ``tunesmith prove``.
    """
    retain: Literal["kept", "not lost"] | None = None
    """Exit with code 1 unless the suites are kept, or at least not lost."""

    @property
    def named(self) -> list[str]:
        """The metrics that are asked for, by the names that they have in a proof."""
        listed = [
            metric if isinstance(metric, str) else METRICS.make(metric).key
            for metric in self.metrics
        ]
        return [*listed, *([] if self.primary is None else [self.primary])]


def prove_settings(overrides: Sequence[str] | Mapping[str, object]) -> Prove:
    """Reads how a proof is to be made: ``items=40``; raises SpecError with every problem."""
    try:
        return Prove.model_validate(with_overrides({}, overrides))
    except ValidationError as error:
        raise SpecError(problems_of(error, Prove)) from None
