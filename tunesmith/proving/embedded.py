"""The rival that uses the untuned base without writing: the mean of its last hidden states over a
text, and logistic regression on the training rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.models.calling.forwards import Progress, forwards
from tunesmith.proving.rivals import STRENGTHS

if TYPE_CHECKING:
    from tunesmith.models.calling.views import Seen
    from tunesmith.models.loading.load import Loaded


def embedded(
    loaded: Loaded,
    known: Sequence[Tokens],
    answers: Sequence[str],
    asked: Sequence[Tokens],
    *,
    seed: int,
    progress: Progress | None = None,
) -> tuple[list[str], list[dict[str, float]]]:
    """Answers ``asked`` from the ``known`` texts and their ``answers``; returns also the
    log-probability of each answer, nothing where there is only one.
    """
    if len(set(answers)) < 2:
        return [Counter(answers).most_common(1)[0][0]] * len(asked), []
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    vectors = means(loaded, [*known, *asked], progress)
    model: object = make_pipeline(
        StandardScaler(), LogisticRegression(C=STRENGTHS[0] / 100, max_iter=1000, random_state=seed)
    )
    folds = min(3, min(Counter(answers).values()))
    if folds > 1:
        # Many columns for few rows: weaker weights than words need.
        grid = {"logisticregression__C": [strength / 1000 for strength in STRENGTHS]}
        model = GridSearchCV(model, grid, cv=folds)
    fitted = model.fit(vectors[: len(known)], list(answers))
    chances = fitted.predict_proba(vectors[len(known) :])
    names = [str(name) for name in fitted.classes_]
    logs = np.log(np.maximum(chances, 1e-12))
    rows = [dict(zip(names, row.tolist(), strict=True)) for row in logs]
    return [names[index] for index in chances.argmax(-1)], rows


def means(loaded: Loaded, texts: Sequence[Tokens], progress: Progress | None = None) -> np.ndarray:
    """Computes the mean of the last hidden states over each text's tokens, ``[texts, width]``."""

    def look(seen: Seen) -> list[np.ndarray]:
        hidden_BLD, mask_BL = seen.tokens()
        mask_BL1 = mask_BL.unsqueeze(-1)
        sums_BD = (hidden_BLD.float() * mask_BL1).sum(1)
        return list((sums_BD / mask_BL1.sum(1)).cpu().numpy())

    # What is scored has no part in it.
    plain = [[replace(text, weights_T=np.zeros_like(text.weights_T))] for text in texts]
    return np.stack(forwards(loaded, plain, look, progress=progress))
