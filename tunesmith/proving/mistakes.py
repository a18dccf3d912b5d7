"""Error analysis: what the lines of items.jsonl say of where the tuned model gains, loses, and is
wrong. Everything follows from these lines.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tunesmith.plain import JsonObject, Named
from tunesmith.proving.clusters import clusters
from tunesmith.proving.judge import TUNED, metric
from tunesmith.proving.slices import compare_slices

WORST = 10
"""Regressions, confusions and rows of a cluster that are named, at most."""
WORST_SHARE = 0.25
"""The rows that are looked at as wrong where a metric tells no right from wrong: the lowest."""


def mistakes(lines: Sequence[Named], name: str, rival: str, *, seed: int) -> JsonObject | None:
    """Examines tuned beside ``rival`` by each row's score of the metric ``name``; None where a row
    has no such score. Rows that got no grade are left out.
    """
    if metric(name).reads == "grade":
        lines = [line for line in lines if _score(line, TUNED, name) is not None]
    scores = [[_score(line, who, name) for line in lines] for who in (TUNED, rival)]
    if any(score is None for row in scores for score in row):
        return None
    scores_2I = np.array(scores, float)
    sign = 1.0 if metric(name).higher else -1.0
    change_I = sign * (scores_2I[0] - scores_2I[1])
    wrong, kind = _wrong(sign * scores_2I[0])
    good = [index for index in range(len(lines)) if index not in {*wrong}]
    worst = [int(i) for i in np.argsort(change_I, kind="stable") if change_I[i] < 0]
    return {
        "metric": name,
        "against": rival,
        "wins": int((change_I > 0).sum()),
        "losses": int((change_I < 0).sum()),
        "ties": int((change_I == 0).sum()),
        "regressions": [
            {"id": lines[i]["id"], "tuned": scores[0][i], "rival": scores[1][i]}
            for i in worst[:WORST]
        ],
        **compare_slices(lines, scores_2I, name, seed=seed),
        "wrong": len(wrong),
        "wrong_is": kind,
        "clusters": _clusters(lines, wrong, good, seed),
        "confusions": _confusions(lines, rival),
    }


def _score(line: Named, who: str, name: str) -> float | None:
    score = line["scores"].get(who, {}).get(name)
    return score if score is not None and math.isfinite(score) else None


def _wrong(oriented_I: np.ndarray) -> tuple[list[int], str]:
    """Returns the rows that are looked at as wrong, and why: scored 0 where each is 0 or 1, else
    the lowest.
    """
    if {*oriented_I.tolist()} <= {0.0, 1.0}:
        return np.flatnonzero(oriented_I == 0).tolist(), "zero"
    count = int(len(oriented_I) * WORST_SHARE)
    return sorted(np.argsort(oriented_I, kind="stable")[:count].tolist()), "lowest"


def _clusters(
    lines: Sequence[Named], wrong: list[int], good: list[int], seed: int
) -> list[JsonObject]:
    texts = [[lines[index]["prompt"] for index in some] for some in (wrong, good)]
    return [
        {
            "words": cluster["words"],
            "rows": len(cluster["members"]),
            "wrong": cluster["wrong"],
            "good": cluster["good"],
            "ids": [lines[wrong[member]]["id"] for member in cluster["members"][:WORST]],
        }
        for cluster in clusters(*texts, seed=seed)
    ]


def _confusions(lines: Sequence[Named], rival: str) -> list[JsonObject]:
    """Counts what is taken for what, where each row has one right name and one choice."""
    pairs: dict[str, Counter[tuple[str, str]]] = {}
    for who in (TUNED, rival):
        pairs_said = [(line["reference"], line["choices"].get(who)) for line in lines]
        named = [(right, said) for right, said in pairs_said if said is not None]
        if not all(isinstance(name, str) for pair in named for name in pair):
            return []
        pairs[who] = Counter((right, said) for right, said in named if right != said)
    return [
        {"right": right, "said": said, "rows": count, "rival": pairs[rival][right, said]}
        for (right, said), count in sorted(
            pairs[TUNED].items(), key=lambda pair_count: -pair_count[1]
        )[:WORST]
    ]
