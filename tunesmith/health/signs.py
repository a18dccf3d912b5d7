"""A sign that something is wrong with a run: what was seen, at which step, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tunesmith.events.stream import Event, Line
from tunesmith.plain import JsonObject
from tunesmith.words import say


@dataclass(frozen=True)
class Sign(Event):
    """One finding of a rule; ``evidence`` holds the numbers that its text names."""

    name: str
    step: int
    evidence: JsonObject = field(default_factory=dict)

    def values(self) -> Line:
        """Returns the step, the name and the numbers."""
        return {"step": self.step, "event": self.name, **self.evidence}

    def to_json(self) -> dict[str, object]:
        """Returns the name, the step, the numbers and the text."""
        facts = {"name": self.name, "step": self.step, "evidence": self.evidence}
        return {**facts, "text": self.text()}

    def text(self) -> str:
        """Returns what was seen, and what to do next."""
        return self.told(say)

    def told(self, speak: Callable[..., str]) -> str:
        """Returns the same in the language of ``speak``."""
        shown = {name: short(value) for name, value in self.evidence.items()}
        return speak(f"health.{self.name}", step=self.step, **shown)


def short(value: object) -> object:
    """Returns a number with the digits that a person reads, and a list as one text."""
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:.4g}" if isinstance(value, float) else value
