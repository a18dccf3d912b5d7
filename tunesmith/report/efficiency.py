"""What a run and its model cost, as the page shows it: one sentence, and base beside tuned."""

from __future__ import annotations

from tunesmith.display.table import readable
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.efficiency import BOTH, milliseconds, training_line
from tunesmith.report.language import Say

PARTS = ("first_token", "next_token", "row")


def efficiency(proof: Named, say: Say) -> JsonObject | None:
    """Returns the sentence and the rows (name, base, tuned); None for a proof from before."""
    found = proof.get("efficiency")
    if not found:
        return None
    rows = [[say("efficiency.size"), *(readable(found["bytes"][who]) for who in BOTH)]]
    for part in PARTS:
        values = [found["speed"].get(who, {}).get(part) for who in BOTH]
        if any(value is not None for value in values):
            rows.append([say(f"efficiency.{part}"), *map(milliseconds, values)])
    training = found["training"]
    says = training_line(training, say) if training else ""
    return {"title": say("efficiency.title"), "says": says, "rows": rows}
