"""One run trained by several seeds, each proved on the same items: what its proof says of a single
training becomes a statement about the way it was trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tunesmith.events.stream import Events
from tunesmith.events.verbs import PieceBegun
from tunesmith.proving.proof import Proof
from tunesmith.proving.trainings import over_trainings
from tunesmith.report.samples import read_items
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say


@dataclass(frozen=True)
class Steps:
    """How a run is trained and proved: the verbs, which stand above this room. ``prove`` asks the
    run itself all that is wanted, ``prove_again`` a further training only what is compared.
    """

    train: Callable[[Run], object]
    resume: Callable[[RunFolder], object]
    prove: Callable[[RunFolder], Proof]
    prove_again: Callable[[RunFolder], Proof]


def prove_by_seeds(folder: RunFolder, seeds: int, steps: Steps, events: Events) -> Proof:
    """Proves the run, trains and proves it by ``seeds - 1`` more seeds in ``RUN/seeds``, and adds
    to its proof what holds over all of them; what is trained or proved is not done again.
    """
    run = folder.resolved().run
    proof = steps.prove(folder)
    lines = read_items(folder.items)
    primary = proof.found["primary"]
    by_seed = {run.train.seed: lines}
    for number, seed in enumerate(range(run.train.seed + 1, run.train.seed + seeds), 2):
        trained = RunFolder(folder.path / "seeds" / f"seed-{seed}")
        events(PieceBegun(say("trainings.title", seed=seed), number, seeds))
        if not trained.run_yaml.is_file():
            steps.train(_by_seed(run, seed, trained.path))
        elif not (trained.model / "tunesmith.json").is_file():
            steps.resume(trained)
        if not _asked_the_same(trained, proof, {line["id"] for line in lines}):
            steps.prove_again(trained)
        by_seed[seed] = read_items(trained.items)
    results = proof.found | {"trainings": over_trainings(by_seed, primary, proof.found["against"])}
    text = json.dumps(results, ensure_ascii=False, indent=1, allow_nan=False)
    write_whole(folder.proof, text + "\n")
    return Proof(results)


def _by_seed(run: Run, seed: int, out: Path) -> Run:
    """Returns the run with another seed, for all but what is held out, which stays the same."""
    train = run.train.model_copy(update={"seed": seed, "split_seed": run.split_seed})
    return run.model_copy(
        update={"out": str(out), "train": train, "track": (), "questions": ()},
    )


def _asked_the_same(folder: RunFolder, proof: Proof, ids: set[str]) -> bool:
    """Tells whether a training was proved by the same metric on the same items."""
    before = folder.read(folder.proof)
    if before is None or before["primary"] != proof.found["primary"]:
        return False
    return {line["id"] for line in read_items(folder.items)} == ids
