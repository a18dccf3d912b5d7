"""The cheap rivals of a classifier: the commonest answer, and TF-IDF with a linear model on the
same training rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.examples import Outputs
from tunesmith.predicting.classes import Choice
from tunesmith.proving.rivals import STRENGTHS, tfidf_model


def most_frequent(references: Sequence[Choice], outputs: Outputs) -> Choice:
    """Returns the answer that is right most often in training; the mean of numbers; for several
    labels those that most rows have.
    """
    if outputs.problem == "regression":
        return float(
            np.mean(
                [float(reference) for reference in references if not isinstance(reference, list)]
            )
        )
    if outputs.problem == "multi_label_classification":
        counts = Counter(
            name for reference in references if isinstance(reference, list) for name in reference
        )
        return [name for name in outputs.names if 2 * counts[name] >= len(references)]
    return Counter(str(reference) for reference in references).most_common(1)[0][0]


def tfidf(
    texts: Sequence[str],
    references: Sequence[Choice],
    asked: Sequence[str],
    outputs: Outputs,
    *,
    seed: int,
) -> tuple[list[Choice], list[dict[str, float]]]:
    """Answers ``asked``, and returns the log-probability of each class where there are classes."""
    if outputs.problem == "regression":
        numbers = [float(reference) for reference in references]  # type: ignore[arg-type]
        return [float(value) for value in _ridge(texts, numbers, asked)], []
    if outputs.problem == "multi_label_classification":
        columns = [
            _share(texts, [name in reference for reference in references], asked, seed)  # type: ignore[operator]
            for name in outputs.names
        ]
        chances = np.stack(columns, axis=-1)
        chosen = [
            [name for name, chance in zip(outputs.names, row, strict=True) if chance >= 0.5]
            for row in chances
        ]
        return list(chosen), _logs(outputs.names, chances)
    labels = [str(reference) for reference in references]
    model = tfidf_model(texts, labels, seed=seed)
    if model is None:
        return [Counter(labels).most_common(1)[0][0]] * len(asked), []
    chances = np.zeros((len(asked), len(outputs.names)))
    chances[:, [outputs.names.index(name) for name in model.classes_]] = model.predict_proba(
        list(asked)
    )
    return [outputs.names[index] for index in chances.argmax(-1)], _logs(outputs.names, chances)


def _share(
    texts: Sequence[str], right: Sequence[bool], asked: Sequence[str], seed: int
) -> np.ndarray:
    """Returns the probability of one of several labels."""
    model = tfidf_model(texts, [str(is_right) for is_right in right], seed=seed)
    if model is None:
        return np.full(len(asked), float(np.mean(right)))
    return model.predict_proba(list(asked))[:, list(model.classes_).index("True")]


def _ridge(texts: Sequence[str], numbers: Sequence[float], asked: Sequence[str]) -> Any:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    from tunesmith.proving.rivals import vectors

    return (
        make_pipeline(vectors(), RidgeCV([1 / strength for strength in STRENGTHS]))
        .fit(list(texts), numbers)
        .predict(list(asked))
    )


def _logs(names: Sequence[str], chances: np.ndarray) -> list[dict[str, float]]:
    return [
        dict(zip(names, row.tolist(), strict=True)) for row in np.log(np.maximum(chances, 1e-300))
    ]
