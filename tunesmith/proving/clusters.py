"""What wrong answers have in common: their questions in clusters, named by the words that these
have more of than the questions that were answered well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tunesmith.data.columns.scripts import HAN, KANA
from tunesmith.plain import JsonObject
from tunesmith.proving.unpaired import exact_p

FEWEST = 20
"""Wrong answers below which no clusters are looked for."""
MOST = 8
"""Clusters."""
COMPARED = 500
"""Texts whose distances to all others are looked at, at most, to choose the number of clusters."""
NAMED_BY = 4
"""Words of a name, at most."""
SHARE, MORE = 0.5, 0.3
"""A word names a cluster that it stands in half of, and in 0.3 more than it stands in any other and
in the questions that were answered well.
"""
BY_CHANCE = 0.05
"""It must also stand in more of the wrong answers' questions than of the others, by Fisher's exact
test: of a cluster's words, "the" is in half of all questions.
"""
DIMENSIONS = 50
_RUN = re.compile(f"[{HAN}{KANA}]{{2,}}")
_WORD = re.compile(f"[^\\W_{HAN}{KANA}]{{2,}}")


def terms(text: str) -> list[str]:
    """Returns the different words of a text in their order; of Han and kana, written without
    spaces, each run of two to four characters.
    """
    words = _WORD.findall(text.lower())
    for run in _RUN.findall(text):
        for size in (2, 3, 4):
            words += [run[start : start + size] for start in range(len(run) - size + 1)]
    return list(dict.fromkeys(words))


def clusters(wrong: Sequence[str], good: Sequence[str], *, seed: int) -> list[JsonObject]:
    """Divides the questions ``wrong`` into clusters: TF-IDF of two and three characters, reduced by
    SVD, k-means. Returns those that words tell from the questions ``good`` and from each other, the
    largest first: ``words``, the indices ``members``, and how many questions the first word stands
    in.
    """
    if len(wrong) < FEWEST:
        return []
    group_W = _grouped(wrong, seed)
    terms_W = [terms(text) for text in wrong]
    terms_G = [terms(text) for text in good]
    everywhere = [_shares(terms_G)] + [
        _shares([terms_W[i] for i in np.flatnonzero(group_W == group)])
        for group in range(group_W.max() + 1)
    ]
    told_apart = []
    for group, mine in enumerate(everywhere[1:], start=1):
        others = [shares for index, shares in enumerate(everywhere) if index != group]
        names = [name for name in _names(mine, others) if _tells(name, terms_W, terms_G)][:NAMED_BY]
        if not names:
            continue
        first = names[0]
        told_apart.append(
            {
                "words": names,
                "members": np.flatnonzero(group_W == group - 1).tolist(),
                "wrong": sum(first in some for some in terms_W),
                "good": sum(first in some for some in terms_G),
            }
        )
    return sorted(told_apart, key=lambda cluster: -len(cluster["members"]))


def _grouped(texts: Sequence[str], seed: int) -> np.ndarray:
    """Returns the cluster of each text, in as many clusters as lie farthest apart (silhouette)."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import normalize

    together = np.zeros(len(texts), int)
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), sublinear_tf=True)
    try:
        table = vectors.fit_transform(texts)
    except ValueError:  # not one text holds two characters
        return together
    different = len({*texts})
    most = min(DIMENSIONS, different - 1, table.shape[1] - 1)
    if most < 2:
        return together
    reduced = normalize(TruncatedSVD(most, random_state=seed).fit_transform(table))
    best_groups, best = together, -1.0
    for several in range(2, min(MOST, different - 1) + 1):
        group = KMeans(several, random_state=seed).fit_predict(reduced)
        apart = float(
            silhouette_score(
                reduced, group, sample_size=min(COMPARED, len(texts)), random_state=seed
            )
        )
        if apart > best:
            best_groups, best = group, apart
    return best_groups


def _shares(texts: Sequence[Sequence[str]]) -> dict[str, float]:
    counts = Counter(term for some in texts for term in some)
    return {term: count / len(texts) for term, count in counts.items()}


def _names(mine: dict[str, float], others: Sequence[dict[str, float]]) -> list[str]:
    """Chooses the words that name a cluster: by how much more of them it has, then the longer, then
    the earlier in the text; of two that overlap the first.
    """
    more = {
        term: share - max(some.get(term, 0.0) for some in others)
        for term, share in mine.items()
        if share >= SHARE
    }
    ordered = sorted(more, key=lambda term: (-round(more[term], 6), -len(term)))
    chosen: list[str] = []
    for term in ordered:
        apart = all(_apart(term, other) for other in chosen)
        if more[term] >= MORE and apart:
            chosen.append(term)
    return chosen


def _tells(term: str, terms_W: Sequence[Sequence[str]], terms_G: Sequence[Sequence[str]]) -> bool:
    """Tells whether a word stands in a larger share of the wrong answers' questions than of the
    others, beyond chance; so it does where nothing was answered well.
    """
    if not terms_G:
        return True
    wrong, good = ((sum(term in some for some in each), len(each)) for each in (terms_W, terms_G))
    return wrong[0] * good[1] > good[0] * wrong[1] and exact_p(wrong, good) < BY_CHANCE


def _apart(one: str, other: str) -> bool:
    """Tells whether two words share no part: neither holds the other, nor does one go on where the
    other ends.
    """
    if one in other or other in one:
        return False
    return not any(
        one.endswith(other[:size]) or other.endswith(one[:size])
        for size in range(1, min(len(one), len(other)))
        if _RUN.fullmatch(one) and _RUN.fullmatch(other)
    )
