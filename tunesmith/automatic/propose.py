"""What fits some rows: the objective by what they mean, a model at hand, methods worth trying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tunesmith.data.asked_reading import reading_for
from tunesmith.data.reading import examples
from tunesmith.errors import DataError
from tunesmith.examples import Example, Labelled, Tagged, TextPair
from tunesmith.metrics import has_han
from tunesmith.plain import JsonObject
from tunesmith.settings.family import OBJECTIVES, OUTPUTS
from tunesmith.settings.open_values import default_rate
from tunesmith.settings.run import Data, Run, validate
from tunesmith.words import say

ORDER = ("sft", "dpo", "kto", "classify_tokens", "classify", "embed", "pretrain")
"""Objectives in the order in which rows are held against them; the first whose rows they are."""
LOOKED_AT = 200
HAN = 0.2
"""Share of texts with Chinese characters above which an English encoder is no choice."""
FACTORS = (1.0, 3.0, 1 / 3)
"""Times the method's own rate: half a decade to each side."""


@dataclass(frozen=True)
class Proposal:
    """Settings that are filled in, and why."""

    settings: JsonObject
    reasons: list[str]


def propose(given: Mapping[str, Any]) -> Proposal:
    """Fills in the objective and the model where they are not given; raises DataError where no
    objective reads the rows.
    """
    settings = dict(given)
    reasons = []
    data = Data.model_validate(
        given["data"] if isinstance(given["data"], Mapping) else {"path": given["data"]}
    )
    if "objective" not in given:
        name, texts = _objective(data)
        settings["objective"] = name
        reasons.append(say(f"auto.because_{name}"))
    else:
        named = given["objective"]
        name = named["name"] if isinstance(named, Mapping) else named
        texts = []
    if "model" not in given:
        reads = not OUTPUTS.get(OBJECTIVES.get(name).gives).writes
        chinese = sum(map(has_han, texts)) > HAN * len(texts)
        if reads and not chinese:
            settings["model"] = "package:minilm"
            key = "encoder"
        else:
            settings["model"] = "starter"
            key = "chinese" if reads else "writes"
        reasons.append(say(f"auto.model_{key}", model=settings["model"]))
    return Proposal(settings, reasons)


def _objective(data: Data) -> tuple[str, list[str]]:
    """Returns the first objective whose kind of row these are, and texts of some rows."""
    first: DataError | None = None
    for name in ORDER:
        objective = OBJECTIVES.make(OBJECTIVES.config(name))
        try:
            reading = examples(data, objective.eats, objective.meant, reading_for(objective))
            sample = [example for _, example in islice(iter(reading), LOOKED_AT)]
        except DataError as error:
            first = first or error
            continue
        if sample and all(isinstance(example, objective.eats) for example in sample):
            return name, [_text(example) for example in sample]
    assert first is not None, "rows of every kind are read by an objective, or it says why not"
    raise first


def _text(example: Example) -> str:
    return example.text if isinstance(example, Labelled | Tagged | TextPair) else ""


def candidates(run: Run) -> list[JsonObject]:
    """Returns settings worth trying after the run's own: the two usual methods at three rates each,
    the likeliest first.
    """
    methods = dict.fromkeys([run.method.name, "full", "lora"])
    proposed: list[JsonObject] = []
    for factor in FACTORS:
        for name in methods:
            as_given = name == run.method.name
            if as_given and factor == 1.0:
                continue
            plain: JsonObject = run.model_dump(exclude_unset=True, mode="json")
            if not as_given:
                plain["method"] = name
            plain["train"] = {**plain.get("train", {}), "learning_rate": None}
            rate, _ = default_rate(validate(plain))
            values = {"train.learning_rate": float(f"{rate * factor:.3g}")}
            proposed.append(values if as_given else {"method": name, **values})
    return proposed
