"""What the outputs of a classification head mean: probabilities, the classes that are named, and
what is fitted to them.

Temperature: Guo et al. 2017, section 4.2. Thresholds: those of the best F1 on the watched rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.examples import Outputs
from tunesmith.metrics import Metric
from tunesmith.models.calling.forwards import BUDGET, Progress, forwards
from tunesmith.plain import JsonObject

if TYPE_CHECKING:
    from tunesmith.models.calling.views import Seen
    from tunesmith.models.loading.load import Loaded

FEWEST = 20
"""Rows from which something is fitted."""

Choice = str | list[str] | float


def outputs_of(
    loaded: Loaded,
    sequences: Sequence[Tokens],
    *,
    budget: int = BUDGET,
    stopped: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Computes the head's outputs ``[n, C]`` for each sequence; raises BrokenOff when ``stopped``
    returned true.
    """

    def look(seen: Seen) -> np.ndarray:
        return seen.outputs_BC.double().cpu().numpy()

    examples = [(tokens,) for tokens in sequences]
    options: Any = {"budget": budget, "stopped": stopped, "progress": progress}
    return np.stack(forwards(loaded, examples, look, **options))


@dataclass(frozen=True)
class Meaning:
    """The meaning of outputs as classes. ``thresholds`` are by class, from which probability it is
    named; without them each of several labels is named from half on, and of single ones the
    likeliest.
    """

    outputs: Outputs
    temperature: float = 1.0
    thresholds: tuple[float, ...] = field(default=())

    @classmethod
    def of(cls, outputs: Outputs, fitted: JsonObject) -> Meaning:
        """Makes the meaning with the values that were fitted after training."""
        return cls(outputs, fitted.get("temperature", 1.0), tuple(fitted.get("thresholds", ())))

    def probabilities(self, outputs_nC: np.ndarray, *, calibrated: bool = False) -> np.ndarray:
        """Computes probabilities ``[n, C]``, as ``transformers.pipeline`` gives them, or with the
        temperature; for a regression the numbers.
        """
        if self.outputs.problem == "regression":
            return outputs_nC
        scaled = outputs_nC / self.temperature if calibrated else outputs_nC
        if self.outputs.problem == "multi_label_classification":
            return 1 / (1 + np.exp(-scaled))
        powers = np.exp(scaled - scaled.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)

    def choices(self, outputs_nC: np.ndarray) -> list[Choice]:
        """Returns the class of each row, its classes, or its number."""
        names = self.outputs.names
        if self.outputs.problem == "regression":
            return [float(value) for value in outputs_nC[:, 0]]
        if self.outputs.problem == "multi_label_classification":
            named = self.probabilities(outputs_nC) >= np.array(
                self.thresholds or [0.5] * len(names)
            )
            return [[name for name, said in zip(names, row, strict=True) if said] for row in named]
        if self.thresholds:
            return [
                names[int(said)]
                for said in self.probabilities(outputs_nC)[:, 1] >= self.thresholds[1]
            ]
        return [names[index] for index in outputs_nC.argmax(-1)]

    def options(
        self, outputs_nC: np.ndarray, *, calibrated: bool = False
    ) -> list[dict[str, float]]:
        """Returns the log-probability (nats) of every class, by row."""
        logs = np.log(np.maximum(self.probabilities(outputs_nC, calibrated=calibrated), 1e-300))
        return [dict(zip(self.outputs.names, row.tolist(), strict=True)) for row in logs]

    def reference(self, tokens: Tokens) -> Choice:
        """Returns a row's label in the form of a choice."""
        label = tokens.columns["label"]
        if self.outputs.problem == "regression":
            return float(label)
        if self.outputs.problem == "multi_label_classification":
            return [name for name, said in zip(self.outputs.names, label, strict=True) if said]
        return self.outputs.names[int(label)]

    def given(self, metric: Metric, outputs_nC: np.ndarray) -> list[Any]:
        """Returns what a metric reads."""
        return self.options(outputs_nC) if metric.reads == "options" else self.choices(outputs_nC)


def temperature(outputs_nC: np.ndarray, labels: np.ndarray) -> float:
    """Fits the number by which outputs are divided so that the labels are likeliest; labels are
    indices, or 0 and 1 by class.
    """
    from scipy.optimize import minimize_scalar

    def loss(power: float) -> float:
        scaled = outputs_nC / np.exp(power)
        if labels.ndim == 2:
            return float((np.logaddexp(0, scaled) - labels * scaled).mean())
        highest = scaled.max(-1)
        total = highest + np.log(np.exp(scaled - highest[:, None]).sum(-1))
        return float((total - scaled[np.arange(len(labels)), labels]).mean())

    optimum: Any = minimize_scalar(loss, bounds=(-3, 3), method="bounded")
    return round(float(np.exp(optimum.x)), 4)


def best_cut(chances_n: np.ndarray, labels_n: np.ndarray) -> float:
    """Finds the probability from which naming the second of two classes gives the best macro-F1;
    among equals the nearest to half.
    """
    order, chances = np.argsort(chances_n), np.unique(chances_n)
    cuts = np.append((chances[1:] + chances[:-1]) / 2, 0.5)
    below = np.searchsorted(chances_n[order], cuts)
    missed = np.append(0, np.cumsum(labels_n[order]))[below]
    right = {1: labels_n.sum() - missed, 0: below - missed}
    wrong = missed + len(labels_n) - below - right[1]
    macro = np.mean([2 * hits / np.maximum(2 * hits + wrong, 1) for hits in right.values()], axis=0)
    best = cuts[macro >= macro.max() - 1e-12]
    return round(float(best[np.abs(best - 0.5).argmin()]), 6)


def best_threshold(chances: np.ndarray, labels: np.ndarray) -> float:
    """Finds the probability from which naming a class gives the best F1, halfway to the next lower
    one; half where the class never occurs.
    """
    from sklearn.metrics import precision_recall_curve

    if not labels.any():
        return 0.5
    precision, recall, thresholds = precision_recall_curve(labels, chances)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = float(thresholds[int(f1[:-1].argmax())])
    lower = chances[chances < best]
    return round((best + float(lower.max())) / 2, 6) if len(lower) else round(best, 6)
