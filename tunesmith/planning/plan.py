"""Holds what would run: the resolved settings, the rows, the facts, the problems."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunesmith.data.prepare import Prepared
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.resolved import Resolved


@dataclass
class Plan:
    """What would run. With problems nothing runs, and ``prepared`` may be missing."""

    resolved: Resolved
    prepared: Prepared | None = None
    facts: JsonObject = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def require(self) -> Plan:
        """Returns this plan; raises SpecError with every problem where there are some."""
        if self.problems:
            raise SpecError(self.problems)
        return self

    def to_json(self) -> dict[str, object]:
        """Returns all of the plan, in English, for programs."""
        run = self.resolved.run.model_dump(mode="json")
        origins = {
            path: {"kind": origin.kind, "reason": origin.reason}
            for path, origin in self.resolved.origins.items()
        }
        return {
            "run": run,
            "origins": origins,
            "facts": self.facts,
            "warnings": self.warnings,
            "problems": [
                {"where": problem.where, "text": problem.text} for problem in self.problems
            ],
            "ledger": self.prepared.ledger.to_json() if self.prepared else None,
        }

    def fact_lines(self) -> list[str]:
        """Returns the lines on what follows from model and data, and the warnings, for a person."""
        from tunesmith.planning.lines import fact_lines

        return fact_lines(self)

    def lines(self) -> list[str]:
        """Returns the whole plan as lines for a person."""
        from tunesmith.planning.lines import plan_lines

        return plan_lines(self)
