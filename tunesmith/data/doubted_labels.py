"""Labels that a cheap model doubts: confident learning (Northcutt et al. 2021, equations 1 and 2)
on probabilities that each row gets from models that did not see it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.examples import Example, Labelled

FOLDS, ROWS, EACH = 5, 100, 10
"""Rows are looked at from so many on, in classes with at least ``EACH``; up to ``MOST`` of them."""
MOST = 20_000
DOUBTED = "doubted"
"""How such rows are called."""


@dataclass(frozen=True)
class Doubt:
    """A row whose label a model doubts."""

    place: int
    label: str
    better: str
    """What the model takes it for."""
    sure: float
    """Probability of that, less that of the label."""


class Labels:
    """The labels of texts that have one each, row by row."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self.texts: list[str] = []
        self.labels: list[str] = []
        self.several = False
        """Whether a row has several labels, or none: such rows are not looked at."""

    def add(self, where: str, example: Example) -> None:
        """Looks at one row, at ``where``."""
        if isinstance(example, Labelled) and isinstance(example.labels, tuple):
            self.several = self.several or len(example.labels) != 1
            self.places.append(where)
            self.texts.append("\n".join(filter(None, (example.text, example.second))))
            self.labels += example.labels[:1]

    def doubted(self) -> list[tuple[str, Doubt]]:
        """Returns the rows whose label is doubted, by their places, the surest first."""
        if self.several:
            return []
        return [(self.places[doubt.place], doubt) for doubt in doubted(self.texts, self.labels)]


def doubted(texts: Sequence[str], labels: Sequence[str], seed: int = 0) -> list[Doubt]:
    """Returns the rows whose label is doubted, the surest first; none where there are too few rows
    to say.

    A row is doubted where another class is at least as likely as that class is on average for its
    own rows, and its own class is less likely than that.
    """
    counts = Counter(labels)
    used = [n for n, label in enumerate(labels) if counts[label] >= EACH][:MOST]
    names = sorted({labels[n] for n in used})
    if len(used) < ROWS or len(names) < 2:
        return []
    chances_NC = _chances([texts[n] for n in used], [labels[n] for n in used], seed)
    given_N = np.array([names.index(labels[n]) for n in used])
    usual_C = np.array([chances_NC[given_N == c, c].mean() for c in range(len(names))])
    likely_NC = np.where(chances_NC >= usual_C, chances_NC, -1.0)
    better_N = likely_NC.argmax(axis=1)
    doubts: list[Doubt] = []
    for row, index in enumerate(used):
        given = given_N[row]
        better = better_N[row]
        if likely_NC[row, better] > 0 and better != given:
            sure = float(chances_NC[row, better] - chances_NC[row, given])
            doubts.append(Doubt(index, names[given], names[better], sure))
    return sorted(doubts, key=lambda doubt: -doubt.sure)


def _chances(texts: Sequence[str], labels: Sequence[str], seed: int) -> np.ndarray:
    """Computes probabilities [rows, classes] by TF-IDF over words and characters and logistic
    regression, each row's by models of the other folds.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline, make_union

    model = make_pipeline(
        make_union(
            TfidfVectorizer(sublinear_tf=True, min_df=2),
            # Chinese has no spaces between its words.
            TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2),
        ),
        LogisticRegression(C=10.0, max_iter=200),
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return np.asarray(
        cross_val_predict(model, list(texts), list(labels), cv=folds, method="predict_proba")
    )
