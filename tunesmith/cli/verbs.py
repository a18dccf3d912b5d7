"""The verbs of the command line: one thin function each, beside this file; an implementation is
imported when its verb is used. A new verb is a function there and its name here.
"""

from __future__ import annotations

from tunesmith.cli import (
    arena,
    auto,
    blend,
    compare,
    curve,
    hand_off,
    launch,
    looking,
    pruning,
    results,
    search,
    sequence,
    serving,
    training,
    ui,
)

VERBS = {
    verb.__name__.replace("_", "-"): verb
    for verb in (
        looking.check,
        looking.plan,
        training.train,
        training.rlhf,
        sequence.sequence,
        results.prove,
        results.predict,
        training.generate,
        results.chat,
        looking.data,
        results.report,
        results.runs,
        ui.ui,
        compare.compare,
        blend.blend,
        results.export,
        pruning.prune,
        hand_off.hand_off,
        launch.launch,
        serving.serve,
        training.tournament,
        arena.arena,
        search.search,
        curve.curve,
        auto.auto,
        looking.explain,
        looking.doctor,
        training.demo,
    )
}
"""In the order of ``--help``."""
