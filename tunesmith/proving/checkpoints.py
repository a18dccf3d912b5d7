"""One run at several steps: the proofs of its checkpoints and of its model as one curve, the task
beside what was kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith.display.table import table_lines
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.judge import TUNED
from tunesmith.proving.metric_values import interval_shown, shown
from tunesmith.proving.proof import rival_named, rival_of
from tunesmith.proving.retention import amount
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import metric_name, say

BOUNDS = ("difference", "low", "high")


@dataclass(frozen=True)
class Checkpoints:
    """The curve; ``found`` is checkpoints.json."""

    found: JsonObject

    def to_json(self) -> dict[str, object]:
        """Returns the content of checkpoints.json."""
        return self.found

    def lines(self) -> list[str]:
        """Returns a row a step, and how far it may be believed."""
        results = self.found
        primary = results["primary"]
        fields = {"metric": metric_name(primary), "items": results["items"]}
        suites = list(results["points"][0]["suites"])
        head = [say("checkpoints.step"), metric_name(primary)]
        head.append(say("checkpoints.minus", rival=rival_named(results)))
        for title in suites:
            head += [title, say("blend.minus_base")]
        rows = [head]
        for point in results["points"]:
            row = [str(point["step"]), shown(primary, point["value"])]
            row.append(interval_shown(primary, point))
            for suite in point["suites"].values():
                low, high = (
                    amount(suite["unit"], suite[name], sign=True) for name in ("low", "high")
                )
                apart = amount(suite["unit"], suite["difference"], sign=True)
                row += [amount(suite["unit"], suite["tuned"]), f"{apart} [{low}, {high}]"]
            rows.append(row)
        return [
            say("checkpoints.head", **fields),
            "",
            *table_lines(rows, numbers=len(head)),
            "",
            say("checkpoints.how"),
        ]


def steps_to_prove(folder: RunFolder) -> dict[int, RunFolder]:
    """Returns the models of a run by step: its checkpoints, and the model that it left where no
    checkpoint is of that step.
    """
    by_step = {step: RunFolder(folder.path, f"step-{step}") for step in folder.models_of_steps}
    left = RunFolder(folder.path)
    facts = left.read(left.model / "tunesmith.json")
    if facts is not None:
        by_step.setdefault(int(facts["step"]), left)
    return dict(sorted(by_step.items()))


def put_together(folder: RunFolder, proofs: Mapping[int, Named]) -> Checkpoints:
    """Writes checkpoints.json from the proofs of several steps, and returns it."""
    first = next(iter(proofs.values()))
    primary = first["primary"]
    rival = rival_of(first)
    results: JsonObject = {
        "primary": primary,
        "against": rival,
        "items": first["items"],
        "base": first["contenders"].get("base", {}).get(primary),
        "suites": {
            title: {"unit": suite["unit"], "base": suite["base"]} for title, suite in _suites(first)
        },
        "points": [_point(step, proof, primary, rival) for step, proof in proofs.items()],
    }
    text = json.dumps(results, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_whole(folder.proved_steps, text)
    return Checkpoints(results)


def _point(step: int, proof: Named, primary: str, rival: str) -> JsonObject:
    compared = proof["differences"][rival][primary]
    return {
        "step": step,
        "value": proof["contenders"][TUNED][primary],
        **{name: compared[name] for name in BOUNDS},
        "suites": {
            title: {name: suite[name] for name in ("unit", "tuned", *BOUNDS, "verdict")}
            for title, suite in _suites(proof)
        },
    }


def _suites(proof: Named) -> Sequence[tuple[str, Named]]:
    return list(((proof.get("retention") or {}).get("suites") or {}).items())
