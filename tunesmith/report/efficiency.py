"""What a run and its model cost, as the page shows it: one sentence, and base beside tuned."""

from __future__ import annotations

from tunesmith.display.table import readable
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.efficiency import BOTH, milliseconds, training_line
from tunesmith.report.language import Say

PARTS = ("first_token", "next_token", "row")


def efficiency(proof: Named, say: Say) -> JsonObject | None:
    """Returns the sentence and the rows (name, base, tuned); None for a proof from before."""
    costs = proof.get("efficiency")
    if not costs:
        return None
    rows = [[say("efficiency.size"), *(readable(costs["bytes"][who]) for who in BOTH)]]
    for part in PARTS:
        values = [costs["speed"].get(who, {}).get(part) for who in BOTH]
        if any(value is not None for value in values):
            rows.append([say(f"efficiency.{part}"), *map(milliseconds, values)])
    training = costs["training"]
    says = training_line(training, say) if training else ""
    return {"title": say("efficiency.title"), "says": says, "rows": rows}
