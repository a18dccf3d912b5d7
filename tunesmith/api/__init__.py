"""One function for each verb, for Python and for the command line alike.

``import tunesmith as ts; run = ts.train("run.yaml", ["train.epochs=1"], on_step=print);
ts.prove(run)``
"""

from __future__ import annotations

from tunesmith.api.auto import auto
from tunesmith.api.before_training import (
    check,
    explain,
    overfit,
    plan,
    plan_cards,
    plan_stages,
    under_base,
)
from tunesmith.api.blend import blend
from tunesmith.api.checkpoints import prove_checkpoints
from tunesmith.api.compare import compare
from tunesmith.api.curve import curve
from tunesmith.api.hand_over import hand_over
from tunesmith.api.health import signs_of
from tunesmith.api.launch import launch
from tunesmith.api.pruning import prune
from tunesmith.api.results import attach, export_run, load, predict, prove
from tunesmith.api.rows import change_rows, measure_anonymising, overlap
from tunesmith.api.search import search
from tunesmith.api.seeds import prove_seeds
from tunesmith.api.sequence import sequence
from tunesmith.api.training import generate, rlhf, tournament, train
from tunesmith.api.voting import arena, judge

__all__ = [
    "arena",
    "attach",
    "auto",
    "blend",
    "change_rows",
    "check",
    "compare",
    "curve",
    "explain",
    "export_run",
    "generate",
    "hand_over",
    "judge",
    "launch",
    "load",
    "measure_anonymising",
    "overfit",
    "overlap",
    "plan",
    "plan_cards",
    "plan_stages",
    "predict",
    "prove",
    "prove_checkpoints",
    "prove_seeds",
    "prune",
    "rlhf",
    "search",
    "sequence",
    "signs_of",
    "tournament",
    "train",
    "under_base",
]
